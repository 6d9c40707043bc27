"""Original: train on the target's own training split, from images or from scratch (paper section 4, Table 2)."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(
    name="original",
    title="Original",
    weights_from="init",
    trained="all",
    stage="original",
    pre_training=True,
    order=1,
)
