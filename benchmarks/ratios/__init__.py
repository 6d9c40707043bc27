"""How fast this machine runs what `harness` does, as ratios to plain references. torch is the only large library it
needs."""
