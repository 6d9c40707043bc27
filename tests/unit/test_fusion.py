"""How streams and frames come together: Two-Stream, 3D-Fused, ConvNet+LSTM, 3D-ConvNet."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from baselines import c3d, convnet_lstm, fused_3d, two_stream
from baselines.parts.fusion import Fused, snippets
from harness.core.contract import CHANNELS, BuildSpec
from harness.models.build import place
from harness.protocols.scales.micro import SCALE as MICRO

TINY = replace(MICRO, width=0.03, dropout=0.0)
JOINT = ("rgb", "flow")


def build(card, streams, seed=0):
    torch.manual_seed(seed)
    return card.BASELINE.build(BuildSpec(streams, 5, TINY)).eval()


def clips(card, streams, number=2):
    clip = card.BASELINE.train_clip["micro"]
    torch.manual_seed(1)
    return {s: torch.randn(number, CHANNELS[s], clip.frames(s), clip.side_px, clip.side_px) for s in streams}


def test_snippets_stack_x_and_y_frame_by_frame():
    clip = torch.arange(2 * 6).view(1, 2, 6, 1, 1)  # x: 0 to 5, y: 6 to 11
    stacks = snippets(clip, 3)
    assert stacks.shape == (2, 6, 1, 1)
    assert stacks[0].flatten().tolist() == [0, 6, 1, 7, 2, 8]
    assert stacks[1].flatten().tolist() == [3, 9, 4, 10, 5, 11]
    pictures = torch.arange(3 * 2).view(1, 3, 2, 1, 1)
    assert snippets(pictures, 1)[1].flatten().tolist() == [1, 3, 5]


def test_snippets_of_a_clip_with_channels_last_have_them_last_too():
    clip = torch.randn(2, 2, 8, 5, 6)
    for frames in (1, 4):
        plain = snippets(clip, frames)
        last = snippets(clip.contiguous(memory_format=torch.channels_last_3d), frames)
        assert torch.equal(last, plain) and last.is_contiguous(memory_format=torch.channels_last)


def test_the_fusing_kernel_lies_plainly_on_a_cpu_and_changes_nothing_but_last_digits():
    plain, laid_out = build(fused_3d, JOINT), place(build(fused_3d, JOINT), "cpu")
    clip = {s: x.contiguous(memory_format=torch.channels_last_3d) for s, x in clips(fused_3d, JOINT).items()}
    assert laid_out.fuse.weight.is_contiguous()
    stem = laid_out.trunks["rgb"].conv1a.conv.weight
    assert stem.is_contiguous(memory_format=torch.channels_last) and not stem.is_contiguous()
    torch.testing.assert_close(laid_out(clip), plain(clips(fused_3d, JOINT)), rtol=1e-4, atol=1e-5)
    last = plain.fuse
    last.weight.data = last.weight.data.contiguous(memory_format=torch.channels_last_3d)
    maps = torch.randn(2, last.in_channels, 5, 5, 5).contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(laid_out.fuse(maps), last(maps), rtol=1e-4, atol=1e-5)


def test_two_stream_averages_the_logits_of_its_streams():
    joint, inputs = build(two_stream, JOINT), clips(two_stream, JOINT)
    logits = []
    for stream in JOINT:
        single = build(two_stream, (stream,), seed=5)
        state = {name: t for name, t in joint.state_dict().items() if name.startswith(f"trunks.{stream}.")}
        state |= {
            name.replace(f"head.streams.{stream}.", "head."): t
            for name, t in joint.state_dict().items()
            if name.startswith(f"head.streams.{stream}.")
        }
        single.load_state_dict(state)
        logits.append(single({stream: inputs[stream]}))
    assert not torch.allclose(*logits, atol=1e-3)
    torch.testing.assert_close(joint(inputs), (logits[0] + logits[1]) / 2)


def test_two_streams_picture_stream_sees_no_order():
    clip = two_stream.BASELINE.train_clip
    assert [c.frames("rgb") for c in clip.values()] == [1, 1] and clip["paper"].frames("flow") == 10


def spread(stream, frames_changed):
    """Positions of the 3D-Fused maps that change when these frames of a stream do."""
    network, inputs = build(fused_3d, (stream,)), clips(fused_3d, (stream,), number=1)
    before = network._maps(stream, inputs[stream])
    changed = inputs[stream].clone()
    changed[:, :, frames_changed] += 1
    difference = (network._maps(stream, changed) - before).abs().amax((0, 1, 3, 4))
    return difference.gt(1e-6).nonzero().flatten().tolist()


def test_a_picture_is_fused_with_the_flow_after_it():
    clip = fused_3d.BASELINE.train_clip["micro"]
    per_picture = clip.stride("rgb")
    assert clip.frames("flow") == per_picture * clip.frames("rgb")
    assert spread("rgb", [1]) == [1]
    assert spread("flow", list(range(per_picture, 2 * per_picture))) == [1]
    assert spread("flow", [per_picture - 1, per_picture]) == [0, 1]


class Still(nn.Module):
    """A trunk whose map is its input, for looking at what is built on it."""

    out_channels = 3

    def forward(self, x):
        return x


def test_3d_fused_uses_the_whole_map_of_7x7_and_all_five_positions():
    spec = BuildSpec(("rgb",), 5, TINY)
    network = Fused({"rgb": Still()}, fused=8, flow_frames=1, spec=spec).eval()
    nn.init.uniform_(network.fuse.weight, 0.1, 1.0)  # positive, so that ReLU lets all through
    shapes = []
    network.fuse_bn.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    reached = torch.zeros(5, 7, 7)
    for seed in range(60):
        torch.manual_seed(seed)
        clip = torch.rand(1, 3, 5, 7, 7, requires_grad=True)
        features = network.features({"rgb": clip})
        assert features.shape == (1, 1, 8)
        features.sum().backward()
        reached += clip.grad.abs().sum((0, 1))
    assert set(shapes) == {(1, 8, 3, 5, 5)}
    assert (reached > 0).all()


def test_the_lstm_sees_order_and_each_step_only_what_came_before():
    network, inputs = build(convnet_lstm, ("rgb",)), clips(convnet_lstm, ("rgb",))
    # Freshly built statistics (0 and 1) and gammas of 0.1 keep the cell almost linear: make it matter.
    for name, parameter in network.lstm.named_parameters():
        if "gamma" in name:
            nn.init.ones_(parameter)
    states = network.features(inputs)
    backwards = network.features({"rgb": inputs["rgb"].flip(2)})
    assert (states[:, -1] - backwards[:, -1]).abs().max() > 1e-3
    later = inputs["rgb"].clone()
    later[:, :, 5:] += 1
    changed = (network.features({"rgb": later}) - states).abs().amax((0, 2))
    assert changed[:5].max() < 1e-5 and changed[5:].min() > 1e-5


def test_the_3d_convnet_halves_time_in_its_first_pool_and_never_to_nothing():
    network, inputs = build(c3d, ("rgb",)), clips(c3d, ("rgb",))
    x, times = inputs["rgb"], []
    for name, layer in network.convolutions.named_children():
        x = layer(x)
        if name.startswith("pool"):
            times.append(x.shape[2])
    assert times == [8, 4, 2, 1, 1]


def test_pooled_before_relu_the_3d_convnet_is_what_it_was_after_it():
    """Not a bit of a forward or backward pass differs: the largest of numbers above zero is the same either way."""
    network = build(c3d, ("rgb",))

    def passed(early: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        network.zero_grad()
        x = clips(c3d, ("rgb",))["rgb"]
        for name, layer in network.convolutions.named_children():
            x = layer(x)
            x = torch.relu(x) if early and name.startswith("conv") else x
        x.square().sum().backward()
        return x.detach(), {name: p.grad.clone() for name, p in network.convolutions.named_parameters()}

    (now, gradients), (before, others) = passed(False), passed(True)
    assert (now > 0).any() and torch.equal(now, before)
    assert all(torch.equal(gradients[name], others[name]) for name in gradients)
