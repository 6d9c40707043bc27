"""Files from the network or from a disk: resumed where they broke off, checked, there whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.core.errors import HarnessError

CHUNK = 1 << 20
TIMEOUT_S = 60
GIT_BLOB = "git-blob:"


def fetch(
    url: str,
    target: Path,
    *,
    expected: str = "",
    local: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """The file at `url` (or the copy `local`) as `target`, which appears by one rename once its hash is right.

    What an interrupted download left in `target`.part is kept and continued if the server can. `expected`: SHA-256 in
    hex, the first digits of it, or 'git-blob:' and git's name for the content; '' checks nothing. `progress(done,
    total)` in bytes. Raises HarnessError saying what went wrong and how to bring the file by hand; a wrong hash removes
    it.
    """
    if target.is_file() and matches(target, expected):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    if local is not None:
        if not local.is_file():
            raise HarnessError(f"no file {local}")
        shutil.copyfile(local, partial)
    else:
        _download(url, partial, target, progress)
    if not matches(partial, expected):
        found = file_hash(partial)
        partial.unlink()
        where = local or url
        raise HarnessError(f"{where} is not what it should be: SHA-256 {found}, expected {expected}; it was not kept")
    return partial.replace(target)


def file_hash(path: Path) -> str:
    """SHA-256 of the content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(path: Path, expected: str) -> bool:
    """Does the file have this hash ('' fits any)?"""
    if expected.startswith(GIT_BLOB):
        return git_blob(path) == expected.removeprefix(GIT_BLOB)
    return file_hash(path).startswith(expected.lower()) if expected else True


def git_blob(path: Path) -> str:
    """The name under which git keeps this content: SHA-1 over 'blob SIZE', a zero byte and the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, partial: Path, target: Path, progress: Callable[[int, int | None], None] | None) -> None:
    done = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            if answer.status != 206:
                done = 0  # the server sends the whole file again
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else None
            with partial.open("ab" if done else "wb") as file:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:
            return  # nothing is left to send; the hash decides
        raise _unreachable(url, target, f"the server answers {error.code}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(url, target, str(getattr(error, "reason", error))) from error
    if total is not None and done < total:
        raise _unreachable(url, target, f"the connection ended after {done} of {total} bytes; what came is kept")


def _unreachable(url: str, target: Path, why: str) -> HarnessError:
    return HarnessError(
        f"cannot download {url}: {why}. Run the command again to continue, or download the file elsewhere and hand it over "
        f"with `harness weights import NAME FILE` (it would lie at {target})"
    )
