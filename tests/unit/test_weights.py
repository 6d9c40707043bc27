"""Third-party weights: read without running code, every tensor accounted for, saved with their card."""

from __future__ import annotations

import json
import math
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines import i3d
from harness.core.atomic import file_sha256
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError, UnknownName
from harness.models import catalog, importing, name_maps, tensor_io
from harness.models.tf_checkpoint import MAGIC, read_checkpoint
from harness.protocols.scales.paper import SCALE as PAPER

TINY = replace(PAPER, name="paper", width=0.01)


def network(*, stream="rgb", classes=5, affine=True, image=False):
    build = i3d.BASELINE.build_image if image else i3d.BASELINE.build
    torch.manual_seed(0)
    return build(BuildSpec((stream,), classes, replace(TINY, bn_scale=affine)))


def ours_to(layout: str, state):
    """Our state under foreign names, by writing each layout's names down once more, the other way round."""
    mixed = {
        "pytorch-i3d": lambda m, b: f"Mixed_{m}.{b}",
        "kinetics-i3d-pytorch": lambda m, b: (
            f"mixed_{m}.branch_" + {"b0": "0", "b1a": "1.0", "b1b": "1.1", "b2a": "2.0", "b2b": "2.1", "b3b": "3.1"}[b]
        ),
        "torchvision": lambda m, b: (
            f"inception{m[0]}{'abcdef'['bcdefg'.index(m[1])]}.branch"
            + {"b0": "1", "b1a": "2.0", "b1b": "2.1", "b2a": "3.0", "b2b": "3.1", "b3b": "4.1"}[b]
        ),
    }[layout]
    stems = {
        "pytorch-i3d": ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"),
        "kinetics-i3d-pytorch": ("conv3d_1a_7x7", "conv3d_2b_1x1", "conv3d_2c_3x3"),
        "torchvision": ("conv1", "conv2", "conv3"),
    }[layout]
    conv, norm = {
        "pytorch-i3d": ("conv3d", "bn"),
        "kinetics-i3d-pytorch": ("conv3d", "batch3d"),
        "torchvision": ("conv", "bn"),
    }[layout]
    head = {"pytorch-i3d": "logits.conv3d", "kinetics-i3d-pytorch": "conv3d_0c_1x1.conv3d", "torchvision": "fc"}[layout]
    named = {}
    for name, tensor in state.items():
        if name.endswith("_extra_state"):
            continue
        if name.startswith("head.fc."):
            kind = name.rsplit(".", 1)[1]
            convolutional = kind == "weight" and layout != "torchvision"
            named[f"{head}.{kind}"] = tensor.reshape(*tensor.shape, 1, 1, 1) if convolutional else tensor
            continue
        _, place, *branch, part, kind = name.split(".")
        unit = (
            mixed(place.removeprefix("mixed"), branch[0])
            if branch
            else stems["abc".index(place[-1]) if place != "conv1a" else 0]
        )
        named[f"{unit}.{conv if part == 'conv' else norm}.{kind}"] = tensor
    return named


def as_tensorflow(state, *, scope="RGB/inception_i3d/"):
    named = {}
    for name, tensor in state.items():
        parts = name.split(".")
        kind = {"running_mean": "batch_norm/moving_mean", "running_var": "batch_norm/moving_variance"}.get(parts[-1])
        if name.startswith("head.fc."):
            value = tensor.T.reshape(1, 1, 1, *tensor.T.shape) if parts[-1] == "weight" else tensor
            named[f"{scope}Logits/Conv3d_0c_1x1/conv_3d/{parts[-1][0]}"] = value
            continue
        if parts[-1] in ("num_batches_tracked", "_extra_state") or name.endswith("bn.weight"):
            continue
        if parts[-2:] == ["conv", "weight"]:
            kind, tensor = "conv_3d/w", tensor.permute(2, 3, 4, 1, 0)
        elif parts[-2:] == ["bn", "bias"]:
            kind = "batch_norm/beta"
        unit = {"conv1a": "Conv3d_1a_7x7", "conv2b": "Conv3d_2b_1x1", "conv2c": "Conv3d_2c_3x3"}.get(parts[1])
        if unit is None:
            module = parts[1].removeprefix("mixed")
            leaf = {"b0": "0a_1x1", "b1a": "0a_1x1", "b1b": "0b_3x3", "b2a": "0a_1x1", "b2b": "0b_3x3", "b3b": "0b_1x1"}
            quirk = "0a_3x3" if module == "5b" and parts[2] == "b2b" else leaf[parts[2]]
            unit = f"Mixed_{module}/Branch_{parts[2][1]}/Conv3d_{quirk}"
        named[f"{scope}{unit}/{kind}"] = tensor
    return named


