"""Random numbers from a name, the same on every machine and in every worker."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(*name: object) -> np.random.Generator:
    """A generator for each name: ('film', 'turn', 3) always gives the same numbers."""
    text = "/".join(str(part) for part in name)
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")))


def sign(rng: np.random.Generator) -> int:
    """-1 or 1, equally often."""
    return int(rng.integers(2)) * 2 - 1
