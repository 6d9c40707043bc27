"""Files of published weights: from the Hugging Face Hub at a commit, or from an address, checked against a hash.

Each library downloads as it documents: huggingface_hub with its tokens, mirrors and cache, torch.hub with the proxies of
the environment and its folder of checkpoints.
"""

from __future__ import annotations

import hashlib
import sys
import urllib.error
from pathlib import Path

from harness.core.atomic import file_sha256
from harness.core.contract import Weights
from harness.core.errors import HarnessError
from harness.models.hub import hub_file
from harness.models.sharded import INDEX, sha256_of, weight_map

CHUNK = 1 << 20
GIT_BLOB = "git-blob:"


def fetch(url: str, target: Path, weights: Weights) -> tuple[Path, str]:
    """(file, commit) of one file of the weights; the commit is '' outside the Hub.

    A file of the Hub stays in its library's cache, one on this machine where it is; others become `target`, unless
    torch.hub has them. Raises HarnessError saying what went wrong and how to bring the file by hand; a downloaded file with
    a wrong hash is removed.
    """
    if weights.repository:
        return _of_hub(url, weights)
    if "://" not in url:
        if weights.sha256 and sha256_of(Path(url)) != weights.sha256:
            raise HarnessError(
                f"{url} has changed since its folder was written (sha256 differs); copy or export the folder again"
            )
        return Path(url), ""
    return _downloaded(url, target, weights), ""


def _of_hub(name: str, weights: Weights) -> tuple[Path, str]:
    """The first of the names that the repository has; with it, the files of an index."""
    commit = weights.revision
    for candidate in (name, *weights.alternatives):
        path, commit = hub_file(weights.repository, candidate, commit)
        if path is None:
            continue
        for part in set(weight_map(path).values()) if candidate.endswith(INDEX) else ():
            hub_file(weights.repository, part, commit)
        return path, commit
    names = " or ".join((name, *weights.alternatives))
    raise HarnessError(
        f"{weights.repository} has no {names} at {commit or 'its newest commit'}; its weights cannot be used"
    )


def _downloaded(url: str, target: Path, weights: Weights) -> Path:
    from torch import hub

    cached = Path(hub.get_dir()) / "checkpoints" / Path(url).name
    for path in (target, *([cached] if weights.sha256 else [])):
        if path.is_file() and matches(path, weights.sha256):
            return path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # It appears by one rename.
        hub.download_url_to_file(url, str(target), progress=sys.stderr.isatty())
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        cause = f"the server answers {error.code}" if isinstance(error, urllib.error.HTTPError) else error
        raise HarnessError(
            f"cannot download {url}: {getattr(cause, 'reason', cause)}. Run the command again, or download the file elsewhere "
            f"and put it at {cached}, or pass it to `harness weights import {weights.name} FILE --stream {weights.stream}`"
        ) from error
    if not matches(target, weights.sha256):
        digest = GIT_BLOB + git_blob(target) if weights.sha256.startswith(GIT_BLOB) else file_sha256(target)
        target.unlink()
        raise HarnessError(
            f"{url} is not the expected file: its hash is {digest}, expected {weights.sha256}; the download was removed. Run the "
            "command again; if that fails too, the published file has changed: get it elsewhere, and use `harness weights import`"
        )
    return target


def matches(path: Path, expected: str) -> bool:
    """Whether the file has this hash: SHA-256 in hex, its first digits, or 'git-blob:' and git's name ('': any file)."""
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
