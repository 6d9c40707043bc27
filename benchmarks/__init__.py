"""Speed, measured: `python -m benchmarks`. Works from a checkout; not part of the wheel."""
