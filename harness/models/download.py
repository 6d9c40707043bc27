"""Downloads: resumed after an interruption, checked against a hash, complete or absent."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.core.atomic import file_sha256
from harness.core.errors import HarnessError

CHUNK = 1 << 20
TIMEOUT_S = 60
GIT_BLOB = "git-blob:"
Progress = Callable[[int, int | None], None]
"""(bytes done, total or None)."""


def fetch(url: str, target: Path, *, expected: str = "", progress: Progress | None = None) -> Path:
    """The file at `url` as `target`, which appears by one rename once its hash is right.

    An interrupted download stays in `target`.part and is continued if the server can. `expected`: SHA-256 in hex, its
    first digits, or 'git-blob:' and git's name for the content; '' checks nothing. Raises HarnessError saying what went
    wrong and how to bring the file by hand; a file with a wrong hash is removed.
    """
    if target.is_file() and matches(target, expected):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    _download(url, partial, target, progress)
    if not matches(partial, expected):
        digest = file_sha256(partial)
        partial.unlink()
        raise HarnessError(f"{url} is not the expected file: SHA-256 {digest}, expected {expected}; it was removed")
    return partial.replace(target)


def matches(path: Path, expected: str) -> bool:
    """Whether the file has this hash ('' matches any file)."""
    if expected.startswith(GIT_BLOB):
        return git_blob(path) == expected.removeprefix(GIT_BLOB)
    return file_sha256(path).startswith(expected.lower()) if expected else True


def git_blob(path: Path) -> str:
    """Git's name for the content: SHA-1 over 'blob SIZE', a zero byte and the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, partial: Path, target: Path, progress: Progress | None) -> None:
    done = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            if response.status != 206:
                done = 0  # the server sends the whole file again
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else None
            with partial.open("ab" if done else "wb") as file:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:
            return  # the partial file is complete; the hash decides
        raise _unreachable(url, target, f"the server answers {error.code}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(url, target, str(getattr(error, "reason", error))) from error
    if total is not None and done < total:
        raise _unreachable(url, target, f"the connection ended after {done} of {total} bytes, which are kept")


def _unreachable(url: str, target: Path, cause: str) -> HarnessError:
    return HarnessError(
        f"cannot download {url}: {cause}. Run the command again to continue, or download the file elsewhere and pass it to "
        f"`harness weights import NAME FILE` (the download would be {target})"
    )
