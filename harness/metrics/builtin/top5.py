"""Top-5 accuracy: the share of videos whose true class is among the five highest scores. The paper prints it in Table 3."""

from functools import partial

from harness.core.plugins import Metric
from harness.metrics.scores import topk_correct

METRIC = Metric(name="top5", title="top-5 accuracy", short="top-5", shares=partial(topk_correct, k=5), order=5)
