"""Networks of other libraries: the facts of their weights, and their interface."""
