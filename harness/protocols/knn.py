"""kNN: the nearest training videos vote, by cosine similarity of cached features (`--set head.k=10`). Nothing is trained."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(
    name="knn", title="kNN", weights_from="source", trained="head", head="knn", train_views=3, order=101
)
