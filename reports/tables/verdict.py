"""The rule by which a number counts as reproduced.

=================  ===============================================================================================
not run            not all jobs of the number are finished
not comparable     it was measured on something else: the micro scale, the validation videos where the paper has the test
                   videos, another source of transfer than this version of the paper, or the printed value is unverified
nothing to compare the paper prints no number here
reproduced         the paper's value is inside our 95% interval, widened at both ends by the deviation over seeds
below, above       ours is below, or above, the paper's by more than that
=================  ===============================================================================================

The paper gives no interval of its own, so its value is taken as exact: with the same videos, a true replication falls
outside more often than 5% of the time, and one number alone proves little. Tables print the number of comparisons.
"""

from __future__ import annotations

from reports.tables.model import Verdict


def judge(
    paper: float | None, low: float | None, high: float | None, *, seed_deviation: float | None, obstacles: list[str]
) -> tuple[Verdict, str]:
    """(verdict, why) for a measured number. `obstacles`: reasons not to compare it, in words."""
    if obstacles:
        return "not comparable", "; ".join(obstacles)
    if paper is None or low is None or high is None:
        return "nothing to compare", "the paper prints no number here"
    spare = seed_deviation or 0.0
    widened = f"{low - spare:.1f} to {high + spare:.1f}"
    if paper < low - spare:
        return "above", f"the paper's {paper:.1f} is below {widened}"
    if paper > high + spare:
        return "below", f"the paper's {paper:.1f} is above {widened}"
    return "reproduced", f"the paper's {paper:.1f} is within {widened}"
