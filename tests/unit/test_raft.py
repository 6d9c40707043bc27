"""RAFT as a flow method, with random weights: shapes, borders, keys, and what it says where weights are missing or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError
from harness.video.flow import codec, methods, raft
from tests import videos


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return save_random(tmp_path_factory.mktemp("raft") / "small.pth", seed=0)


def save_random(path: Path, *, seed: int) -> Path:
    torch.manual_seed(seed)
    torch.save(optical_flow.raft_small(weights=None).state_dict(), path)
    return path


def method(**params: float | str) -> FlowMethod:
    return FlowMethod("raft", 20.0, 48, params={"model": "small", "updates": 2, **params})


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = raft.cache()
    folder.mkdir(parents=True)
    return folder


def test_it_is_torchvisions_network_on_both_pictures(weights):
    frames = np.random.default_rng(0).integers(0, 256, (2, 128, 136, 3), np.uint8)
    network = optical_flow.raft_small(weights=None).eval()
    network.load_state_dict(torch.load(weights))
    pair = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = network(pair[:1], pair[1:], num_flow_updates=2)[-1][0].permute(1, 2, 0).numpy()
    flows = codec.compute(frames, method(weights=str(weights)))
    assert flows.shape == (2, 128, 136, 2) and flows.dtype == np.float32
    assert np.abs(flows[0] - expected).max() < 1e-4 < np.abs(expected).mean()
    assert (flows[1] == flows[0]).all(), "the last frame repeats the flow before it"


@pytest.mark.parametrize("height, width", [(48, 64), (128, 128), (130, 201)])
def test_borders_are_repeated_to_sides_that_it_takes_and_cut_off_again(height, width):
    picture = torch.rand(1, 3, height, width)
    larger, top, left = raft.padded(picture)
    assert all(side >= 128 and side % 8 == 0 for side in larger.shape[-2:])
    assert larger.shape[-2] - height < 8 or larger.shape[-2] == 128
    assert (larger[..., top : top + height, left : left + width] == picture).all()
    assert (larger[..., 0, left : left + width] == picture[..., 0, :]).all()


def test_small_odd_videos_keep_their_size(weights):
    frames = videos.numbered(2)[:, :45, :61]
    assert codec.compute(frames, method(weights=str(weights))).shape == (2, 45, 61, 2)


def test_the_key_holds_the_hash_of_the_weights_and_not_their_place(weights, tmp_path):
    moved = tmp_path / "elsewhere.pth"
    moved.write_bytes(weights.read_bytes())
    key = codec.method_key(method(weights=str(weights)))
    assert codec.method_key(method(weights=str(moved))) == key
    assert raft._hash(weights) in key["library"] and "torchvision" in key["library"] and "small" in key["library"]
    assert str(weights) not in str(key)
    save_random(moved, seed=1)
    assert codec.method_key(method(weights=str(moved))) != key
    assert codec.method_key(method(weights=str(weights), device="cuda")) != key


def test_nothing_is_downloaded_and_the_command_that_would_is_named(empty_cache):
    with pytest.raises(HarnessError, match=rf"{raft.FILES['small']} is not there.*raft_small\(weights='DEFAULT'\)"):
        codec.method_key(method())
    with pytest.raises(HarnessError, match="raft_large"):
        methods.load(FlowMethod("raft", 20.0, 48))
    assert not list(empty_cache.iterdir())
    with pytest.raises(HarnessError, match="no weights of flow method 'raft' at .*nowhere.pth"):
        codec.method_key(method(weights="nowhere.pth"))


def test_weights_in_torchs_cache_are_taken_if_they_are_whole(empty_cache, weights, monkeypatch):
    file = empty_cache / raft.FILES["small"]
    file.write_bytes(weights.read_bytes())
    with pytest.raises(HarnessError, match=f"not what torchvision published.*{raft._hash(weights)[:8]}, not 01064c6d"):
        codec.method_key(method())
    monkeypatch.setitem(raft.FILES, "small", f"raft_small-{raft._hash(weights)[:8]}.pth")
    file.rename(empty_cache / raft.FILES["small"])
    assert raft._hash(weights) in codec.method_key(method())["library"]


def test_the_cache_and_the_names_are_torchs(monkeypatch, tmp_path):
    for name, value in (("TORCH_HOME", str(tmp_path / "a")), ("XDG_CACHE_HOME", str(tmp_path / "b")), ("HOME", "/h")):
        for other in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, value)
        assert raft.cache() == Path(torch.hub.get_dir()) / "checkpoints"
    defaults = {"large": optical_flow.Raft_Large_Weights.DEFAULT, "small": optical_flow.Raft_Small_Weights.DEFAULT}
    assert {name: weights.value.url.rpartition("/")[2] for name, weights in defaults.items()} == raft.FILES


@pytest.mark.parametrize(
    "params, what",
    [
        ({"model": "medium"}, "model 'medium'.*give one of large, small"),
        ({"model": "large"}, "does not hold weights of torchvision's raft_large"),
        ({"updates": 0}, "updates 0"),
        ({"device": "gpu"}, "device 'gpu'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(weights, params, what):
    with pytest.raises(HarnessError, match=what):
        methods.load(method(weights=str(weights), **params))