# ------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize("layout", ["pytorch-i3d", "kinetics-i3d-pytorch"])
@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_three_dimensional_layouts_arrive_tensor_by_tensor(layout, stream):
    source = network(stream=stream).state_dict()
    foreign = ours_to(layout, source)
    state, report = importing.convert(foreign, target=network(stream=stream, affine=True).state_dict())
    assert report.layout == layout and report.complete
    assert state.keys() == source.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in source.items())
    assert report.reshaped == ("head.fc.weight",) and len(report.matched) == len(foreign) - 1


def test_torchvisions_layout_brings_its_padding_along():
    source = network(image=True).state_dict()
    foreign = ours_to("torchvision", source) | {"aux1.fc1.weight": torch.zeros(2), "aux2.conv.bn.bias": torch.zeros(3)}
    state, report = importing.convert(foreign, target=source)
    assert report.left_out == ("aux1.fc1.weight", "aux2.conv.bn.bias")
    loaded = network(image=True)
    loaded.load_state_dict(state)
    assert loaded.trunk.conv1a.conv.symmetric and not loaded.trunk.conv2c.conv.symmetric
    inflated = network()
    i3d.BASELINE.bootstrap(inflated, state, BuildSpec(("rgb",), 5, TINY))
    assert inflated.trunk.conv1a.conv.symmetric, "the padding belongs to the weights, also when they are inflated"


def test_tensorflows_layout_transposes_and_supplies_unit_scales():
    source = network(affine=False).state_dict()
    foreign = as_tensorflow(source)
    target = network(affine=True).state_dict()
    state, report = importing.convert(foreign, target=target)
    assert report.layout == "tf"
    assert all(torch.equal(state[name], tensor) for name, tensor in source.items())
    assert all((state[name] == 1).all() for name in state.keys() - source.keys())
    state, _ = importing.convert(as_tensorflow(source, scope=""), target=source)
    assert state.keys() == source.keys()


@pytest.mark.parametrize(
    "name,stream,classes",
    [("rgb_imagenet", "rgb", 400), ("flow_imagenet", "flow", 400), ("rgb_scratch_kin600", "rgb", 600)],
)
def test_released_checkpoints_are_accounted_for_one_to_one(test_data, name, stream, classes):
    """Every variable, by name and shape, has a counterpart in our network at full width, and the other way round."""
    index = json.loads((test_data / "checkpoint_index" / f"{name}.json").read_text())
    assert len(index) >= 230
    with torch.device("meta"):
        variables = {variable: torch.empty(shape) for variable, shape in index.items()}
        target = i3d.BASELINE.build(BuildSpec((stream,), classes, replace(PAPER, bn_scale=False))).state_dict()
    _, report = importing.convert(variables, target=target, layout="tf")
    assert report.complete and len(report.matched) + len(report.reshaped) == 230
    assert all(variable.endswith(("/Momentum", "global_step")) for variable in report.left_out)
    other = {("rgb" if stream == "flow" else "flow"): None}
    with torch.device("meta"):
        wrong = i3d.BASELINE.build(BuildSpec(tuple(other), classes, replace(PAPER, bn_scale=False))).state_dict()
    with pytest.raises(HarnessError, match=r"misshapen: trunk\.conv1a\.conv\.weight"):
        importing.convert(variables, target=wrong, layout="tf")


