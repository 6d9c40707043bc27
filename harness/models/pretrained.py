"""Published weights on this machine: which there are, bringing them here, and what a job must know of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.contract import Baseline, BuildSpec, Weights
from harness.core.errors import HarnessError, unknown
from harness.core.workspace import Workspace
from harness.models import build, catalog

Progress = Callable[[int, int | None], None]
PAPER = "paper"


def folder(workspace: Workspace) -> Path:
    """Where imported weights lie: beside the data sets, since ledgers share them."""
    return workspace.data / "weights"


def everything() -> list[tuple[Baseline, Weights]]:
    """Every published network of every baseline, and the ImageNet networks they can start from."""
    found: dict[tuple[str, str], tuple[Baseline, Weights]] = {}
    for baseline in registry.all("baseline").values():
        image = catalog.IMAGE.get(baseline.image_name)
        for weights in (*baseline.weights, *([image] if image else [])):
            found.setdefault((weights.name, weights.stream), (baseline, weights))
    return list(found.values())


def named(name: str) -> list[tuple[Baseline, Weights]]:
    """The streams published under this name. Raises UnknownName."""
    if name.startswith("timm/"):
        users = (card for card in registry.all("baseline").values() if card.build_image)
        return [(next(users), catalog.timm_weights(name))]
    found = [(baseline, weights) for baseline, weights in everything() if weights.name == name]
    if not found:
        raise unknown("published weights", name, {weights.name for _, weights in everything()})
    return found


def image_weights(baseline: Baseline, backbone: str) -> Weights:
    """What `--init imagenet` means at paper scale. Raises HarnessError where nobody has published any."""
    if backbone:
        return catalog.timm_weights(backbone)
    if baseline.image_name not in catalog.IMAGE:
        raise HarnessError(f"no ImageNet weights are known for {baseline.name}; pass --init scratch")
    return catalog.IMAGE[baseline.image_name]


def stream_weights(baseline: Baseline, name: str, stream: str) -> Weights:
    """The weights called `name` for one stream of a baseline. Raises UnknownName."""
    for weights in baseline.weights:
        if (weights.name, weights.stream) == (name, stream):
            return weights
    raise unknown(
        f"published weights of {baseline.name} for {stream}",
        name,
        {w.name for w in baseline.weights if w.stream == stream},
    )


def card(weights: Weights, workspace: Workspace) -> dict[str, Any] | None:
    """What is kept with imported weights (their hash, report, labels), None if they are not here. Reads no tensor."""
    path = catalog.imported_path(weights, folder(workspace))
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            return dict(json.loads(json.loads(stream.read(length))["__metadata__"]["card"]))
    except FileNotFoundError:
        return None
    except (struct.error, ValueError, KeyError) as error:
        raise HarnessError(f"{path} is damaged ({error}); remove it and import '{weights.name}' again") from error


def key(weights: Weights, workspace: Workspace) -> dict[str, str]:
    """What a job id holds of the weights it starts from. Raises HarnessError saying how to get them."""
    found = card(weights, workspace)
    if found is None:
        raise HarnessError(
            f"the weights '{weights.name}' ({weights.stream}: {weights.trained_on}) are not imported here. "
            f"`harness weights fetch {weights.name}` brings them; `harness weights import {weights.name} FILE --stream "
            f"{weights.stream}` takes a file you have ({weights.url}); or start from something else with --source or "
            "--init scratch"
        )
    return {"name": weights.name, "stream": weights.stream, "sha256": found["imported_sha256"]}


def fetch(name: str, workspace: Workspace, *, progress: Progress | None = None) -> list[str]:
    """Download and import every stream called `name`; one line on each. What is here already is not fetched again."""
    from harness.models import download as fetching

    told = []
    for baseline, weights in named(name):
        if card(weights, workspace):
            told.append(f"{weights.name} {weights.stream}: already imported")
            continue
        files = [
            fetching.fetch(
                url,
                folder(workspace)
                / "downloads"
                / f"{weights.name.replace('/', '--')}.{weights.stream}.{Path(url).name}",
                expected=weights.sha256,
                progress=progress,
            )
            for url in catalog.files(weights)
        ]
        told.append(_import(files[0], baseline, weights, workspace, labels=()))
    return told


def import_file(
    name: str, file: Path, workspace: Workspace, *, stream: str | None, labels: tuple[str, ...] = ()
) -> str:
    """Import a file that is on this machine as the weights called `name`; a line on what became of its tensors."""
    candidates = [(b, w) for b, w in named(name) if stream in (None, w.stream)]
    if len(candidates) != 1:
        have = ", ".join(weights.stream for _, weights in named(name))
        raise HarnessError(f"'{name}' is published for the streams {have}; say which this file is with --stream")
    return _import(file, *candidates[0], workspace, labels=labels)


def _import(file: Path, baseline: Baseline, weights: Weights, workspace: Workspace, *, labels: tuple[str, ...]) -> str:
    from harness.models import importing as reading

    target, layout = reading.accepted(_network(baseline, weights), weights)
    kept, report = reading.import_weights(file, weights, folder(workspace), target=target, layout=layout, labels=labels)
    return f"{weights.name} {weights.stream}: {report}; kept as {kept}"


def _network(baseline: Baseline, weights: Weights) -> Any:
    """The network at paper scale that the weights are for."""
    backbone = weights.name if weights.name.startswith("timm/") else ""
    image = weights.stream == "image"
    spec = BuildSpec(
        streams=("rgb",) if image else (weights.stream,),
        num_classes=weights.classes,
        scale=registry.load("scale", PAPER),
        backbone=backbone,
    )
    if image:
        return build.build_image(baseline, spec)
    return build.build(baseline, spec)
