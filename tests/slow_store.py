"""Files of a store that take their time: `python -m tests.slow_store FOLDER` makes them in two processes, which may be killed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data import derived, prepare
from tests.toy_set import CARD, everything

PIECES = 20


@dataclass(frozen=True)
class SlowRecipe:
    """A file per video, written piece by piece. With `busy_s` its process first computes that long, without a moment in which
    another thread of it could run, as a compiler does."""

    piece_s: float = 0.02
    busy_s: float = 0.0
    title: str = "slow files"
    folder: str = "slow"
    suffix: str = ".slow"
    fps: float = 25.0
    sample_frames: int = 1

    def key(self) -> dict[str, Any]:
        return {"slow": 1}

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        if self.busy_s:
            (target.parent / "busy").touch()
            sys.setswitchinterval(self.busy_s)
            end = time.monotonic() + self.busy_s
            while time.monotonic() < end:
                pass
        with target.open("w") as stream:
            for piece in range(PIECES):
                stream.write(f"{piece}\n")
                stream.flush()
                time.sleep(self.piece_s)
        return PIECES

    def max_bytes(self, height: int, width: int, frames: int) -> int:
        return 1000


def make(data: Path, recipe: SlowRecipe, workers: int = 2) -> derived.Store:
    toy = prepare.open_prepared(CARD, data)
    return derived.make_store(toy, recipe, everything(toy), workers=workers)


def main() -> None:
    # Processes of a pool do not run the script again: they find the recipe by the name of its module.
    from tests import slow_store

    slow_store.make(Path(sys.argv[1]), slow_store.SlowRecipe(busy_s=float(sys.argv[2]), piece_s=float(sys.argv[3])))


if __name__ == "__main__":
    main()
