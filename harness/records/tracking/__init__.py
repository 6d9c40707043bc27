"""A copy of the records in MLflow: a parent run per selection, a child run per job, and one per cell of several jobs.

The only place that imports mlflow (2 s), and only when there is something to log. If MLflow is unavailable, answers 500
or hangs, nothing is lost: the first failure is reported once, the tracker stops, and `harness mlflow push` sends the records
later. Only the driver writes here, so the database is made before anything runs in parallel.
"""

from harness.records.tracking.callback import Tracker, open_tracker
from harness.records.tracking.sync import Copied, pull, push

__all__ = ["Copied", "Tracker", "open_tracker", "pull", "push"]
