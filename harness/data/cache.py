"""Decoded videos a process keeps from one job to the next: most jobs of a table read the same ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

CACHE_BYTES = 640 * 2**20
"""Decoded videos kept in memory, unless told otherwise: the embedded data sets fit, and a job stays below 2 GiB."""


class FrameCache:
    """Arrays by key, `limit` bytes of them at most.

    What does not fit pushes out what other readers left, longest unused first, and never what the same reader keeps: one
    that goes round more videos than fit would find each of them gone when it comes back to it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._arrays: OrderedDict[Hashable, tuple[np.ndarray, object]] = OrderedDict()
        self._bytes = 0
        self._bytes_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def bytes(self) -> int:
        """Of all that is kept."""
        return self._bytes

    def get(self, key: Hashable, reader: object) -> np.ndarray | None:
        """What is kept under `key`, from now on `reader`'s; None if nothing is."""
        if key not in self._arrays:
            return None
        array, last = self._arrays[key]
        if last is not reader:
            self._drop(key)
            self._put(key, array, reader)
        return array

    def fits(self, size: int, reader: object) -> bool:
        """Whether `size` bytes more of `reader`'s could be kept."""
        return self._bytes_of.get(id(reader), 0) + size <= self.limit

    def keep(self, key: Hashable | None, array: np.ndarray, reader: object) -> None:
        """Keep `array`, if it fits and has a key."""
        if key in self._arrays:
            self._drop(key)
        if key is None or not self.fits(array.nbytes, reader):
            return
        while self._bytes + array.nbytes > self.limit:
            self._drop(next(other for other, (_, last) in self._arrays.items() if last is not reader))
        self._put(key, array, reader)

    def clear(self) -> None:
        """Keep nothing of what has been kept."""
        self._arrays.clear()
        self._bytes_of.clear()
        self._bytes = 0

    def _put(self, key: Hashable, array: np.ndarray, reader: object) -> None:
        self._arrays[key] = array, reader
        self._bytes += array.nbytes
        self._bytes_of[id(reader)] = self._bytes_of.get(id(reader), 0) + array.nbytes

    def _drop(self, key: Hashable) -> None:
        array, last = self._arrays.pop(key)
        self._bytes -= array.nbytes
        self._bytes_of[id(last)] -= array.nbytes


KEPT = FrameCache(CACHE_BYTES)
"""What this process keeps."""
