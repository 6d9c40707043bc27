"""Are reproduced numbers still reproduced? Compares finished jobs, and shipped weights, with `results/expected`.

Two kinds of expectation, two kinds of tolerance: the same weights scored again must give the same counts. A training done
again must be within the interval that the seeds trained before predict.
"""

from harness.analysis.regression.compare import CheckOutcome, check_rescored, check_retrained, junit
from harness.analysis.regression.expected import Expected, Rescored, Retrained, parse, read, render

__all__ = [
    "CheckOutcome",
    "Expected",
    "Rescored",
    "Retrained",
    "check_rescored",
    "check_retrained",
    "junit",
    "parse",
    "read",
    "render",
]
