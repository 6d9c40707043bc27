"""Are the numbers that were reproduced once still reproduced? The ledger, and shipped weights, against `results/expected`.

Two kinds of expectation, two kinds of tolerance: the same weights scored again must give the same counts; a training
done again must lie where the seeds that were run before say it would.
"""

from harness.analysis.regression.compare import Outcome, check_rescored, check_retrained
from harness.analysis.regression.expected import Expected, Rescored, Retrained, parse, read, render
from harness.analysis.regression.junit import junit

__all__ = [
    "Expected",
    "Outcome",
    "Rescored",
    "Retrained",
    "check_rescored",
    "check_retrained",
    "junit",
    "parse",
    "read",
    "render",
]
