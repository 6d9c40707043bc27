"""Re-runs the experiments of "Quo Vadis, Action Recognition?" and prints its tables.

A plug-in file takes its card from here: `from harness import Baseline, Clip`.
"""

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

__all__ = [
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
    "__version__",
]
__version__ = "0.1.0"
