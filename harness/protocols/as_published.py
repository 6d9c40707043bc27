"""As published: published weights scored unchanged, their classes matched with the data set's by name. Nothing is trained."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(name="as-published", title="As published", weights_from="source", trained="nothing", order=4)
