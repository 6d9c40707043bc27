"""Clips out of the videos of a prepared data set: decoded once and kept while memory lasts, else read by window."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.contract import Scale, Video
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.data.cache import KEPT, FrameCache
from harness.video import decode, numba_cache
from harness.video.decoder import DEFAULT
from harness.video.flow import codec
from harness.video.flow.file import FlowFile
from harness.video.sampling import short_side_size

if TYPE_CHECKING:
    from harness.data.flow_store import FlowStore
    from harness.data.frame_store import FrameStore
    from harness.data.prepare import Prepared

Positions = Mapping[str, np.ndarray]
"""stream -> frame numbers."""
Place = Callable[[int, int], tuple[int, int]]
"""(height, width) of the picture -> (top, left) of the square."""


class VideoReader:
    """Clips of a data set's videos, at a scale's frame rate and short side, as uint8.

    Decoded videos and flow are kept for all readers of this process (`kept.KEPT`), or for this one alone where it is given
    `cache_bytes`; what does not fit is read by window, seeking. Both give the same pixels. Unless scale.video_source says
    'originals', the frame store's files are decoded. A still is a video of one frame. Flow comes from its store, as codes.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        streams: Sequence[str],
        scale: Scale,
        flow_store: FlowStore | None = None,
        frame_store: FrameStore | None = None,
        cache_bytes: int | None = None,
        decoder: str = DEFAULT,
    ) -> None:
        if frame_store is None and reads_store(prepared, streams, scale):
            raise HarnessError(
                f"reading the recoded frames of {prepared.dataset.name} needs its frame store; prepare it first"
            )
        if "flow" in streams and flow_store is None:
            raise HarnessError(f"reading the flow of {prepared.dataset.name} needs its flow store; prepare it first")
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
        self.kept = KEPT if self.cache_bytes is None else FrameCache(self.cache_bytes)
        self._keys: dict[tuple[str, str], Hashable] = {}
        self._mark = object()

    def __getstate__(self) -> dict[str, Any]:
        """For another process: without what is kept, and without the card's functions, which may come from a loose file."""
        card = replace(self.prepared.dataset, read=None, render=None)  # type: ignore[arg-type]
        own = {name: value for name, value in self.__dict__.items() if name not in ("kept", "_keys", "_mark")}
        return {**own, "prepared": replace(self.prepared, dataset=card)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def num_frames(self, video: Video) -> int:
        """Frames on the scale's timeline, as the header has it. Raises BrokenVideo where that cannot be read."""
        return self.prepared.num_frames(video, self.scale.fps)

    def clips(self, video: Video, cuts: Sequence[Positions], side_px: int, place: Place) -> list[dict[str, np.ndarray]]:
        """For each cut: stream -> uint8 (T, side, side, C), the same square for all cuts and streams.

        Frame numbers past the end of a stream (a header may promise a frame too many) give its last frame. Raises
        BrokenVideo, and HarnessError where the streams differ in size.
        """
        clips: list[dict[str, np.ndarray]] = [{} for _ in cuts]
        square = _Square(video, side_px, place)
        for stream in self.streams:
            found, numbers = self._source(video, stream, [cut[stream] for cut in cuts], square)
            for clip, wanted in zip(clips, numbers, strict=True):
                clip[stream] = _taken(found, wanted)
        return clips

    def clip_into(
        self, video: Video, cut: Positions, side_px: int, place: Place, rooms: Mapping[str, np.ndarray]
    ) -> None:
        """One cut as `clips` has it, put into `rooms`: stream -> uint8 (T, side, side, C). Raises as `clips` does."""
        square = _Square(video, side_px, place)
        for stream in self.streams:
            room = rooms[stream]
            found, (wanted,) = self._source(video, stream, [cut[stream]], square, room)
            if found is not room:
                room[...] = _taken(found, wanted)

    def check(self, video: Video) -> None:
        """Decodes the video to its end and keeps nothing. Raises BrokenVideo."""
        if "flow" in self.streams and self.flow_store is not None:
            self.flow_store.open(video)
        if "rgb" in self.streams and self.prepared.dataset.kind == "video":
            with self._file(video) as path:
                for _ in decode.iter_video(path, **self._rules):
                    pass

    def _source(
        self, video: Video, stream: str, wanted: Sequence[np.ndarray], square: _Square, room: np.ndarray | None = None
    ) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        """(squares (T', side, side, C), for each of `wanted` the numbers in those). Where it can, it fills the `room` for the
        one that is wanted, and gives that."""
        if stream == "flow":
            return self._flow(video, wanted, square)
        key = self._key(stream, video)
        kept = self.kept.get(key, self._mark)
        if kept is None and (self.prepared.dataset.kind == "images" or self._fits(video)):
            kept = self._decode(video)
            self.kept.keep(key, kept, self._mark)
        if kept is not None:
            return square.cut(kept), [np.minimum(numbers, len(kept) - 1) for numbers in wanted]
        union = np.unique(np.concatenate(wanted))
        out = room if room is not None and np.array_equal(union, wanted[0]) else None
        with self._file(video) as path:
            window = decode.read_window(path, union, crop=square, out=out, **self._rules)
        return window, [np.searchsorted(union, numbers) for numbers in wanted]

    def _fits(self, video: Video) -> bool:
        row = self.prepared.info(video)
        height, width = short_side_size(row.height, row.width, self.scale.short_side_px)
        return self.kept.fits(3 * height * width * self.num_frames(video), self._mark)

    def _key(self, stream: str, video: Video) -> Hashable | None:
        """What is kept under: the file that is read, as it was when this reader first asked, and how it is decoded."""
        if (stream, video.id) not in self._keys:
            how: tuple[str | float, ...] = ()
            if stream == "flow":
                assert self.flow_store is not None
                path = self.flow_store.path(video)
            else:
                path = self.prepared.path(video) if self.frame_store is None else self.frame_store.path(video)
                how = self.decoder, self.scale.fps, self.scale.short_side_px
            try:
                file = path.stat()
            except OSError:
                return None  # whoever opens it says so
            identity = str(path.absolute()), file.st_ino, file.st_size, file.st_mtime_ns
            self._keys[stream, video.id] = (*identity, *how)
        return self._keys[stream, video.id]

    def _decode(self, video: Video) -> np.ndarray:
        if self.prepared.dataset.kind == "images":
            return decode.read_image(self.prepared.path(video), short_side_px=self.scale.short_side_px)[None]
        with self._file(video) as path:
            return decode.read_video(path, **self._rules)

    @property
    def _rules(self) -> dict[str, Any]:
        """Frame rate, short side and decoder, as the functions of `decode` take them."""
        return {"fps": self.scale.fps, "short_side_px": self.scale.short_side_px, "decoder": self.decoder}

    @contextlib.contextmanager
    def _file(self, video: Video) -> Iterator[Path]:
        """What to decode. A file of the frame store that cannot be decoded is no fault of the video: HarnessError."""
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
        same_size = method.short_side_px == self.scale.short_side_px
        numbers = [np.minimum(one, len(codes) - 1) for one in wanted]
        if same_size and isinstance(codes, np.ndarray):
            return square.cut(codes), numbers
        union = np.unique(np.concatenate(numbers))
        found = [np.searchsorted(union, one) for one in numbers]
        if same_size and isinstance(codes, FlowFile):
            return codes.read(union, square(*codes.shape[1:3])), found
        fields = codes.read(union) if isinstance(codes, FlowFile) else codes[union]
        height, width = short_side_size(fields.shape[1], fields.shape[2], self.scale.short_side_px)
        resized = codec.resize_flow(codec.decode(fields, method) * method.bound_px, height, width)
        return square.cut(codec.encode(resized, method)), found

    def _codes(self, video: Video) -> np.ndarray | FlowFile:
        """All of them, where they fit into memory; else the file."""
        assert self.flow_store is not None
        key = self._key("flow", video)
        kept = self.kept.get(key, self._mark)
        if kept is not None:
            return kept
        file = self.flow_store.open(video)
        if not self.kept.fits(math.prod(file.shape), self._mark):
            return file
        whole = file.read()
        self.kept.keep(key, whole, self._mark)
        return whole


def reads_store(prepared: Prepared, streams: Sequence[str], scale: Scale) -> bool:
    """Whether frames come from the frame store: images and flow never do."""
    return scale.video_source != "originals" and "rgb" in streams and prepared.dataset.kind == "video"


def _taken(frames: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """frames[wanted], without a copy where those are consecutive: views of a long video are as large as memory allows."""
    first, last = int(wanted[0]), int(wanted[-1])
    if last - first + 1 == len(wanted) and (np.diff(wanted) == 1).all():
        return frames[first : last + 1]
    return frames[wanted]


class _Square:
    """The one square of all clips and streams of a video, placed as soon as the size of its pictures is known."""

    def __init__(self, video: Video, side_px: int, place: Place) -> None:
        self._video = video
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
                "flow store does not belong to these videos, delete it"
            )
        return *self._corner, self._side_px

    def cut(self, frames: np.ndarray) -> np.ndarray:
        top, left, side = self(frames.shape[1], frames.shape[2])
        return frames[:, top : top + side, left : left + side]
