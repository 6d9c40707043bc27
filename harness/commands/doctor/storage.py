"""Where jobs find their data and leave their results, as findings: data sets, MLflow, memory, disk. Looks only."""

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

LOW_DISK_GB, LOWEST_DISK_GB = 5.0, 0.5
"""The micro experiment of Table 4 stays under 2 GB; a full disk stops it."""
LOW_MEMORY_GB = 2.0
"""What a micro job may take."""
SERVER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    """What it is, in a word or two."""
    state: Literal["ok", "warn", "fail"]
    """'warn': something is missing that not everybody needs; 'fail': the main job cannot run."""
    detail: str
    """What was seen."""
    remedy: str = ""
    """What to do about it; '' where there is nothing to do."""


def datasets(data: Path) -> Iterator[Finding]:
    """One finding a data set: there and indexed, there, rendered when needed, or not there."""
    for name, dataset in registry.all("dataset").items():
        if dataset.at and not dataset.counts:  # a family without a member of its own: there is nothing to look for
            continue
        yield dataset_finding(name, dataset, data)


def dataset_finding(name: str, dataset: Dataset, data: Path) -> Finding:
    from harness.data import prepare

    root = prepare.root_of(dataset, data)
    if prepare.expected_fingerprint(dataset, data):
        return _indexed(name, dataset, data, root)
    if dataset.micro:
        return Finding(name, "ok", "embedded; rendered when it is first needed")
    if root.is_dir():
        return Finding(name, "warn", f"at {root}, not indexed", f"harness data prepare {name}")
    return Finding(name, "warn", f"not at {root}", dataset.download)


def _indexed(name: str, dataset: Dataset, data: Path, root: Path) -> Finding:
    """Its lists against the card: what they name and the disk lacks, and what the card counts and they do not name."""
    from harness.data import prepare

    remedy = f"'harness data verify {name}' says which files"
    try:
        prepared = prepare.open_prepared(dataset, data, render=False)
        listings = {split: prepared.listing(split) for split in dataset.splits}
    except HarnessError as error:
        return Finding(name, "warn", str(error), remedy)
    odd = [
        f"split {split} {subset}: {len(listings[split].subsets.get(subset, ()))} of {count} videos"
        for (split, subset), count in dataset.counts.items()
        if split in listings and len(listings[split].subsets.get(subset, ())) != count
    ]
    if odd:
        return Finding(name, "warn", f"at {root}, indexed; {'; '.join(odd)}", remedy)
    return Finding(name, "ok", f"at {root}, indexed, {len(prepared.rows)} files, every split as its card counts it")


# ------------------------------------------------------------------------------------------------ places


def mlflow(results: Path) -> Finding:
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results / 'mlflow.db'}"
    if uri.startswith(("http://", "https://")):
        return server(uri)
    if not uri.startswith("sqlite:///"):
        return Finding("mlflow", "ok", f"{uri}: not looked into")
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.exists():
        return Finding("mlflow", "ok", f"{path} is made by the first run")
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=SERVER_TIMEOUT_S) as database:
            runs = database.execute("select count(*) from runs").fetchone()[0]
    except sqlite3.Error as error:
        remedy = f"move {path} away; 'harness mirror push' fills a new one from the ledger"
        return Finding("mlflow", "warn", f"{path} cannot be read: {error}", remedy)
    return Finding("mlflow", "ok", f"{path}: {runs} runs; 'mlflow ui --backend-store-uri sqlite:///{path}' shows them")


def server(uri: str) -> Finding:
    """Does a tracking server answer? Runs do not depend on it: what it misses is pushed later."""
    remedy = "start it, or mend MLFLOW_TRACKING_URI; runs go on without it and 'harness mirror push' brings them later"
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_TIMEOUT_S) as answer:
            return Finding("mlflow", "ok", f"{uri} answers ({answer.status})")
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Finding("mlflow", "warn", f"{uri} does not answer: {getattr(error, 'reason', error)}", remedy)


def memory() -> Finding:
    import psutil

    now = psutil.virtual_memory()
    seen = f"{now.available / 1e9:.1f} GB of {now.total / 1e9:.1f} GB are free"
    if now.available / 1e9 < LOW_MEMORY_GB:
        return Finding("memory", "warn", seen, f"a micro job may take {LOW_MEMORY_GB:.0f} GB: close something")
    return Finding("memory", "ok", seen)


def disk(workspace: Workspace) -> Iterator[Finding]:
    """Space, and whether files may be made, where the data sets and the ledger go."""
    for what, folder, flag in (("data", workspace.data, "--data"), ("results", workspace.results, "--results")):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free_gb = shutil.disk_usage(there).free / 1e9
        seen = f"{folder}: {free_gb:.1f} GB free"
        if not os.access(there, os.W_OK | os.X_OK):
            yield Finding(what, "fail", f"{there} cannot be written", f"choose another folder with {flag}")
        elif free_gb < LOW_DISK_GB:
            state: Literal["warn", "fail"] = "fail" if free_gb < LOWEST_DISK_GB else "warn"
            yield Finding(what, state, seen, f"free some space, or choose another folder with {flag}")
        else:
            yield Finding(what, "ok", seen)
