"""Re-runs the experiments of "Quo Vadis, Action Recognition?" and prints its tables.

The commands as functions (docs/how-to/python.md): `harness.run(dataset="micro-hmdb51", protocol="full-ft")`.
A plug-in file takes its card from here: `from harness import Baseline, Clip`.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = {
    "harness.api": ("DamagedRecord", "claims", "compare", "load", "plan", "results", "run", "table", "use_plugins"),
    "harness.commands.console": ("Progress",),
    "harness.core.callbacks": ("Callback",),
    "harness.core.contract": (
        "Baseline",
        "BuildSpec",
        "Clip",
        "Dataset",
        "FlowMethod",
        "Frames",
        "Listing",
        "Network",
        "Pixels",
        "Protocol",
        "Scale",
        "Schedule",
        "Video",
        "Weights",
    ),
    "harness.core.errors": ("BrokenVideo", "DataMissing", "HarnessError"),
    "harness.planning.results": ("Result", "Results"),
}
"""Module -> the names that are offered here. A module is imported when one of its names is used."""

if TYPE_CHECKING:
    from harness.api import DamagedRecord, claims, compare, load, plan, results, run, table, use_plugins
    from harness.commands.console import Progress
    from harness.core.callbacks import Callback
    from harness.core.contract import (
        Baseline,
        BuildSpec,
        Clip,
        Dataset,
        FlowMethod,
        Frames,
        Listing,
        Network,
        Pixels,
        Protocol,
        Scale,
        Schedule,
        Video,
        Weights,
    )
    from harness.core.errors import BrokenVideo, DataMissing, HarnessError
    from harness.planning.results import Result, Results
else:

    def __getattr__(name):
        for module, names in _MODULES.items():
            if name in names:
                importlib.import_module("harness.core.environment").check_siblings()
                globals()[name] = value = getattr(importlib.import_module(module), name)
                return value
        raise AttributeError(f"module 'harness' has no attribute '{name}'", name=name, obj=None)

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "Baseline",
    "BrokenVideo",
    "BuildSpec",
    "Callback",
    "Clip",
    "DamagedRecord",
    "DataMissing",
    "Dataset",
    "FlowMethod",
    "Frames",
    "HarnessError",
    "Listing",
    "Network",
    "Pixels",
    "Progress",
    "Protocol",
    "Result",
    "Results",
    "Scale",
    "Schedule",
    "Video",
    "Weights",
    "__version__",
    "claims",
    "compare",
    "load",
    "plan",
    "results",
    "run",
    "table",
    "use_plugins",
]
