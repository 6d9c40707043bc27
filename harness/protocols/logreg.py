"""Logistic regression: as Fixed, with scikit-learn's solver instead of gradient descent (`--set head.c=0.1`)."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(name="logreg", title="LogReg", weights_from="source", trained="head", head="logreg", train_views=3)
