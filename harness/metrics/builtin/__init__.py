"""The metrics that ship: one file each, found by name."""