def test_faults_are_reported_by_name():
    source = network().state_dict()
    foreign = ours_to("pytorch-i3d", source)
    del foreign["Mixed_4d.b2b.bn.running_var"]
    foreign["Mixed_4d.b2b.bn.surplus"] = torch.zeros(3)
    foreign["logits.conv3d.bias"] = torch.zeros(7)
    with pytest.raises(HarnessError) as caught:
        importing.convert(foreign, target=source)
    message = str(caught.value)
    assert "missing: trunk.mixed4d.b2b.bn.running_var" in message
    assert "unexpected: Mixed_4d.b2b.bn.surplus" in message
    assert "misshapen: head.fc.bias" in message


def test_a_scale_that_is_not_one_cannot_be_dropped():
    source = ours_to("pytorch-i3d", network(affine=True).state_dict())
    target = network(affine=False).state_dict()
    _, report = importing.convert(source, target=target)
    assert len(report.left_out) == 57
    source["Mixed_3b.b0.bn.weight"] = source["Mixed_3b.b0.bn.weight"] + 0.1
    with pytest.raises(HarnessError, match=r"unexpected: Mixed_3b\.b0\.bn\.weight"):
        importing.convert(source, target=target)


def test_unknown_layouts():
    with pytest.raises(HarnessError, match="no known layout"):
        importing.convert({"a": torch.zeros(1)}, target={})
    with pytest.raises(UnknownName, match="did you mean 'pytorch-i3d'"):
        importing.convert({}, target={}, layout="pytorch-i3")


