"""SVM: scikit-learn's linear SVM on cached features of length 1, C chosen on held-out groups (`--set head.c=0.1` sets it)."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(
    name="svm", title="SVM", weights_from="source", trained="head", head="svm", train_views=3, order=102
)
