"""Full-FT: start from the network trained on the source, give it a new head, train everything (paper section 4)."""

from harness.core.contract import Protocol

PROTOCOL = Protocol(name="full-ft", title="Full-FT", weights_from="source", trained="all", stage="full-ft", order=3)
