"""Video classifiers in transformers' format: `--baseline hf:OWNER/NAME[@REVISION]` of the Hugging Face Hub, or `hf:FOLDER`.

harness run --baseline hf:FOLDER --dataset micro-hmdb51 --protocol full-ft                   a micro size of its type, minutes
harness run --baseline hf:MCG-NJU/videomae-base-finetuned-kinetics --dataset hmdb51 --protocol fixed      published weights

VideoMAE, TimeSformer, ViViT and V-JEPA 2. Sizes and pixel values are read from config.json and preprocessor_config.json.
A repository is pinned to a commit: the card's name has it. Needs `pip install 'quovadis-harness[hf]'`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from baselines.parts.families.hf_facts import KINDS, MICRO, Kind, frames_of, kind_of, labels, num_classes
from baselines.parts.families.recipes import TRANSFORMER
from harness.core.contract import Baseline, BuildSpec, Clip, Frames, Weights
from harness.core.errors import HarnessError
from harness.core.serialization import digest
from harness.models import sharded

PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files of weights, the preferred one first; an index names several files."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
VOLATILE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")
"""Fields of a configuration that do not change the network."""


def build(config: Mapping[str, Any], spec: BuildSpec) -> Any:
    """The network of a configuration; at micro size unless the scale's width is 1."""
    from baselines.parts.families.hf_video import network

    return network(config, spec)


