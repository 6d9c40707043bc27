"""Run a command with uv looking where pip looks, and caching where its files can be hard-linked into this checkout.

    .venv/bin/python tools/like_pip.py uv pip install -e .

uv reads neither pip.conf nor PIP_* variables, so on a machine that reaches its package index through them uv would ask
another index, or none. This hands over the index, the proxy, the certificate and the time-out that pip is
configured with, and leaves alone whatever the environment says to uv itself (UV_DEFAULT_INDEX and the like win).
Extra indexes and find-links folders are *not* handed over: torch and torchvision must come from one index, or
`import torchvision` dies. Needs nothing but the standard library.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

FOR_UV = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "cert": ("SSL_CERT_FILE",),
    "proxy": ("HTTPS_PROXY", "HTTP_PROXY"),
    "default-timeout": ("UV_HTTP_TIMEOUT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
}
SECTIONS = ("global", "install", ":env:")
"""Of pip's configuration, weakest first; pip itself lets the environment win over the files."""


def settings(listing: str) -> dict[str, str]:
    """The output of `pip config list` -> option -> value, the strongest section's where several name one."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in SECTIONS and SECTIONS.index(section) >= found.get(option, (-1, ""))[0]:
            found[option] = (SECTIONS.index(section), str(ast.literal_eval(value)))
    return {option: value for option, (_, value) in found.items()}


def environment(listing: str, current: Mapping[str, str]) -> dict[str, str]:
    """`current` plus what uv needs to look where pip does; nothing that is set already changes."""
    env = dict(current)
    for option, value in settings(listing).items():
        for name in FOR_UV.get(option, ()):
            env.setdefault(name, " ".join(value.split()))
    # A mirror behind a slow line may take its time with the 500 MB wheels; uv's own 30 s is short for that.
    env.setdefault("UV_HTTP_TIMEOUT", "300")
    env.setdefault("UV_PYTHON_DOWNLOADS", "never")
    return env


def can_link(source: Path, target: Path) -> bool:
    """True if a file of folder `source` can be hard-linked into folder `target`."""
    try:
        source.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=source) as probe:
            linked = target / f".link-probe-{os.getpid()}"
            os.link(probe.name, linked)
            linked.unlink()
    except OSError:
        return False
    return True


def cache_folder(prefix: Path, current: Mapping[str, str]) -> Path | None:
    """Folder for uv's cache where its default one cannot be hard-linked from; None where it can.

    Several gigabytes are then on the disk once, however many environments use them, instead of once in each.
    """
    if "UV_CACHE_DIR" in current:
        return None
    default = Path(current.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    return None if can_link(default, prefix) else prefix / "uv-cache"


def main(command: list[str]) -> NoReturn:
    """Becomes `command`, with the programs of this interpreter's environment first in PATH."""
    prefix = Path(sys.prefix)
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    env = environment(listing, os.environ)
    if cache := cache_folder(prefix, os.environ):
        env["UV_CACHE_DIR"] = str(cache)
    env["VIRTUAL_ENV"] = str(prefix)
    env["PATH"] = f"{prefix / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    sys.stdout.flush()
    os.execve(prefix / "bin" / command[0], command, env)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
