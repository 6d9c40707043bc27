"""The official archives as downloaded, unpacked in their own folder: by an installed program, or by Python itself.

UCF101.rar, UCF101TrainTestSplits-RecognitionTask.zip, hmdb51_org.rar (a rar of rars), test_train_splits.rar, and
Kinetics' .tar.gz parts. An archive is unpacked next to itself under a temporary name, and its content appears by renames;
after a kill the next call does it again. Members that would leave the folder are refused, by name, before
anything is written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.atomic import remove_if_stale, temporary_path, write_text
from harness.core.errors import HarnessError

Progress = Callable[[int, int], None]

SUFFIXES = (".rar", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DONE = ".extracted.json"
"""Which archives of a folder have been unpacked, and the names of their content."""
FETCH = "Download it again from its source."
DEPTH = 2
"""Folders below the root in which archives are looked for: train/part_0.tar.gz."""
_LATER_VOLUME = re.compile(r"\.part0*([2-9]|[1-9]\d+)\.rar$", re.IGNORECASE)


@dataclass(frozen=True)
class Unpacker:
    """A program that reads RAR."""

    program: str
    lists: Sequence[str]
    """Arguments that print the members of {archive}."""
    unpacks: Sequence[str]
    """Arguments that unpack {archive} into the current folder."""
    names: Callable[[str], list[str]]
    """Its output -> the members' names."""


def _lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.strip()]


def _paths_of_7z(output: str) -> list[str]:
    return [line.removeprefix("Path = ") for line in output.splitlines() if line.startswith("Path = ")]


UNPACKERS = (
    Unpacker("unrar", ("lb", "-p-", "--", "{archive}"), ("x", "-o+", "-p-", "-idq", "--", "{archive}"), _lines),
    Unpacker("lsar", ("{archive}",), (), lambda output: _lines(output)[1:]),
    Unpacker("7zz", ("l", "-slt", "-ba", "--", "{archive}"), ("x", "-y", "-bd", "--", "{archive}"), _paths_of_7z),
    Unpacker("7z", ("l", "-slt", "-ba", "--", "{archive}"), ("x", "-y", "-bd", "--", "{archive}"), _paths_of_7z),
    Unpacker("bsdtar", ("-tf", "{archive}"), ("-xf", "{archive}"), _lines),
)
UNAR = ("-q", "-f", "-D", "-o", ".", "{archive}")
"""lsar lists members; unar, of the same package, unpacks."""
REMEDY = (
    "Install one of unrar, unar, 7z or bsdtar (Debian: apt install unar, its 7z reads no RAR; macOS: brew install unar; "
    "conda: libarchive), and run the command again, or unpack it there yourself."
)


def extract_archives(root: Path, *, progress: Progress | None = None) -> tuple[str, ...]:
    """Unpack every archive below `root` that is not unpacked yet; the names of those that were, relative to it.

    The content goes to the folder of the archive, archives within it included; the archive itself stays.
    Raises HarnessError naming the archive: where no program reads it, a member leaves the folder, the disk is too
    small, or it is damaged.
    """
    done = _done(root)
    todo = [path for path in sorted(_archives(root)) if not _is_done(root, path, done)]
    unpacked = []
    for number, path in enumerate(todo):
        if progress:
            progress(number, len(todo))
        entries = _unpack_next_to(path)
        name = path.relative_to(root).as_posix()
        done[name] = {"mark": _mark(path), "entries": entries}
        write_text(root / DONE, json.dumps(done, indent=1))
        unpacked.append(name)
    if progress and todo:
        progress(len(todo), len(todo))
    return tuple(unpacked)


