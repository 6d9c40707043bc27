"""Published weights on this machine: list, download, import, and what a job id holds of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.contract import Baseline, BuildSpec, Weights, streams_of
from harness.core.errors import HarnessError, unknown
from harness.core.workspace import Workspace
from harness.models import build, catalog, name_maps, sharded

PAPER = "paper"
"""The scale of the networks that weights are published for."""


def folder(workspace: Workspace) -> Path:
    """Folder of imported weights: next to the data sets, since several results folders share them."""
    return workspace.data / "weights"


def everything() -> list[tuple[Baseline, Weights]]:
    """Every published network of every baseline, and the ImageNet networks they can start from."""
    pairs: dict[tuple[str, str], tuple[Baseline, Weights]] = {}
    families = [(card, card.members) for card in registry.all("baseline").values()]
    members = [card.at(name) for card, names in families if card.at for name in names]
    for baseline in (*(card for card, _ in families), *members):
        image = catalog.IMAGE.get(baseline.image_name)
        for weights in (*baseline.weights, *([image] if image else [])):
            pairs.setdefault((weights.name, weights.stream), (baseline, weights))
    return list(pairs.values())


def named(name: str) -> list[tuple[Baseline, Weights]]:
    """The streams published under this name. Raises UnknownName."""
    if catalog.is_folder(name):
        exported = catalog.exported(Path(name))
        return [(registry.load("baseline", exported.baseline), exported.weights)]
    family, colon, _ = name.partition(":")
    if colon and family in registry.names("baseline"):
        card = registry.load("baseline", name)
        return [(card, weights) for weights in card.weights]
    if name.startswith(catalog.TIMM):
        users = (card for card in registry.all("baseline").values() if card.build_image and not card.at)
        return [(next(users), catalog.timm_weights(name))]
    pairs = everything()
    streams = [(baseline, weights) for baseline, weights in pairs if weights.name == name]
    if not streams:
        raise unknown("published weights", name, {weights.name for _, weights in pairs})
    return streams


def image_weights(baseline: Baseline, backbone: str) -> Weights:
    """The weights of `--init imagenet` at paper scale. Raises HarnessError if none are published."""
    if backbone:
        return catalog.timm_weights(backbone)
    if baseline.image_name not in catalog.IMAGE:
        raise HarnessError(f"no ImageNet weights are known for {baseline.name}; pass --init scratch")
    return catalog.IMAGE[baseline.image_name]


def stream_weights(baseline: Baseline, name: str, stream: str) -> Weights:
    """The weights called `name` for one stream of a baseline. Raises UnknownName."""
    for weights in offered(baseline, name):
        if weights.stream == stream:
            return weights
    names = (weights.name for weights in baseline.weights if weights.stream == stream)
    raise unknown("published weights", name, names, of=f" for {baseline.name}, {stream}")


def offered(baseline: Baseline, name: str) -> tuple[Weights, ...]:
    """The weights called `name`, one per stream: those on the card, or those of a folder that `harness weights export` wrote."""
    if catalog.is_folder(name):
        return (catalog.exported(Path(name)).weights,)
    return tuple(weights for weights in baseline.weights if weights.name == name)


def card(weights: Weights, workspace: Workspace) -> dict[str, Any] | None:
    """The card stored with imported weights (hash, report, labels); None if they are not imported, or others since. Loads
    no tensor."""
    path = catalog.imported_path(weights, folder(workspace))
    try:
        stored = dict(json.loads(sharded.header_of(path)["__metadata__"]["card"]))
    except FileNotFoundError:
        return None
    except (HarnessError, ValueError, KeyError) as error:
        raise HarnessError(f"{path} is damaged ({error}); remove it and import '{weights.name}' again") from error
    # A folder's weights may have changed since; a published file is known by the first digits of its hash only.
    whole = len(weights.sha256) == 64 and weights.sha256 != stored["imported_sha256"]
    return None if whole else stored


def key(weights: Weights, workspace: Workspace) -> dict[str, Any]:
    """The part of a job spec that identifies the weights it starts from. Raises HarnessError saying how to get them."""
    imported = card(weights, workspace)
    if imported is None:
        raise HarnessError(
            f"the weights '{weights.name}' ({weights.stream}: {weights.trained_on}) are not imported. Download them with "
            f"`harness weights fetch {weights.name}`, import a file from {weights.url} with `harness weights import "
            f"{weights.name} FILE --stream {weights.stream}`, or pass another --source or --init scratch"
        )
    return {
        "name": weights.name,
        "stream": weights.stream,
        "sha256": imported["imported_sha256"],
        "revision": imported.get("revision", ""),
        "accuracy": imported.get("accuracy", {}),
    }


def rows_of(classes: Sequence[str], labels: Sequence[str], published: int) -> list[int]:
    """For each class of a data set, its place among the labels of published weights; case and punctuation do not count.

    Without labels, the order has to be the same. Raises HarnessError for a class that the weights do not have.
    """
    if not labels:
        if len(classes) != published:
            raise HarnessError(
                f"the weights have {published} classes without names, and the data set {len(classes)}; import them with --labels, "
                "or pass --protocol fixed"
            )
        return list(range(published))
    places = {_plain(label): place for place, label in enumerate(labels)}
    absent = [name for name in classes if _plain(name) not in places]
    if absent:
        more = f" and {len(absent) - 3} others" if len(absent) > 3 else ""
        raise HarnessError(
            f"the {published} classes of the published weights do not include {', '.join(absent[:3])}{more}, so they cannot be "
            "scored as published; pass --protocol fixed, which trains a new head"
        )
    return [places[_plain(name)] for name in classes]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def fetch(name: str, workspace: Workspace) -> list[str]:
    """Download and import every stream called `name` that is not imported yet; returns one line per stream."""
    return [_fetched(baseline, weights, workspace) for baseline, weights in named(name)]


def _fetched(baseline: Baseline, weights: Weights, workspace: Workspace) -> str:
    from harness.models import fetch as downloads

    if card(weights, workspace):
        return f"{weights.name} {weights.stream}: already imported"
    files, commit = [], weights.revision
    for url in catalog.files(weights):
        target = folder(workspace) / "downloads" / f"{catalog.file_name(weights)}.{Path(url).name}"
        file, commit = downloads.fetch(url, target, weights)
        files.append(file)
    return _import(files[0], baseline, dataclasses.replace(weights, revision=commit), workspace, labels=())


def import_file(
    name: str, file: Path, workspace: Workspace, *, stream: str | None, labels: tuple[str, ...] = ()
) -> str:
    """Import a local file as the weights called `name`; returns a line on how its tensors were used."""
    published = named(name)
    candidates = [(baseline, weights) for baseline, weights in published if stream in (None, weights.stream)]
    if len(candidates) != 1:
        streams = [weights.stream for _, weights in published]
        remedy = (
            f"pass --stream {' or --stream '.join(streams)}, whichever FILE is"
            if len(streams) > 1
            else "leave out --stream"
        )
        raise HarnessError(f"'{name}' is published for {' and '.join(streams)}; {remedy}")
    return _import(file, *candidates[0], workspace, labels=labels)


def _import(file: Path, baseline: Baseline, weights: Weights, workspace: Workspace, *, labels: tuple[str, ...]) -> str:
    from harness.models import importing, tensor_io

    if catalog.is_folder(weights.name):  # of any size: the job that starts from them compares them with its network
        target, layout = tensor_io.read_tensors(file), name_maps.LAYOUTS[weights.layout]
    else:
        target, layout = importing.accepted(_network(baseline, weights), weights)
    path, report = importing.import_weights(
        file, weights, folder(workspace), target=target, layout=layout, labels=labels
    )
    return f"{weights.name} {weights.stream}: {report}; saved as {path}"


def _network(baseline: Baseline, weights: Weights) -> Any:
    """The network at paper scale that the weights are for."""
    image = weights.stream == "image"
    spec = BuildSpec(
        streams=("rgb",) if image else streams_of(weights.stream),
        num_classes=weights.classes,
        scale=baseline.adapted(registry.load("scale", PAPER)),
        backbone=weights.name if weights.name.startswith(catalog.TIMM) else "",
    )
    return build.build_image(baseline, spec) if image else build.build(baseline, spec)
