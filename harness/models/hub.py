"""Files of the Hugging Face Hub, at a pinned commit: proxies, tokens, mirrors and caches as huggingface_hub documents."""

from __future__ import annotations

import re
from pathlib import Path

from harness.core.errors import HarnessError

COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_file(repository: str, name: str, revision: str = "") -> tuple[Path | None, str]:
    """(path in the library's cache, commit) of a file; the path is None if the commit does not have it.

    `revision`: a commit, branch or tag; '': the default branch. A commit that is in the cache needs no network. Raises
    HarnessError saying what went wrong, and where to put the file by hand.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = Path(hf_hub_download(repository, name, revision=revision or None))
    except LocalEntryNotFoundError as error:
        raise _unreachable(repository, name, revision, str(error)) from error
    except EntryNotFoundError:
        return None, revision
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise _unreachable(repository, name, revision, str(error)) from error
    snapshot = (
        path.relative_to(constants.HF_HUB_CACHE).parts[2] if path.is_relative_to(constants.HF_HUB_CACHE) else revision
    )
    return path, snapshot


def _unreachable(repository: str, name: str, revision: str, cause: str) -> HarnessError:
    at = f" at {revision}" if revision else ""
    first = " ".join(cause.split()).split(". ")[0][:200]
    return HarnessError(
        f"cannot get {name} of {repository}{at} from the Hugging Face Hub ({first}); check the "
        f"internet connection and run the command again, or download https://huggingface.co/{repository} on another machine and "
        "pass --baseline hf:FOLDER"
    )
