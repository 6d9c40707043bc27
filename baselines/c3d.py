"""3D-ConvNet (paper section 2.2): C3D with batch norm everywhere and time halved by the first pool; never pre-trained on images.

harness run --baseline c3d --dataset hmdb51 --protocol full-ft             paper: 24.3 / 47.0 / 49.4 (Table 4)
"""

from __future__ import annotations

from typing import Any

from harness.core.contract import CHANNELS, Baseline, BuildSpec, Clip


def build(spec: BuildSpec) -> Any:
    """Eight convolutions, five pools, fc6 and fc7 over one 16-frame clip."""
    from baselines.parts.inception import style_of
    from baselines.parts.plain3d import Plain3D

    (stream,) = spec.streams
    clip = BASELINE.train_clip[spec.scale.name]
    return Plain3D(
        stream,
        channels=CHANNELS[stream],
        frames=clip.frames(stream),
        side_px=clip.side_px,
        style=style_of(spec.scale, 3),
        classes=spec.num_classes,
        dropout=spec.scale.dropout,
    )


BASELINE = Baseline(
    name="c3d",
    title="3D-ConvNet",
    modalities=("rgb",),
    combine="late",
    inits=("scratch",),
    train_clip={"paper": Clip(window=16, side_px=112), "micro": Clip(window=16, side_px=48)},
    test_clip={"paper": Clip(window=16, side_px=112, count=15), "micro": Clip(window=16, side_px=48, count=2)},
    build=build,
    loss="reduced",
    reduce="mean",
    paper="section 2.2, Figure 2b",
    choices={
        "pool 1": "2x2x2: with stride 2 in time a kernel of 1 would skip frames",
        "pool 5": "SAME, so that time stays 1 and space ends as 4x4: only 8192 inputs to fc6 give Table 1's 79M",
        "biases": "none before batch norm; the classifier has one",
        "dropout": "the scale's, after fc6 and after fc7, as in C3D",
        "averaging at test": "logits of 15 clips at uniform positions",
    },
)
