"""What all formats share: lines of annotation files, files on disk, and the Listing made of both.

Functions that take ``name``, an annotation file's name, use it in their errors: BadLists, with the numbers of all wrong lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.core.contract import Listing, Video
from harness.core.errors import BadLists, DataMissing, Fault

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".flv", ".wmv", ".3gp")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SUBSETS = ("train", "val", "test")
AGAIN = "Fetch the official lists again."


@dataclass(frozen=True)
class Line:
    """One listed video of UCF-101 or HMDB-51."""

    path: str
    """As listed: 'Class/file.avi' (UCF-101) or 'file.avi' (HMDB-51)."""
    label: int | None
    """0-based class of a UCF-101 line; None for HMDB-51, whose class is in the name of the list."""
    subset: str
    """'train', 'test' or 'unused'."""


def inside(path: str, *, name: str, number: int, advice: str = AGAIN) -> str:
    """`path`, if it stays below the root. Raises BadLists for '..', an absolute path or a NUL."""
    parts = path.replace("\\", "/").split("/")
    if not path or ".." in parts or parts[0] == "" or re.match(r"^[A-Za-z]:$", parts[0]) or "\0" in path:
        message = f"{name}, line {number}: '{path}' leaves the data set's folder; refused. {advice}"
        raise fault("leaves the root", message)
    return path


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, stripped line) of every line that is not empty."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def each_line(text: str, read: Callable[[int, str], Line], *, name: str) -> tuple[Line, ...]:
    """`read(number, line)` for every line; a path may be listed only once. Raises BadLists with all faults of the file."""
    listed: dict[str, Line] = {}
    faults = Faults()
    for number, text_line in lines_of(text):
        with faults:
            line = read(number, text_line)
            if line.path in listed:
                faults.add("listed twice", f"{name}, line {number}: '{line.path}' is listed twice. {AGAIN}")
            listed[line.path] = line
    faults.refuse()
    return tuple(listed.values())


class Faults(list[Fault]):
    """Faults of annotation files, collected to be raised together. As a context it collects those that its block raises."""

    def add(self, kind: str, text: str) -> None:
        self.append(Fault(kind, text))

    def refuse(self) -> None:
        """Raise BadLists if there are any."""
        if self:
            raise BadLists(self)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        if isinstance(error, BadLists):
            self.extend(error.faults)
        return isinstance(error, BadLists)


def bad_line(name: str, number: int, line: str, expected: str) -> BadLists:
    return fault("unreadable line", f"{name}, line {number}: expected {expected}, got '{line[:120]}'. {AGAIN}")


def fault(kind: str, text: str) -> BadLists:
    return BadLists([Fault(kind, text)])


@dataclass(frozen=True)
class Listed:
    """A video that a list names, on disk or not."""

    id: str
    subset: str
    """'train', 'val' or 'test'; 'unused' where the lists put it in none."""
    label: int
    group: str
    path: str | None
    """Below the root; None: not on disk."""
    seconds: float = 0.0
    """Its length by the lists; 0: not given."""


def listing_of(
    root: Path, classes: Sequence[str], lines: Sequence[Listed], *, remedy: str, advice: str = AGAIN
) -> Listing:
    """The Listing. Raises BadLists for an id listed twice or a class without training videos, DataMissing without a file.

    `advice` ends the text of each fault, `remedy` that of DataMissing.
    """
    listed = [video for video in lines if video.subset != "unused"]
    _refuse_contradictions(root, classes, listed, advice)
    missing = tuple(video.id for video in listed if video.path is None)
    if len(missing) == len(listed):
        raise absent(root, f"any of the {len(missing)} listed videos (the first: '{missing[0]}')", remedy)
    present = sorted({video.subset for video in listed}, key=SUBSETS.index)
    subsets: dict[str, list[Video]] = {subset: [] for subset in present}
    for video in listed:
        if video.path is not None:
            subsets[video.subset].append(Video(id=video.id, path=video.path, label=video.label, group=video.group))
    return Listing(
        tuple(classes),
        {subset: tuple(videos) for subset, videos in subsets.items()},
        missing,
        missing_from={video.id: video.subset for video in listed if video.path is None},
        unused=tuple(video.id for video in lines if video.subset == "unused"),
        seconds={video.id: video.seconds for video in listed if video.seconds},
    )


def _refuse_contradictions(root: Path, classes: Sequence[str], listed: Sequence[Listed], advice: str) -> None:
    faults = Faults()
    for video in listed:
        if video.path and not _is_utf8(video.path):
            faults.add("unreadable name", f"{video.path!r} below '{root}' is not UTF-8; rename the file or its folder.")
    subset_of: dict[str, str] = {}
    for video in listed:
        before = subset_of.get(video.id)
        if before == video.subset:
            faults.add("listed twice", f"'{video.id}' occurs twice below '{root}' (suffixes do not count). {advice}")
        elif before:
            message = f"'{video.id}' below '{root}' is in {before} and again in {video.subset}. {advice}"
            faults.add("in two subsets", message)
        subset_of[video.id] = video.subset
    trained = {video.label for video in listed if video.subset == "train"}
    for label, cls in enumerate(classes):
        if label not in trained:
            faults.add("empty class", f"class '{cls}' has no training video below '{root}'. {advice}")
    faults.refuse()


def _is_utf8(path: str) -> bool:
    """False for names that the file system has and text cannot hold (Python reads them with surrogates)."""
    return path.isascii() or path.encode("utf-8", "replace").decode() == path


def absent(root: Path, content: str, remedy: str) -> DataMissing:
    return DataMissing(f"'{root}' does not have {content}. {remedy}".rstrip())


def find_folder(root: Path, names: Sequence[str], content: str, remedy: str, has: Callable[[str], bool]) -> Path:
    """The first of these folders of the root with an entry that `has` accepts; `content` describes the entry."""
    for folder in (root / name for name in names):
        if folder.is_dir() and any(has(entry.name) for entry in visible_entries(folder)):
            return folder
    raise absent(root, f"{content} in the folder '{names[0]}'", remedy)


def read_text(path: Path, remedy: str, *, advice: str = AGAIN) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as cause:
        raise absent(path.parent, f"'{path.name}'", remedy) from cause
    except UnicodeDecodeError as cause:
        raise fault("unreadable line", f"'{path}' is not UTF-8 text (byte {cause.start}). {advice}") from cause


def visible(name: str) -> bool:
    """False for what file managers and editors leave behind: `._clip.mp4` and `__MACOSX` (macOS), `.ipynb_checkpoints`."""
    return not name.startswith(".") and name != "__MACOSX"


def visible_entries(folder: Path) -> list[Path]:
    """Visible files and folders in the folder, sorted."""
    return sorted(path for path in folder.iterdir() if visible(path.name))


def files_in(folder: Path, suffixes: Sequence[str], *, hidden: bool = False) -> set[str]:
    """Paths below the folder, with '/', of the files with one of the suffixes. Links are followed, loops are not.

    Hidden files, and files in hidden folders, are included only with `hidden`.
    """
    files: set[str] = set()
    visited: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        visited.add(Path(parent).resolve())
        folders[:] = [name for name in folders if hidden or visible(name)]
        folders[:] = [name for name in folders if (Path(parent) / name).resolve() not in visited]
        prefix = "" if parent == str(folder) else Path(parent).relative_to(folder).as_posix() + "/"
        names = [name for name in names if hidden or visible(name)]
        files.update(prefix + name for name in names if name.lower().endswith(tuple(suffixes)))
    return files


def paths_by_stem(root: Path) -> Mapping[str, list[str]]:
    """Name without suffix -> the videos of that name below the root, at any depth."""
    by_stem: dict[str, list[str]] = {}
    for path in sorted(files_in(root, VIDEO_SUFFIXES)):
        by_stem.setdefault(PurePosixPath(path).stem, []).append(path)
    return by_stem


def below(root: Path, folder: Path, inner: str) -> str:
    """`inner`, a path in `folder`, as one below the root."""
    return (folder.relative_to(root) / inner).as_posix()


def stem_of(path: str) -> str:
    """The path without its last suffix (names of HMDB-51 have dots, brackets and more)."""
    return path.rpartition(".")[0]