def _archives(root: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(root):
        depth = len(Path(parent).relative_to(root).parts)
        folders[:] = [] if depth >= DEPTH else [name for name in folders if not name.startswith(".")]
        for name in files:
            if is_archive(name) and not name.startswith("."):
                yield Path(parent, name)


def is_archive(name: str) -> bool:
    """By its suffix; later volumes of a RAR archive belong to the first."""
    return name.lower().endswith(SUFFIXES) and not _LATER_VOLUME.search(name)


def _unpack_next_to(path: Path) -> list[str]:
    """Unpack into the archive's own folder, by renames -> the names of the new entries."""
    for temporary in path.parent.glob(".*.half"):
        remove_if_stale(temporary)
    staging = temporary_path(path)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        _unpack(path, staging)
        _unpack_within(staging)
        entries = sorted(entry.name for entry in staging.iterdir())
        _merge(staging, path.parent)
    except OSError as error:
        raise HarnessError(
            f"cannot unpack {path}: {error.strerror or error}; free some space there, or unpack it yourself elsewhere "
            "and name that folder with --data"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return entries


def _unpack_within(folder: Path) -> None:
    """Unpack archives within the archive (HMDB-51: one per class) in their own folders, and remove them."""
    for inner in sorted(_archives(folder)):
        nested = inner.with_name(f"{inner.name}.unpacked")
        _unpack(inner, nested)
        inner.unlink()
        _merge(nested, inner.parent)


def _unpack(path: Path, into: Path) -> None:
    """Unpack `path` into the new folder `into`, once every member is known to stay in it."""
    into.mkdir()
    lower = path.name.lower()
    if lower.endswith(".rar"):
        _unrar(path, into)
    elif lower.endswith(".zip"):
        _unzip(path, into)
    else:
        _untar(path, into)
    _refuse_links(path, into)


def _unzip(path: Path, into: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_leaving(path, archive.namelist())
            _refuse_too_large(path, into, sum(member.file_size for member in archive.infolist()))
            archive.extractall(into)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
        raise _damaged(path, str(error)) from error


def _untar(path: Path, into: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            _refuse_leaving(path, [member.name for member in members])
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise HarnessError(f"{path}: its member '{member.name}' is a link or a device; refused. {FETCH}")
            _refuse_too_large(path, into, sum(member.size for member in members))
            for member in members:
                _untar_one(archive, member, into / member.name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error


def _untar_one(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Content only, without owner and mode. (tarfile's own filter for that needs Python 3.11.4.)"""
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None, "a regular file has content"
    with content, target.open("wb") as copy:
        shutil.copyfileobj(content, copy)


def _unrar(path: Path, into: Path) -> None:
    """With the first installed program that succeeds: none reads every RAR archive."""
    installed = [tool for tool in UNPACKERS if shutil.which(tool.program)]
    if not installed:
        raise HarnessError(f"no installed program can unpack {path}. {REMEDY}")
    failures = []
    for tool in installed:
        cause, output = _call(tool.program, tool.lists, path, into)
        if cause:
            failures.append(f"{tool.program}: {cause}")
            continue
        _refuse_leaving(path, tool.names(output))
        _refuse_too_large(path, into, path.stat().st_size)
        program, arguments = ("unar", UNAR) if tool.program == "lsar" else (tool.program, tool.unpacks)
        cause, _ = _call(program, arguments, path, into)
        if not cause:
            return
        failures.append(f"{program}: {cause}")
        if shutil.disk_usage(into).free < 1 << 20:
            message = f"the disk is full, {path} could not be unpacked; nothing was kept of it. Free some space"
            raise HarnessError(message)
        for entry in into.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    message = f"{path} could not be unpacked ({'; '.join(failures)}). It may be damaged: download it again. {REMEDY}"
    raise HarnessError(message)


def _call(program: str, arguments: Sequence[str], path: Path, into: Path) -> tuple[str, str]:
    """(cause of the failure or '', output)."""
    words = [program, *(word.replace("{archive}", str(path.resolve())) for word in arguments)]
    try:
        process = subprocess.run(words, cwd=into, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        return str(error.strerror), ""
    output = os.fsdecode(process.stdout)
    if not process.returncode:
        return "", output
    messages = _lines(os.fsdecode(process.stderr) or output)
    return (messages[-1].strip() if messages else f"exit status {process.returncode}"), output


def _refuse_leaving(path: Path, names: Sequence[str]) -> None:
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or not parts[0] or re.match(r"^[A-Za-z]:", parts[0]) or "\0" in name:
            raise HarnessError(f"{path}: its member '{name}' is outside the folder; nothing was unpacked. {FETCH}")


def _refuse_links(path: Path, into: Path) -> None:
    """RAR programs create links; the official archives have none."""
    for parent, folders, files in os.walk(into):
        for name in (*folders, *files):
            mode = Path(parent, name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                member = Path(parent, name).relative_to(into)
                raise HarnessError(f"{path}: its member '{member}' is a link or a device; refused. {FETCH}")


def _refuse_too_large(path: Path, into: Path, size: int) -> None:
    free = shutil.disk_usage(into).free
    if size > free:
        raise HarnessError(
            f"{path} unpacks to {size / 1e9:.1f} GB or more, and {free / 1e9:.1f} GB are free there; free some, or move the "
            "data set to a larger disk and name it with --data"
        )


def _damaged(path: Path, cause: str) -> HarnessError:
    return HarnessError(f"{path} is damaged or incomplete ({cause}); download it again")


def _merge(source: Path, target: Path) -> None:
    """Move everything in `source` into `target` by renames: whole folders where they are new, file by file elsewhere."""
    for entry in sorted(source.iterdir()):
        destination = target / entry.name
        if entry.is_dir() and destination.is_dir():
            _merge(entry, destination)
        else:
            entry.replace(destination)
    source.rmdir()


def _done(root: Path) -> dict[str, dict[str, object]]:
    try:
        stored = json.loads((root / DONE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _is_done(root: Path, path: Path, done: dict[str, dict[str, object]]) -> bool:
    """Whether this version of the archive has been unpacked, and its content is still there."""
    entry = done.get(path.relative_to(root).as_posix())
    if not entry or entry.get("mark") != _mark(path):
        return False
    entries = entry.get("entries")
    return isinstance(entries, list) and all((path.parent / str(name)).exists() for name in entries)


def _mark(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
