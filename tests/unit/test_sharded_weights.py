"""Weights in several files with an index: loaded strictly, every file hashed, from folders and from the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines import hf
from harness.core import registry
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.jobs.restore import open_published
from harness.models import pretrained, sharded
from harness.models.tensor_io import read_tensors
from tests.tiny_hf import HERE, REASON, write_config, write_model

INDEX = "model.safetensors.index.json"
needs_library = pytest.mark.skipif(not HERE, reason=REASON)


def split(folder: Path, tensors: dict[str, torch.Tensor], *, suffix: str = ".safetensors") -> Path:
    """The tensors in two files, and their index, as `save_pretrained(max_shard_size=...)` writes them."""
    names = sorted(tensors)
    halves = {f"model-1{suffix}": names[: len(names) // 2], f"model-2{suffix}": names[len(names) // 2 :]}
    for file, part in halves.items():
        content = {name: tensors[name] for name in part}
        save_file(content, folder / file) if suffix == ".safetensors" else torch.save(content, folder / file)
    index = folder / (INDEX if suffix == ".safetensors" else "pytorch_model.bin.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": {n: f for f, part in halves.items() for n in part}}))
    return index


TENSORS = {f"layer.{number}.weight": torch.full((3, 2), float(number)) for number in range(4)}


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_the_tensors_of_all_files_are_read(tmp_path: Path, suffix: str) -> None:
    read = read_tensors(split(tmp_path, TENSORS, suffix=suffix))
    assert read.keys() == TENSORS.keys() and all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_a_change_of_any_file_changes_the_hash(tmp_path: Path) -> None:
    index = split(tmp_path, TENSORS)
    hashes = {sharded.sha256_of(index)}
    for file in ("model-1.safetensors", "model-2.safetensors"):
        save_file({name: tensor + 1 for name, tensor in load_file(tmp_path / file).items()}, tmp_path / file)
        hashes.add(sharded.sha256_of(index))
    assert len(hashes) == 3 and all(len(text) == 64 for text in hashes)


def _lose_a_tensor(folder: Path) -> None:
    part = load_file(folder / "model-2.safetensors")
    part.popitem()
    save_file(part, folder / "model-2.safetensors")


def _add_a_tensor(folder: Path) -> None:
    part = load_file(folder / "model-2.safetensors")
    save_file(part | {"more": torch.ones(2)}, folder / "model-2.safetensors")


def _lose_a_file(folder: Path) -> None:
    (folder / "model-2.safetensors").unlink()


def _leave_the_folder(folder: Path) -> None:
    content = json.loads((folder / INDEX).read_text())
    content["weight_map"]["layer.0.weight"] = "../model-1.safetensors"
    (folder / INDEX).write_text(json.dumps(content))


def _tear_the_index(folder: Path) -> None:
    (folder / INDEX).write_text('{"weight_map": [')


@pytest.mark.parametrize(
    "damage, message",
    [
        (_lose_a_tensor, r"layer\.\d\.weight is in model-2\.safetensors, but it is in no file"),
        (_add_a_tensor, r"more is in no file, but it is in model-2\.safetensors"),
        (_lose_a_file, r"names model-2\.safetensors, which .* does not have"),
        (_leave_the_folder, r"'\.\./model-1\.safetensors', which is not next to it"),
        (_tear_the_index, "is no index of weights"),
    ],
)
def test_files_that_do_not_match_their_index_are_refused(tmp_path: Path, damage: object, message: str) -> None:
    index = split(tmp_path, TENSORS)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(HarnessError, match=message):
        read_tensors(index)


@needs_library
def test_a_folder_saved_in_several_files_gives_the_same_logits(tmp_path: Path) -> None:
    model = write_model(tmp_path / "whole", "videomae")
    model.save_pretrained(tmp_path / "net", max_shard_size="20KB")
    assert len(list((tmp_path / "net").glob("model-*.safetensors"))) > 2
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    frames, logits = torch.randn(2, 3, 4, 32, 32), []
    for folder in ("whole", "net"):
        card = registry.load("baseline", f"hf:{tmp_path / folder}")
        assert "0 missing, 0 unexpected" in pretrained.fetch(card.name, workspace)[0]
        with torch.inference_mode():
            logits.append(open_published(card.name, card, "rgb", workspace).network({"rgb": frames}))
    assert torch.equal(*logits) and card.weights[0].url.endswith(INDEX)
    stored = pretrained.key(card.weights[0], workspace)
    part = next((tmp_path / "net").glob("model-00002*"))
    save_file({name: tensor + 1 for name, tensor in load_file(part).items()}, part, metadata={"format": "pt"})
    assert pretrained.card(registry.load("baseline", card.name).weights[0], workspace) is None
    assert stored["sha256"] != sharded.sha256_of(tmp_path / "net" / INDEX)


def test_a_head_of_another_class_count_is_noticed_in_any_file(tmp_path: Path) -> None:
    write_config(tmp_path, "videomae")
    split(tmp_path, {"a": torch.zeros(2), "classifier.weight": torch.zeros(7, 32)})
    with pytest.raises(HarnessError, match=r"has 7 classes, and config\.json names 5"):
        registry.load("baseline", f"hf:{tmp_path}")


def test_a_repository_may_have_its_weights_in_any_of_the_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError

    from harness.models import fetch

    commit = "a" * 40
    folder = tmp_path / "models--o--shards" / "snapshots" / commit
    folder.mkdir(parents=True)
    asked: list[tuple[str, str]] = []

    def cached(repository: str, name: str, revision: str | None = None) -> str:
        asked.append((name, str(revision)))
        if not (folder / name).is_file():
            raise EntryNotFoundError(name)
        return str(folder / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cached)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    write_config(folder, "timesformer")
    (weights,) = registry.load("baseline", "hf:o/shards").weights
    with pytest.raises(HarnessError, match=r"o/shards has no model\.safetensors or .* or pytorch_model\.bin"):
        fetch.fetch(weights.url, tmp_path / "x", weights)
    torch.save(TENSORS, folder / hf.WEIGHTS[2])
    assert fetch.fetch(weights.url, tmp_path / "x", weights) == (folder / hf.WEIGHTS[2], commit)
    index = split(folder, TENSORS)
    assert fetch.fetch(weights.url, tmp_path / "x", weights) == (index, commit)
    assert {("model-1.safetensors", commit), ("model-2.safetensors", commit)} <= set(asked)
