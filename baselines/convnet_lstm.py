"""ConvNet+LSTM (paper section 2.1): Inception-v1 on every fifth frame, an LSTM with batch norm over its features.

harness run --baseline convnet-lstm --dataset hmdb51 --protocol full-ft    paper: 36.0 / 50.8 / 53.4 (Table 4)
"""

from __future__ import annotations

from typing import Any

from baselines.parts.trunks import bootstrap, image_network, trunk_of
from harness.core.contract import Baseline, BuildSpec, Clip

HIDDEN = 512


def build(spec: BuildSpec) -> Any:
    """Features of every frame, then the LSTM; as many steps have their own statistics as a training clip has frames."""
    from baselines.parts.inception import style_of
    from baselines.parts.recurrent import RecurrentNetwork

    (stream,) = spec.streams
    return RecurrentNetwork(
        stream,
        trunk_of(spec),
        hidden=style_of(spec.scale, 2).channels(HIDDEN),
        steps=BASELINE.train_clip[spec.scale.name].frames(stream),
        momentum=spec.scale.bn_momentum,
        classes=spec.num_classes,
        dropout=spec.scale.dropout,
    )


BASELINE = Baseline(
    name="convnet-lstm",
    title="ConvNet+LSTM",
    modalities=("rgb",),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip={
        "paper": Clip(window=125, side_px=224, strides={"rgb": 5}),
        "micro": Clip(window=16, side_px=48, strides={"rgb": 2}),
    },
    test_clip={
        "paper": Clip(window=250, side_px=224, strides={"rgb": 5}),
        "micro": Clip(window=24, side_px=48, strides={"rgb": 2}),
    },
    build=build,
    loss="every",
    reduce="last",
    paper="section 2.1, Figure 2a",
    build_image=image_network,
    image_name="inception-v1",
    bootstrap=bootstrap,
    choices={
        "batch norm in the LSTM": "on the input's and the state's projections and on the cell before its tanh, with "
        "statistics per step; gammas start at 0.1; eps 1e-5 (Cooijmans et al.)",
        "steps past the trained length": "share the last trained step's statistics (train 25, test 50)",
        "LSTM initialisation": "orthogonal per gate, forget bias 1",
        "dropout": "the scale's, between LSTM and classifier",
        "Fixed protocol": "the features are the hidden states: the LSTM is frozen with the rest",
        "micro clips": "every second frame: 8 steps in training, 12 in testing",
    },
)
