"""`harness data`: Manage data sets: list, prepare, verify, stats."""

from harness.commands import Package

command = Package(__name__)
