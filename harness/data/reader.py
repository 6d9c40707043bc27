"""Clips out of the videos of a prepared data set: decoded once and cached while memory lasts, else read by window."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.contract import Scale, Video
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.data.cache import PROCESS_CACHE, FrameCache
from harness.video import decode, numba_cache
from harness.video.decoder import DEFAULT
from harness.video.flow import codec
from harness.video.flow.file import FlowFile
from harness.video.sampling import resized

if TYPE_CHECKING:
    from harness.data.derived import Store
    from harness.data.prepare import Prepared

Positions = Mapping[str, np.ndarray]
"""stream -> frame numbers."""
Place = Callable[[int, int], tuple[int, int]]
"""(height, width) of the picture -> (top, left) of the square."""


class VideoReader:
    """Clips of a data set's videos, at a scale's frame rate and short side, as uint8.

    Decoded videos and flow are cached for all readers of this process (`cache.PROCESS_CACHE`), or with `cache_bytes` for
    this one alone; what does not fit is read by window, seeking. Both give the same pixels. Unless scale.video_source is
    'originals', files of the frame store are decoded. An image is a video of one frame. Flow comes from its store, as codes.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        streams: Sequence[str],
        scale: Scale,
        flow_store: Store | None = None,
        frame_store: Store | None = None,
        cache_bytes: int | None = None,
        decoder: str = DEFAULT,
    ) -> None:
        if frame_store is None and reads_store(prepared, streams, scale):
            raise HarnessError(f"{prepared.dataset.name} is read from its store; pass frame_store=build_store(...)")
        if "flow" in streams and flow_store is None:
            raise HarnessError(f"flow of {prepared.dataset.name} is read from a store; pass flow_store=flow_store(...)")
        numba_cache.keep_compiled(prepared.store.parent / "numba")
        self.prepared = prepared
        self.streams = tuple(streams)
        self.scale = scale
        self.flow_store = flow_store
        self.frame_store = frame_store
        self.cache_bytes = cache_bytes
        self.decoder = decoder
        self._begin()

    def _begin(self) -> None:
        self.cache = PROCESS_CACHE if self.cache_bytes is None else FrameCache(self.cache_bytes)
        self._keys: dict[tuple[str, str], Hashable] = {}
        self._owner = object()

    def __getstate__(self) -> dict[str, Any]:
        """For another process: without the cache."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("cache", "_keys", "_owner")}
        return {**state, "prepared": self.prepared.for_process()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def num_frames(self, video: Video) -> int:
        """Frames on the scale's timeline, by the header. Raises BrokenVideo where that cannot be read."""
        return self.prepared.num_frames(video, self.scale.fps)

    def clips(self, video: Video, cuts: Sequence[Positions], side_px: int, place: Place) -> list[dict[str, np.ndarray]]:
        """For each cut: stream -> uint8 (T, side, side, C), the same square for all cuts and streams.

        Frame numbers past the end of a stream (a header may promise a frame too many) give its last frame. Raises
        BrokenVideo, and HarnessError where the streams differ in size.
        """
        clips: list[dict[str, np.ndarray]] = [{} for _ in cuts]
        square = _Square(video, side_px, place, self.flow_store)
        for stream in self.streams:
            frames, numbers = self._source(video, stream, [cut[stream] for cut in cuts], square)
            for clip, wanted in zip(clips, numbers, strict=True):
                clip[stream] = _selected(frames, wanted)
        return clips

    def clip_into(
        self, video: Video, cut: Positions, side_px: int, place: Place, out: Mapping[str, np.ndarray]
    ) -> None:
        """One cut of `clips`, written to `out`: stream -> uint8 (T, side, side, C). Raises as `clips` does."""
        square = _Square(video, side_px, place, self.flow_store)
        for stream in self.streams:
            target = out[stream]
            frames, (wanted,) = self._source(video, stream, [cut[stream]], square, target)
            if frames is not target:
                target[...] = _selected(frames, wanted)

    def check(self, video: Video) -> None:
        """Decode the video to its end. Raises BrokenVideo."""
        if "flow" in self.streams and self.flow_store is not None:
            FlowFile(self.flow_store.path(video))
        if "rgb" in self.streams and self.prepared.dataset.kind == "video":
            with self._file(video) as path:
                for _ in decode.iter_video(path, **self._rules):
                    pass

    def _source(
        self, video: Video, stream: str, wanted: Sequence[np.ndarray], square: _Square, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        """(squares (T', side, side, C), for each of `wanted` its indices into them). A single one may be written to `out`, which
        is then returned."""
        if stream == "flow":
            return self._flow(video, wanted, square)
        key = self._key(stream, video)
        cached = self.cache.get(key, self._owner)
        if cached is None and (self.prepared.dataset.kind == "images" or self._fits(video)):
            cached = self._decode(video)
            self.cache.put(key, cached, self._owner)
        if cached is not None:
            return square.cut(cached), [np.minimum(numbers, len(cached) - 1) for numbers in wanted]
        union = np.unique(np.concatenate(wanted))
        out = out if np.array_equal(union, wanted[0]) else None
        with self._file(video) as path:
            window = decode.read_window(path, union, crop=square, out=out, **self._rules)
        return window, [np.searchsorted(union, numbers) for numbers in wanted]

    def _fits(self, video: Video) -> bool:
        row = self.prepared.info(video)
        height, width = resized(row.height, row.width, self.scale.resize)
        return self.cache.fits(3 * height * width * self.num_frames(video), self._owner)

    def _key(self, stream: str, video: Video) -> Hashable | None:
        """Key in the cache: the file, with its size and time when this reader first read it, and how it is decoded."""
        if (stream, video.id) not in self._keys:
            rules: tuple[Hashable, ...] = ()
            if stream == "flow":
                assert self.flow_store is not None
                path = self.flow_store.path(video)
            else:
                path = self.prepared.path(video) if self.frame_store is None else self.frame_store.path(video)
                rules = self.decoder, self.scale.fps, self.scale.resize
            try:
                file = path.stat()
            except OSError:
                return None  # opening it raises the error
            identity = str(path.absolute()), file.st_ino, file.st_size, file.st_mtime_ns
            self._keys[stream, video.id] = (*identity, *rules)
        return self._keys[stream, video.id]

    def _decode(self, video: Video) -> np.ndarray:
        if self.prepared.dataset.kind == "images":
            return decode.read_image(self.prepared.path(video), short_side_px=self.scale.resize)[None]
        with self._file(video) as path:
            return decode.read_video(path, **self._rules)

    @property
    def _rules(self) -> dict[str, Any]:
        """Frame rate, size and decoder, as the functions of `decode` take them."""
        return {"fps": self.scale.fps, "short_side_px": self.scale.resize, "decoder": self.decoder}

    @contextlib.contextmanager
    def _file(self, video: Video) -> Iterator[Path]:
        """The file to decode. One of the frame store that cannot be decoded is not the video's fault: HarnessError."""
        if self.frame_store is None:
            yield self.prepared.path(video)
            return
        path = self.frame_store.path(video)
        try:
            yield path
        except (BrokenVideo, DataMissing) as error:
            raise HarnessError(
                f"{error}; it is a file of the frame store: delete it, then run "
                f"harness data prepare {self.prepared.dataset.name} --{self.scale.video_source} --scale {self.scale.name}"
            ) from error

    def _flow(
        self, video: Video, wanted: Sequence[np.ndarray], square: _Square
    ) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        method, codes = self.scale.flow, self._codes(video)
        same_size = method.short_side_px == self.scale.resize
        numbers = [np.minimum(indices, len(codes) - 1) for indices in wanted]
        if same_size and isinstance(codes, np.ndarray):
            return square.cut(codes), numbers
        union = np.unique(np.concatenate(numbers))
        within = [np.searchsorted(union, indices) for indices in numbers]
        if same_size and isinstance(codes, FlowFile):
            return codes.read(union, square(*codes.shape[1:3])), within
        fields = codes.read(union) if isinstance(codes, FlowFile) else codes[union]
        height, width = resized(fields.shape[1], fields.shape[2], self.scale.resize)
        displacement = codec.resize_flow(codec.decode(fields, method) * method.bound_px, height, width)
        return square.cut(codec.encode(displacement, method)), within

    def _codes(self, video: Video) -> np.ndarray | FlowFile:
        """All of them, where they fit into the cache; else the file."""
        assert self.flow_store is not None
        key = self._key("flow", video)
        cached = self.cache.get(key, self._owner)
        if cached is not None:
            return cached
        file = FlowFile(self.flow_store.path(video))
        if not self.cache.fits(math.prod(file.shape), self._owner):
            return file
        codes = file.read()
        self.cache.put(key, codes, self._owner)
        return codes


def reads_store(prepared: Prepared, streams: Sequence[str], scale: Scale) -> bool:
    """Whether frames come from the frame store: images and flow never do."""
    return scale.video_source != "originals" and "rgb" in streams and prepared.dataset.kind == "video"


def _selected(frames: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """frames[wanted], without a copy where those are consecutive: views of a long video are as large as memory allows."""
    first, last = int(wanted[0]), int(wanted[-1])
    if last - first + 1 == len(wanted) and (np.diff(wanted) == 1).all():
        return frames[first : last + 1]
    return frames[wanted]


class _Square:
    """The one square of all clips and streams of a video, placed as soon as the size of its pictures is known."""

    def __init__(self, video: Video, side_px: int, place: Place, store: Store | None) -> None:
        self._video = video
        self._store = store.folder if store else ""
        self._side_px = side_px
        self._place = place
        self._size: tuple[int, int] | None = None
        self._corner = (0, 0)

    def __call__(self, height: int, width: int) -> tuple[int, int, int]:
        """(height, width) -> (top, left, side). Raises HarnessError where a stream's pictures have another size."""
        if self._size is None:
            self._size, self._corner = (height, width), self._place(height, width)
        elif self._size != (height, width):
            raise HarnessError(
                f"{self._video.id}: one stream is {self._size[1]}x{self._size[0]} px and another {width}x{height}; the "
                f"flow store does not belong to these videos; delete {self._store}, then run the command again"
            )
        return *self._corner, self._side_px

    def cut(self, frames: np.ndarray) -> np.ndarray:
        top, left, side = self(frames.shape[1], frames.shape[2])
        return frames[:, top : top + side, left : left + side]
