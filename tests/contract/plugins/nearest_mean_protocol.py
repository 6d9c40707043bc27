"""A third-party protocol in one file, for the head in nearest_mean.py."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(
    name="nearest-mean-protocol",
    title="Nearest mean",
    weights_from="source",
    trained="head",
    head="nearest-mean",
    order=5,
)
