"""Cache of decoded videos, kept by a process from one job to the next: most jobs of a table read the same ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

CACHE_BYTES = 640 * 2**20
"""Default size of the cache: the micro data sets fit, and a job stays below 2 GiB."""


class FrameCache:
    """Arrays by key, `limit` bytes of them at most.

    A new array evicts those of other readers, least recently used first, and never those of its own reader: a reader
    that cycles through more videos than fit would evict each of them before it needs it again.
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
        """Size of all arrays."""
        return self._bytes

    def get(self, key: Hashable, reader: object) -> np.ndarray | None:
        """The array of `key`, which now belongs to `reader`; None if there is none."""
        if key not in self._arrays:
            return None
        array, owner = self._arrays[key]
        if owner is not reader:
            self._evict(key)
            self._insert(key, array, reader)
        return array

    def fits(self, size: int, reader: object) -> bool:
        """Whether `size` more bytes of `reader` would fit."""
        return self._bytes_of.get(id(reader), 0) + size <= self.limit

    def put(self, key: Hashable | None, array: np.ndarray, reader: object) -> None:
        """Store `array`, if it fits and has a key."""
        if key in self._arrays:
            self._evict(key)
        if key is None or not self.fits(array.nbytes, reader):
            return
        while self._bytes + array.nbytes > self.limit:
            self._evict(next(other for other, (_, owner) in self._arrays.items() if owner is not reader))
        self._insert(key, array, reader)

    def clear(self) -> None:
        """Remove all arrays."""
        self._arrays.clear()
        self._bytes_of.clear()
        self._bytes = 0

    def _insert(self, key: Hashable, array: np.ndarray, reader: object) -> None:
        self._arrays[key] = array, reader
        self._bytes += array.nbytes
        self._bytes_of[id(reader)] = self._bytes_of.get(id(reader), 0) + array.nbytes

    def _evict(self, key: Hashable) -> None:
        array, owner = self._arrays.pop(key)
        self._bytes -= array.nbytes
        self._bytes_of[id(owner)] -= array.nbytes


PROCESS_CACHE = FrameCache(CACHE_BYTES)
"""Shared by all readers of this process."""
