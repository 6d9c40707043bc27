"""Tiny classifiers in transformers' format, written to a folder: config.json alone, or with random weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

HERE = importlib.util.find_spec("transformers") is not None
REASON = "needs transformers: pip install 'quovadis-harness[hf]'"
CLASSES = 5
_IMAGE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "num_frames": 4,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "videomae": _IMAGE | {"architectures": ["VideoMAEForVideoClassification"]},
    "timesformer": _IMAGE | {"architectures": ["TimesformerForVideoClassification"]},
    "vivit": _IMAGE | {"architectures": ["VivitForVideoClassification"], "tubelet_size": [2, 16, 16]},
    "vjepa2": {
        "architectures": ["VJEPA2ForVideoClassification"],
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "crop_size": 32,
        "frames_per_clip": 4,
        "num_pooler_layers": 1,
        "pred_hidden_size": 24,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    },
}
NAMES = [f"class {number}" for number in range(CLASSES)]


def write_config(folder: Path, kind: str, **changes: Any) -> Path:
    """The folder with the config.json of a tiny classifier of this type."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"id2label": dict(enumerate(NAMES)), "label2id": {name: number for number, name in enumerate(NAMES)}}
    config = {"model_type": kind, **CONFIGS[kind], **names, **changes}
    (folder / "config.json").write_text(
        json.dumps({name: value for name, value in config.items() if value is not None})
    )
    return folder


def write_model(folder: Path, kind: str, *, trained: bool = True) -> Any:
    """Save a tiny classifier as its library does, and return it; `trained`: no parameter is where it started."""
    import torch
    from transformers import AutoConfig, AutoModelForVideoClassification

    write_config(folder, kind)
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(AutoConfig.from_pretrained(folder)).eval()
    if trained:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model
