"""Checks of what jobs read and write: memory, data sets, MLflow, disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.core import registry
from harness.core.contract import Dataset
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.records.tracking import open_tracker

LOW_DISK_GB, LOWEST_DISK_GB = 5.0, 0.5
"""The micro experiment of Table 4 stays under 2 GB; a full disk stops it."""
LOW_MEMORY_GB = 2.0
"""Memory that a micro job may take."""
SERVER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class CheckResult:
    """One thing that was checked."""

    name: str
    """Its name in a word or two."""
    state: Literal["ok", "warn", "fail"]
    """'warn': something is missing that some runs need; 'fail': runs cannot work."""
    detail: str
    """Result of the check."""
    remedy: str = ""
    """Remedy; '' if none is needed."""


def checks(workspace: Workspace) -> Iterator[CheckResult]:
    """All of this module."""
    yield memory()
    yield from datasets(workspace.data)
    yield mlflow(workspace.results)
    yield from disk(workspace)


def memory() -> CheckResult:
    import psutil

    now = psutil.virtual_memory()
    detail = f"{now.available / 1e9:.1f} GB of {now.total / 1e9:.1f} GB are free"
    if now.available / 1e9 < LOW_MEMORY_GB:
        remedy = f"a micro job may take {LOW_MEMORY_GB:.0f} GB: close other programs"
        return CheckResult("memory", "warn", detail, remedy)
    return CheckResult("memory", "ok", detail)


def datasets(data: Path) -> Iterator[CheckResult]:
    """One result per data set; a family without members of its own has nothing to check."""
    for name, dataset in registry.all("dataset").items():
        if not dataset.at or dataset.counts:
            yield dataset_check(name, dataset, data)


def dataset_check(name: str, dataset: Dataset, data: Path) -> CheckResult:
    from harness.data import prepare

    root = prepare.root_of(dataset, data)
    if prepare.expected_fingerprint(dataset, data):
        return _indexed(name, dataset, data, root)
    if dataset.micro:
        return CheckResult(name, "ok", "micro data set; rendered when first needed")
    if root.is_dir():
        return CheckResult(name, "warn", f"at {root}, not indexed", f"harness data prepare {name}")
    return CheckResult(name, "warn", f"not at {root}", dataset.download)


def _indexed(name: str, dataset: Dataset, data: Path, root: Path) -> CheckResult:
    """Compare its lists with the files on disk and with the card's counts."""
    from harness.data import prepare

    remedy = f"'harness data verify {name}' lists the files"
    try:
        prepared = prepare.open_prepared(dataset, data, render=False)
        listings = {split: prepared.listing(split) for split in dataset.splits}
    except HarnessError as error:
        return CheckResult(name, "warn", str(error), remedy)
    differing = [
        f"split {split} {subset}: {len(listings[split].subsets.get(subset, ()))} of {count} videos"
        for (split, subset), count in dataset.counts.items()
        if split in listings and len(listings[split].subsets.get(subset, ())) != count
    ]
    if differing:
        return CheckResult(name, "warn", f"at {root}, indexed; {'; '.join(differing)}", remedy)
    return CheckResult(name, "ok", f"at {root}, indexed, {len(prepared.rows)} files, counts as on its card")


def mlflow(results: Path) -> CheckResult:
    uri = open_tracker(None, results, "").server.uri
    if uri.startswith(("http://", "https://")):
        return server(uri)
    if not uri.startswith("sqlite:///"):
        return CheckResult("mlflow", "ok", f"{uri}: not checked")
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.exists():
        return CheckResult("mlflow", "ok", f"the first run creates {path}")
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=SERVER_TIMEOUT_S) as database:
            runs = database.execute("select count(*) from runs").fetchone()[0]
    except sqlite3.Error as error:
        remedy = f"move {path} away; 'harness mlflow push' fills a new one from the results folder"
        return CheckResult("mlflow", "warn", f"{path} cannot be read: {error}", remedy)
    return CheckResult("mlflow", "ok", f"{path}: {runs} runs; view: 'mlflow ui --backend-store-uri sqlite:///{path}'")


def server(uri: str) -> CheckResult:
    """Whether a tracking server answers. Runs do not depend on it: missing ones can be pushed later."""
    remedy = (
        "start it, or correct MLFLOW_TRACKING_URI; jobs run without it, and 'harness mlflow push' uploads them later"
    )
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_TIMEOUT_S) as answer:
            return CheckResult("mlflow", "ok", f"{uri} answers ({answer.status})")
    except (urllib.error.URLError, OSError, ValueError) as error:
        return CheckResult("mlflow", "warn", f"{uri} does not answer: {getattr(error, 'reason', error)}", remedy)


def disk(workspace: Workspace) -> Iterator[CheckResult]:
    """Free space and write permission of the folders of data sets and results."""
    for name, folder in (("data", workspace.data), ("results", workspace.results)):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free_gb = shutil.disk_usage(existing).free / 1e9
        detail, other = f"{folder}: {free_gb:.1f} GB free", f"choose another folder with --{name}"
        if not os.access(existing, os.W_OK | os.X_OK):
            yield CheckResult(name, "fail", f"{existing} is not writable", other)
        elif free_gb < LOW_DISK_GB:
            state: Literal["warn", "fail"] = "fail" if free_gb < LOWEST_DISK_GB else "warn"
            yield CheckResult(name, state, detail, f"free some space, or {other}")
        else:
            yield CheckResult(name, "ok", detail)