def read(config: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """State of the network from a published file, strictly."""
    from baselines.parts.families.hf_video import load
    from harness.models.tensor_io import read_tensors

    return load(read_tensors(path), config, num_classes(config))


def _at(argument: str) -> Baseline:
    """The card of a folder or a repository. Raises HarnessError for anything but a video classifier."""
    folder = Path(argument).expanduser()
    if not argument:
        raise HarnessError("'hf:' names nothing; use --baseline hf:OWNER/NAME or hf:/path/to/folder")
    if folder.is_dir():
        folder = folder.resolve()
        stamps = tuple(path.stat().st_mtime_ns for path in sorted(folder.iterdir()) if path.is_file())
        return _of_folder(folder, stamps)
    if argument[0] in "/.~" or not REPOSITORY.fullmatch(argument):
        raise HarnessError(
            f"'{argument}' is neither a folder nor a repository of the form OWNER/NAME; correct --baseline hf:{argument}"
        )
    return _of_repository(argument)


@functools.lru_cache(maxsize=32)
def _of_folder(folder: Path, stamps: tuple[int, ...]) -> Baseline:
    place = f"'{folder}'"
    config = _json(folder / "config.json")
    if config is None:
        raise HarnessError(f"{place} has no config.json; name a folder that save_pretrained of transformers wrote")
    processor = next(filter(None, (_json(folder / name) for name in PROCESSORS)), {})
    file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if file is not None:
        _check_classes(file, config, place)
    weights = {"url": str(file), "sha256": sharded.sha256_of(file)} if file else {}
    return _card(f"hf:{folder}", folder.name, config, processor, weights)


@functools.lru_cache(maxsize=32)
def _of_repository(argument: str) -> Baseline:
    from harness.models.hub import hub_file

    repository, _, revision = argument.partition("@")
    place = f"the repository {repository}"
    path, commit = hub_file(repository, "config.json", revision)
    if path is None:
        raise HarnessError(f"{place} has no config.json, so it is not in transformers' format")
    config = _json(path) or {}
    kind_of(config, place)
    files = (hub_file(repository, name, commit)[0] for name in PROCESSORS)
    processor = next((_json(path) or {} for path in files if path is not None), {})
    weights = {"url": WEIGHTS[0], "alternatives": WEIGHTS[1:], "repository": repository, "revision": commit}
    return _card(f"hf:{repository}@{commit}", repository.partition("/")[2], config, processor, weights)


def _card(
    name: str, title: str, config: Mapping[str, Any], processor: Mapping[str, Any], weights: Mapping[str, Any]
) -> Baseline:
    kind = kind_of(config, f"'{name}'")
    try:
        clip, frames = frames_of(config, processor, f"'{name}'")
        published = (_weights(name, kind, config, clip, frames, weights),) if weights else ()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise HarnessError(
            f"'{name}' has a damaged config.json or {PROCESSORS[0]} ({type(error).__name__}: {error}); download it again"
        ) from error
    own = {field: value for field, value in config.items() if field not in VOLATILE}
    micro = Frames(fps=12.5, pixels=frames.pixels, only=(MICRO.window, MICRO.side_px))
    return dataclasses.replace(
        BASELINE,
        name=name,
        title=f"{kind.title} ({title})",
        train_clip={"paper": clip, "micro": MICRO},
        test_clip={"paper": dataclasses.replace(clip, count=5), "micro": dataclasses.replace(MICRO, count=2)},
        frames={"paper": frames, "micro": micro},
        build=partial(build, config),
        weights=published,
        source=f"published:{name}" if weights else "",
        content=digest({"config": own, "processor": processor}),
        at=None,
        how_to_list="",
    )


def _weights(
    name: str, kind: Kind, config: Mapping[str, Any], clip: Clip, frames: Frames, fields: Mapping[str, Any]
) -> Weights:
    pixels = frames.pixels
    assert pixels is not None
    return Weights(
        name=name,
        stream="rgb",
        trained_on=f"see the model's page ({kind.title})",
        classes=num_classes(config),
        layout="own",
        licence="see the model's page",
        preprocessing=f"{clip.window} frames at {frames.fps:g} fps (the authors' on Kinetics), {clip.side_px} px; a pixel up to "
        f"{pixels.maximum:g}, mean {pixels.mean}, std {pixels.std}",
        labels=labels(config),
        read=partial(read, config),
        **fields,
    )


def _json(path: Path) -> dict[str, Any] | None:
    """Content of a JSON file; None if there is none. Raises HarnessError for a file that is not JSON."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise HarnessError(f"{path} is not JSON ({error}); download it again") from error


def _check_classes(file: Path, config: Mapping[str, Any], place: str) -> None:
    """Raise HarnessError for a head with other classes than the configuration; the file's header says so without torch."""
    files = sharded.files_of(file)
    if files[0].suffix != ".safetensors":
        return
    header = {name: facts for part in files for name, facts in sharded.header_of(part).items()}
    rows = header.get("classifier.weight", {}).get("shape", [None])[0]
    if rows != num_classes(config):
        has = f"has {rows} classes" if rows else "has no classifier"
        raise HarnessError(
            f"{place}: {file.name} {has}, and config.json names {num_classes(config)}; download "
            "both files of one commit again, or use another repository"
        )


def _family(spec: BuildSpec) -> Any:
    raise HarnessError("'hf' is a family of networks: name one, such as hf:OWNER/NAME or hf:/path/to/folder")


BASELINE = Baseline(
    name="hf",
    title=f"classifiers of transformers: {', '.join(kind.title for kind in KINDS.values())}",
    modalities=("rgb",),
    combine="late",
    inits=("scratch",),
    train_clip={},
    test_clip={},
    build=_family,
    loss="reduced",
    reduce="mean",
    paper="not in the paper",
    at=_at,
    how_to_list="hf:OWNER/NAME of the Hugging Face Hub, or hf:FOLDER",
    library="transformers",
    extra="hf",
    schedules=TRANSFORMER,
    choices={
        "frame rate": "that of the authors' evaluation on Kinetics, since repositories name none; change it with --set scale.fps=N",
        "Fixed": "trains the last linear layer; the norm or attentive pooling before it is part of the frozen network",
        "micro size": "three layers of 64 channels of the same type, trained for three times the scale's steps; no published weights fit",
        "resizing": "bilinear without antialiasing, as everywhere here, whatever the repository's processor names",
    },
)
