"""Logistic regression: as Fixed, with scikit-learn's solver, C chosen on held-out groups (`--set head.c=0.1` sets it)."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(name="logreg", title="LogReg", weights_from="source", trained="head", head="logreg", train_views=3)