def test_timms_layout_names_trunk_and_classifier():
    layout = name_maps.timm("classifier", ["conv_head"])
    assert layout.rename("classifier.weight") == "head.fc.weight"
    assert layout.rename("conv_head.weight") is None
    assert layout.rename("blocks.0.0.bn1.bias") == "trunk.model.blocks.0.0.bn1.bias"


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv3_small_050"])
def test_timm_weights_arrive_in_the_image_network(name):
    import timm

    torch.manual_seed(1)
    original = timm.create_model(name, num_classes=1000).eval()
    card = replace(catalog.IMAGE["inception-v1"], name=f"timm/{name}", layout="timm")
    flat = i3d.BASELINE.build_image(BuildSpec(("rgb",), 1000, PAPER, backbone=f"timm/{name}")).eval()
    target, layout = importing.accepted(flat, card)
    state, report = importing.convert(original.state_dict(), target=target, layout=layout)
    flat.load_state_dict(state, strict=len(target) == len(flat.state_dict()))
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    config = original.pretrained_cfg
    mean, deviation = (torch.tensor(config[k]).view(3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        normalised = ((picture + 1) / 2 - mean) / deviation
        maps = flat.trunk.norm(original.forward_features(normalised))
        torch.testing.assert_close(flat.trunk(picture), maps, atol=1e-4, rtol=1e-4)
    if name == "resnet18":
        logits = flat({"rgb": picture.unsqueeze(2)})[:, 0]
        torch.testing.assert_close(logits, original(normalised), atol=1e-4, rtol=1e-4)
    if name == "mobilenetv3_small_050":
        assert {"conv_head.weight", "classifier.bias"} <= set(report.left_out), "its classifier reads more than the map"


# ------------------------------------------------------------------------------------------------ files


class Payload:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_of_arrays_is_read_and_nothing_else_in_it_runs(tmp_path, protocol):
    arrays = {"conv1_w": np.arange(6, dtype=np.float32).reshape(2, 3), "pred_b": np.ones(4)}
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps({"blobs": {**arrays, "cfg": "text"}}, protocol))
    tensors = tensor_io.read_tensors(path)
    assert tensors.keys() == arrays.keys()
    assert all(torch.equal(tensors[name], torch.from_numpy(array)) for name, array in arrays.items())
    trace = tmp_path / "it-ran"
    path.write_bytes(pickle.dumps({"blobs": arrays, "extra": Payload(trace)}, protocol))
    with pytest.raises(HarnessError, match=r"net\.pkl is refused: reading it would run code.*io\.open"):
        tensor_io.read_tensors(path)
    assert not trace.exists()


def test_a_pickle_written_by_python_2_has_its_names_as_text(tmp_path):
    """Protocol 2 with byte strings for names and data."""
    data = np.array([1.5, -2.0], "<f4")
    path = tmp_path / "net.pkl"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01bt"
        b"R(K\x01K\x02\x85cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x08" + data.tobytes() + b"tb"
    )
    path.write_bytes(b"\x80\x02}U\x05blobs}U\x07conv1_w" + array + b"ss.")
    assert tensor_io.read_tensors(path)["conv1_w"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("content", [b"", b"\x80\x02torn", pickle.dumps([1]), pickle.dumps({"blobs": {"a": 1}})])
def test_a_pickle_without_arrays(tmp_path, content):
    path = tmp_path / "net.pkl"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"net\.pkl (cannot be read|contains no arrays)"):
        tensor_io.read_tensors(path)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path, how):
    trace = tmp_path / "it-ran"
    path = tmp_path / "evil.pt"
    content = {"state_dict": {"w": torch.zeros(1)}, "extra": Payload(trace)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(HarnessError, match="refused.*run code") as refused:
        tensor_io.read_tensors(path)
    assert "Weights only load failed" not in str(refused.value)
    assert ("open)" in str(refused.value)) == (how == "torch")
    assert not trace.exists()
    if how == "pickle":  # the file is not harmless: this is what refusing it prevents
        pickle.loads(path.read_bytes())["extra"].close()
        assert trace.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x80\x02torn", b"not a checkpoint at all"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_get_an_error_and_not_a_traceback(tmp_path, content, suffix):
    path = tmp_path / f"torn{suffix}"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match="torn"):
        tensor_io.read_tensors(path)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "it is empty"), (b"<!DOCTYPE html>", "starts with b'<!DOCTYPE html>'")]
)
def test_a_file_that_is_no_checkpoint_at_all_is_not_suspected(tmp_path, content, says):
    path = tmp_path / "page.pt"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=f"is not a PyTorch or safetensors file.*{says}") as refused:
        tensor_io.read_tensors(path)
    assert "run code" not in str(refused.value)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module.backbone."])
def test_wrappers_and_prefixes_are_taken_off(tmp_path, wrapper, prefix):
    tensors = {f"{prefix}{name}": torch.ones(2) for name in ("conv.weight", "conv.bias")}
    content = tensors if wrapper is None else {wrapper: tensors, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "w.pth")
    assert tensor_io.read_tensors(tmp_path / "w.pth").keys() == {"conv.weight", "conv.bias"}


def test_a_file_without_tensors(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(HarnessError, match="no state_dict"):
        tensor_io.read_tensors(tmp_path / "w.pth")
    with pytest.raises(HarnessError, match="no file"):
        tensor_io.read_tensors(tmp_path / "absent.pth")


def write_checkpoint(prefix, arrays):
    """A TensorFlow checkpoint, by hand: keys share prefixes, entries are protocol buffers, one block."""

    def varint(value):
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes(out) + bytes([value])

    def message(number, content):
        return varint(number << 3 | 2) + varint(len(content)) + content

    data, block, last = b"", b"", b""
    records = [(b"", varint(1 << 3) + varint(1))]
    for name in sorted(arrays):
        array = arrays[name]
        shape = b"".join(message(2, varint(1 << 3) + varint(n)) for n in array.shape)
        entry = varint(1 << 3) + varint(1) + message(2, shape) + varint(4 << 3) + varint(len(data))
        entry += varint(5 << 3) + varint(array.nbytes) + varint(6 << 3 | 5) + b"\0\0\0\0"
        records.append((name.encode(), entry))
        data += array.astype("<f4").tobytes()
    for key, value in records:
        shared = next((i for i, (a, b) in enumerate(zip(key, last)) if a != b), min(len(key), len(last)))
        block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    tail = struct.pack("<II", 0, 1)
    first = block + tail
    handle = varint(0) + varint(len(first))
    index = varint(0) + varint(1) + varint(len(handle)) + b"z" + handle + tail
    offset = len(first) + 5
    footer = varint(0) + varint(0) + varint(offset) + varint(len(index))
    table = first + bytes(5) + index + bytes(5) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    prefix.with_name(prefix.name + ".index").write_bytes(table)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)


