"""Fixed: freeze the network trained on the source, train a softmax layer on its features (paper section 4, Table 4).

Frozen means the moving statistics too. Each training video gives a few augmented views, forwarded once; the head is
trained on those. Three views is our choice: the paper says only that features are extracted.
"""

from harness.core.contract import Protocol

PROTOCOL = Protocol(
    name="fixed",
    title="Fixed",
    weights_from="source",
    trained="head",
    head="linear",
    stage="fixed",
    train_views=3,
    order=2,
)
