"""Top-1 accuracy, the paper's metric: the share of videos whose true class has the highest score."""

from harness.core.plugins import Metric
from harness.metrics.scores import topk_correct

METRIC = Metric(name="top1", title="top-1 accuracy", short="top-1", shares=topk_correct, order=1)