def test_a_tensorflow_checkpoint_is_read_without_tensorflow(tmp_path):
    source = network(affine=False).state_dict()
    write_checkpoint(
        tmp_path / "model.ckpt", {name: t.numpy().astype("<f4") for name, t in as_tensorflow(source).items()}
    )
    for path in ("model.ckpt", "model.ckpt.index"):
        state, report = importing.convert(tensor_io.read_tensors(tmp_path / path), target=source)
        assert report.layout == "tf" and all(torch.equal(state[name], tensor) for name, tensor in source.items())


def test_a_torn_tensorflow_checkpoint_is_named(tmp_path):
    prefix = tmp_path / "model.ckpt"
    write_checkpoint(prefix, {"a/w": np.ones((2, 3), "<f4")})
    data, index = tmp_path / "model.ckpt.data-00000-of-00001", tmp_path / "model.ckpt.index"
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(HarnessError, match=r"truncated.*a/w"):
        read_checkpoint(prefix)
    index.write_bytes(index.read_bytes()[:-9])
    with pytest.raises(HarnessError, match="not a TensorFlow checkpoint index"):
        read_checkpoint(prefix)
    data.unlink()
    with pytest.raises(HarnessError, match="next to its data file"):
        read_checkpoint(prefix)


# ------------------------------------------------------------------------------------------------ keeping


def test_importing_keeps_card_labels_and_hash(tmp_path):
    source = network().state_dict()
    torch.save(ours_to("pytorch-i3d", source), tmp_path / "rgb.pt")
    card = replace(catalog.I3D[0], classes=5)
    labels = ("a", "b", "c", "d", "e")
    where = {"target": source, "labels": labels}
    path, report = importing.import_weights(tmp_path / "rgb.pt", card, tmp_path / "kept", **where)
    state, stored = importing.load_imported(card, tmp_path / "kept")
    assert path.name == "pytorch-i3d.rgb.safetensors" and report.complete
    assert all(torch.equal(state[name], tensor) for name, tensor in source.items())
    assert stored["labels"] == list(labels) and stored["licence"] == card.licence and stored["provenance"] == "unknown"
    assert stored["imported_sha256"] == file_sha256(tmp_path / "rgb.pt") and "0 missing" in stored["report"]
    with pytest.raises(HarnessError, match="6 labels for 5 classes"):
        importing.import_weights(tmp_path / "rgb.pt", card, tmp_path, target=source, labels=(*labels, "f"))
    with pytest.raises(HarnessError, match="weights fetch pytorch-i3d"):
        importing.load_imported(replace(card, stream="flow"), tmp_path / "kept")


def test_every_published_card_says_what_a_user_needs():
    cards = [*catalog.I3D, *catalog.I3D_R50, *catalog.I3D_R50_NL, *catalog.IMAGE.values()]
    assert len(cards) >= 13
    for card in cards:
        assert card.layout in name_maps.LAYOUTS and card.licence and card.preprocessing and card.trained_on
        assert all(url.startswith("https://") for url in catalog.files(card))
        assert math.isclose(card.classes, 1000 if card.stream == "image" else 400)
    assert {w.name for w in i3d.BASELINE.weights} == {w.name for w in catalog.I3D}
