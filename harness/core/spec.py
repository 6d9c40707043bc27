"""Selection, Cell, Job: the frozen values that a run is a function of, their canonical JSON and its hash."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

ID_LENGTH = 12


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and plain values only: equal values give equal text, on any machine.

    Raises TypeError for a value that JSON cannot hold, and ValueError for NaN or infinity.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as dicts and lists; everything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


def digest(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:ID_LENGTH]


def job_id(kind: str, spec: Mapping[str, Any], upstream: Mapping[str, str]) -> str:
    """The id of a job. Where a data set lies is not part of it: what lies there is, by its fingerprint."""
    data = spec.get("dataset")
    if isinstance(data, Mapping) and isinstance(data.get("name"), str):
        spec = {**spec, "dataset": {**data, "name": placeless(data["name"])}}
    return digest({"kind": kind, "spec": spec, "upstream": upstream})


def placeless(name: str) -> str:
    """'folder:/some/where/videos' -> 'folder:videos': the same on any machine. Other names stay as they are."""
    family, colon, place = name.partition(":")
    return f"{family}:{place.rstrip('/').rpartition('/')[2]}" if colon else name


@dataclass(frozen=True)
class Selection:
    """What a person asked for. None means 'what the card says'; a tuple means every one of them."""

    baselines: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    splits: tuple[int, ...] = (1,)
    subset: str | None = None
    protocols: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    source: str | None = None
    scale: str | None = None
    seeds: tuple[int, ...] = (0,)
    backbone: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    """Dotted `--set key=value` pairs."""


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

    baseline: str
    modality: str
    dataset: str
    split: int
    subset: str
    protocol: str
    init: str
    source: str
    """Data set or 'published:NAME' that transferred weights come from; '' under Original."""
    scale: str
    seed: int
    backbone: str = ""
    overrides: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [self.baseline, self.modality, self.dataset, f"split {self.split}", self.protocol, self.init]
        if self.subset != "test":
            parts.insert(4, self.subset)
        if self.backbone:
            parts.insert(1, self.backbone)
        if self.seed:
            parts.append(f"seed {self.seed}")
        return " · ".join(parts)


@dataclass(frozen=True)
class Job:
    """One piece of work that a cell needs. Its id is the hash of its spec, in which upstream jobs stand by their ids."""

    kind: str
    """'flow' | 'images' | 'train' | 'features' | 'head'."""
    title: str
    """For people; not part of the id."""
    spec: Mapping[str, Any]
    """All that could change its numbers."""
    upstream: Mapping[str, str] = field(default_factory=dict)
    """Role -> job id: 'image', 'source', 'features', 'flow'."""
    provisional: bool = False
    """The data is not there yet, so the id will change once it is; not part of the id."""
    via: str = ""
    """Baseline whose card builds the network; not part of the id, since baselines share their 2D network."""

    @functools.cached_property
    def id(self) -> str:
        return job_id(self.kind, self.spec, self.upstream)
