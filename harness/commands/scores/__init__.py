"""`harness scores`: Exchange scores of videos with other programs: export, import."""

from harness.commands import Package

command = Package(__name__)
