"""Decoders by name: PyAV is the default, HARNESS_DECODER the user's choice for new jobs.

The decoder is a part of a job's id: planning takes the user's choice, and everything that decodes for a job gets the name
in its spec. Decoders themselves are plug-ins, in `harness.video.decoders`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any

from harness.core import registry
from harness.core.errors import HarnessError, unknown

VARIABLE = "HARNESS_DECODER"
DEFAULT = "pyav"
OPENCV_DISTRIBUTIONS = ("opencv-contrib-python-headless", "opencv-contrib-python")


def preferred() -> str:
    """Name of the decoder for new jobs: HARNESS_DECODER, or 'pyav'. Raises UnknownName."""
    name = registry.dashed(os.environ.get(VARIABLE, "")) or DEFAULT
    if name not in (names := registry.names("decoder")):
        raise unknown(f"decoder ({VARIABLE})", name, names)
    return name


def named(key: Mapping[str, Any]) -> str:
    """Name of the decoder in a `decode.decoder_key`, or in the key of a frame store."""
    return str(key.get("from", key)["decoder"]).partition(" ")[0]


@functools.cache
def installed_version(distribution: str, remedy: str) -> str:
    """Version of an installed distribution, without importing it. Raises HarnessError with the remedy where it is missing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise HarnessError(f"the decoder '{distribution}' is not installed; {remedy}") from None


@functools.cache
def opencv_version() -> str:
    """Version of the installed OpenCV, without importing it. Raises HarnessError where the contrib build is missing."""
    for name in OPENCV_DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise HarnessError(
        f"OpenCV with its contrib modules is not installed; install {OPENCV_DISTRIBUTIONS[0]} "
        "(the builds without 'contrib' have no TV-L1 optical flow, and two builds in one environment break each other)"
    )
