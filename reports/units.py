"""Durations and sizes as a person reads them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3.4 h', '2.5 days', '21 days', '73 years'."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if name == 'h' else 0}f} {name}"
    days = seconds / 86400
    return f"{days / 365.25:,.0f} years" if days > 730 else f"{days:.{0 if days >= 10 else 1}f} days"


def size(count: float) -> str:
    """A number of bytes in words: '0.3 MB', '120 MB', '3.4 GB'."""
    return f"{count / 1e6:.{0 if count >= 1e8 else 1}f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
