"""Classifiers of transformers: the library's logits, its files loaded strictly, and what is refused while planning."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.parts.families.hf_facts import KINDS, pixels_of
from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import BuildSpec, FlowMethod, Pixels
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.data.batch import Batch, to_network
from harness.jobs.restore import open_published
from harness.models import pretrained
from harness.planning.plan import Planner
from harness.planning.selection import cells
from tests.tiny_hf import HERE, NAMES, REASON, write_config, write_model

needs_library = pytest.mark.skipif(not HERE, reason=REASON)
every_kind = pytest.mark.parametrize("kind", KINDS)


def card(folder):
    return registry.load("baseline", f"hf:{folder}")


def workspace(folder):
    return Workspace(data=folder / "data", results=folder / "results")


# ------------------------------------------------------------------------------------------------ logits


@needs_library
@every_kind
def test_logits_are_the_librarys(tmp_path, kind):
    model = write_model(tmp_path / "net", kind)
    baseline = card(tmp_path / "net")
    assert "0 missing, 0 unexpected" in "".join(pretrained.fetch(baseline.name, workspace(tmp_path)))
    scorer = open_published(baseline.name, baseline, "rgb", workspace(tmp_path))
    frames = torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        expected = model(**{KINDS[kind].inputs: frames.transpose(1, 2)}).logits
        logits = scorer.network({"rgb": frames}).mean(1)
    assert expected.std() > 0.01 and scorer.classes == tuple(NAMES)
    torch.testing.assert_close(logits.cpu(), expected, atol=1e-5, rtol=1e-5)


@needs_library
@every_kind
def test_untrained_weights_and_those_of_the_pickle_format_are_read_too(tmp_path, kind):
    model = write_model(tmp_path / "net", kind, trained=False)
    torch.save(load_file(tmp_path / "net" / "model.safetensors"), tmp_path / "net" / "pytorch_model.bin")
    (tmp_path / "net" / "model.safetensors").unlink()
    baseline = card(tmp_path / "net")
    assert baseline.weights[0].url.endswith(".bin")
    pretrained.fetch(baseline.name, workspace(tmp_path))
    scorer = open_published(baseline.name, baseline, "rgb", workspace(tmp_path))
    assert torch.equal(scorer.network.head.fc.weight.cpu(), model.classifier.weight)


@needs_library
@every_kind
def test_the_micro_size_of_a_kind_is_small_and_takes_the_micro_clip(tmp_path, kind):
    baseline = card(write_config(tmp_path, kind))
    network = baseline.build(BuildSpec(("rgb",), 14, registry.load("scale", "micro")))
    clip = baseline.train_clip["micro"]
    assert sum(p.numel() for p in network.parameters()) < 1e6
    assert network({"rgb": torch.zeros(1, 3, clip.window, clip.side_px, clip.side_px)}).shape == (1, 1, 14)


# ------------------------------------------------------------------------------------------------ files


def _missing(tensors, name):
    del tensors[name]


def _extra(tensors, name):
    tensors[f"{name}.more"] = torch.ones(3)


def _renamed(tensors, name):
    tensors[name.replace("layer", "leyer")] = tensors.pop(name)


def _zeroed(tensors, name):
    tensors[name] = torch.zeros_like(tensors[name])


def _misshapen(tensors, name):
    tensors[name] = torch.ones(tensors[name].numel() + 1)


@needs_library
@every_kind
@pytest.mark.parametrize("mutate", [_missing, _extra, _renamed, _zeroed, _misshapen])
def test_a_mutated_file_is_refused(tmp_path, kind, mutate):
    write_model(tmp_path / "net", kind)
    file = tmp_path / "net" / "model.safetensors"
    tensors = load_file(file)
    part = {
        "videomae": "q_bias",
        "timesformer": "qkv.bias",
        "vivit": "query.bias",
        "vjepa2": "encoder.layer.0.attention.query.bias",
    }
    name = next(name for name in sorted(tensors) if name.endswith(part[kind]))
    mutate(tensors, name)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(HarnessError, match=r"not in the model|not in the file|only zeros|cannot load"):
        pretrained.fetch(card(tmp_path / "net").name, workspace(tmp_path))


@needs_library
def test_biases_that_the_library_zeroes_in_memory_are_noticed(tmp_path, monkeypatch):
    """As versions 5.5.4 to 5.17.0 did with VideoMAE: the file is right, the model is not."""
    from transformers import VideoMAEForVideoClassification

    write_model(tmp_path / "net", "videomae")
    real = VideoMAEForVideoClassification.from_pretrained.__func__

    def forgetful(cls, *args, **kwargs):
        model = real(cls, *args, **kwargs)
        model.videomae.encoder.layer[0].attention.attention.query.bias.data.zero_()
        return model

    monkeypatch.setattr(VideoMAEForVideoClassification, "from_pretrained", classmethod(forgetful))
    with pytest.raises(HarnessError, match=r"layer\.0.*q_bias of the file is not in the model"):
        pretrained.fetch(card(tmp_path / "net").name, workspace(tmp_path))


@needs_library
def test_weights_that_changed_since_their_import_are_imported_again(tmp_path):
    write_model(tmp_path / "net", "timesformer")
    name, place = card(tmp_path / "net").name, workspace(tmp_path)
    pretrained.fetch(name, place)
    assert "already imported" in pretrained.fetch(name, place)[0]
    file = tmp_path / "net" / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    assert "already imported" not in pretrained.fetch(name, place)[0]


# ------------------------------------------------------------------------------------------------ cards


@every_kind
def test_sizes_and_pixel_values_are_those_of_the_processor(tmp_path, kind):
    processor = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3]}
    (write_config(tmp_path, kind) / "preprocessor_config.json").write_text(json.dumps(processor))
    baseline = card(tmp_path)
    frames = baseline.frames["paper"]
    assert (frames.short_side_px, frames.only, baseline.train_clip["paper"].window) == (40, (4, 32), 4)
    shift = 1.0 if kind == "vivit" else 0.0
    assert frames.pixels.mean == pytest.approx((0.1 + shift, 0.2 + shift, 0.3 + shift)) and frames.fps > 0


def test_rescaling_with_an_offset_gives_what_the_librarys_arithmetic_gives():
    settings = dict(KINDS["vivit"].pixels)
    codes = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 1, 16, 16, 3)
    batch = Batch({"rgb": codes}, np.zeros(1, bool), np.zeros(1, np.int64), ("a",), np.zeros(1, np.int64))
    values = to_network(batch, "cpu", FlowMethod("none", 1.0, 0), pixels_of(settings))["rgb"][0, 0].flatten().numpy()
    np.testing.assert_allclose(values, (np.arange(256) / 127.5 - 1 - 0.5) / 0.5, atol=1e-5)
    assert (values.min(), values.max()) == (-3, 1)
    assert pixels_of({"do_rescale": False, "do_normalize": False}) == Pixels((0.0,) * 3, (1.0,) * 3, maximum=255.0)


@needs_library
def test_ids_depend_on_the_content_and_not_on_the_place(tmp_path):
    def job_id(folder, **changes):
        write_config(folder, "vivit", **changes)
        planner = Planner(workspace(tmp_path), dry_run=True)
        asked = Selection((f"hf:{folder}",), datasets=("hmdb51",), protocols=("original",))
        (found,) = planner.jobs_of(*cells(asked))
        return found

    assert job_id(tmp_path / "a") == job_id(tmp_path / "b") != job_id(tmp_path / "c", hidden_size=64)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"auto_map": {"AutoModel": "modeling.py"}}, "brings Python code of its own.*not run"),
        ({"model_type": "bert"}, "not a video classifier: its model_type is 'bert'"),
        (
            {"architectures": ["VideoMAEForPreTraining"]},
            "not a video classifier: its architecture is VideoMAEForPreTraining",
        ),
        ({"image_size": [32, 48]}, "only squares"),
    ],
)
def test_what_is_no_video_classifier_is_refused(tmp_path, changes, message):
    with pytest.raises(HarnessError, match=message):
        card(write_config(tmp_path, "videomae", **changes))


def test_places_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(HarnessError, match=r"has no config\.json"):
        card(tmp_path)
    for argument, message in (
        ("", "names nothing"),
        ("/no/where", "neither a folder nor a repository"),
        ("word", "OWNER/NAME"),
    ):
        with pytest.raises(HarnessError, match=message):
            registry.load("baseline", f"hf:{argument}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(HarnessError, match="is not JSON"):
        card(tmp_path)


def test_weights_of_another_class_count_are_refused(tmp_path):
    write_config(tmp_path, "videomae")
    save_file({"classifier.weight": torch.zeros(7, 32)}, tmp_path / "model.safetensors")
    with pytest.raises(HarnessError, match=r"has 7 classes, and config\.json names 5"):
        card(tmp_path)


def test_a_crop_that_the_network_does_not_take_is_refused(tmp_path):
    (write_config(tmp_path, "videomae") / "preprocessor_config.json").write_text(json.dumps({"crop_size": 48}))
    with pytest.raises(HarnessError, match="squares of 32 px .* cuts 48 px"):
        card(tmp_path)


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else real(name))
    with pytest.raises(HarnessError, match=r"pip install 'quovadis-harness\[hf\]'"):
        cells(Selection((f"hf:{write_config(tmp_path, 'vivit')}",), datasets=("hmdb51",), protocols=("original",)))


def test_without_a_network_the_way_out_is_named(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*args, **kwargs):
        raise LocalEntryNotFoundError("no network and not in the cache. More words")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(HarnessError, match="no network and not in the cache.*pass --baseline hf:FOLDER"):
        registry.load("baseline", "hf:someone/something")


def test_a_repository_is_pinned_to_its_commit(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub import constants

    commit = "a" * 40
    folder = write_config(tmp_path / "models--o--n" / "snapshots" / commit, "vivit")
    asked = []

    def cached(repository, name, revision=None):
        from huggingface_hub.errors import EntryNotFoundError

        asked.append((name, revision))
        if not (folder / name).is_file():
            raise EntryNotFoundError(name)
        return str(folder / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cached)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    baseline = registry.load("baseline", "hf:o/n")
    assert baseline.name == f"hf:o/n@{commit}" and baseline.weights[0].revision == commit
    assert asked[0] == ("config.json", None) and all(revision == commit for _, revision in asked[1:])
