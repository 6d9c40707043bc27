"""Paths that a user wrote."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import HarnessError


def given(text: str | Path, *, flag: str) -> Path:
    """The absolute path that `text` names, '~' replaced; it need not exist. `flag`: where it was written, as in '--data'.

    Raises HarnessError for one that no file can have: too long, a loop of links, an unknown user's home, a null character.
    """
    try:
        path = Path(text).expanduser().resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise HarnessError(f"{flag} {str(text)!r:.100} is not a path ({cause!s:.100}); name another") from error
    return path
