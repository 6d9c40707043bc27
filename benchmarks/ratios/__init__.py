"""How fast this machine runs what `harness` does, as ratios to plain references. Needs torch alone of the large libraries."""
