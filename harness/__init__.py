"""Re-runs the experiments of "Quo Vadis, Action Recognition?" and prints its tables."""

__version__ = "0.1.0"
