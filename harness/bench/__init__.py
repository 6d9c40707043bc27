"""How fast this machine runs what the house does, as ratios to plain references: `harness bench`.

Everything here needs torch and nothing else of the large libraries, so that it can be taken to a bare machine. It lies
in the package, and not in `benchmarks/`, because the wheel has to bring it along.
"""
