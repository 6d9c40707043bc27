"""The ledger's mirror in MLflow: a parent run for the selection, a child run a job, one for each cell.

The only place that imports mlflow (2 s), and only when there is something to log. MLflow being away, answering 500 or
hanging loses nothing: the first failure is said once, the mirror goes quiet, and `harness mlflow push` brings later
what the records hold. Only the driver writes here, so the database is made before anything runs in parallel.
"""

from harness.records.tracking.callback import Mirror, open_mirror
from harness.records.tracking.sync import Pulled, Pushed, pull, push

__all__ = ["Mirror", "Pulled", "Pushed", "open_mirror", "pull", "push"]
