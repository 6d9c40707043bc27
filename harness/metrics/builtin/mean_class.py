"""Top-1 accuracy averaged over classes. Not what the paper prints: on UCF-101, whose classes differ in size, the two differ."""

from harness.core.plugins import Metric
from harness.metrics.scores import topk_correct

METRIC = Metric(
    name="mean_class",
    title="mean over classes of top-1 accuracy",
    short="mean class",
    shares=topk_correct,
    mean_over="labels",
    order=10,
)
