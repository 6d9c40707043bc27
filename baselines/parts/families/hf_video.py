"""Video classifiers of transformers with the interface of harness.core.contract.Network, and their weights, read strictly."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from baselines.parts.families.hf_facts import KINDS
from baselines.parts.network import LinearHead, WithHead
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError

Digest = tuple[tuple[int, ...], str]
"""Shape of a tensor, and hash of its values."""


class HubNetwork(WithHead):
    """A classifier of transformers whose last linear layer is replaced by an equal one that can be renewed.

    Norm and attentive pooling before that layer are part of the features, so Fixed does not train them.
    """

    def __init__(self, model: nn.Module, inputs: str, *, classes: int):
        super().__init__(partial(LinearHead, model.classifier.in_features, dropout=0.0), classes)
        self.trunk = _without_head(model)
        self._inputs = inputs

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips["rgb"] (N, 3, T, H, W) float32, as the card's pixels say -> (N, 1, F) float."""
        frames = clips["rgb"].transpose(1, 2)
        return self.trunk(**{self._inputs: frames}).logits.unsqueeze(1)


def network(config: Mapping[str, Any], spec: BuildSpec) -> HubNetwork:
    """The network of a configuration, freshly initialised: as it says where the scale's width is 1, else its micro size.

    Raises HarnessError for a backbone, which it cannot be built on.
    """
    if spec.backbone:
        raise HarnessError(f"a network of transformers cannot be built on --backbone {spec.backbone}; leave it out")
    kind = KINDS[config["model_type"]]
    sizes = config if spec.scale.width == 1 else {"model_type": config["model_type"], **kind.micro}
    return HubNetwork(_model(sizes, spec.num_classes), kind.inputs, classes=spec.num_classes)


def load(tensors: Mapping[str, Tensor], config: Mapping[str, Any], classes: int) -> dict[str, Tensor]:
    """Tensors of a published file -> state of `HubNetwork`, by the library's own rules for names of older versions.

    These rules once lost biases without an error. So every tensor of the file has to be in the model afterwards, bit for
    bit, and every tensor of the model in the file. Raises HarnessError, naming those that are not.
    """
    # Before loading: the model takes over the memory of these tensors.
    file = {name: _digest(tensor) for name, tensor in tensors.items()}
    try:
        model = type(_model(config, classes)).from_pretrained(
            None, config=_config(config, classes), state_dict=dict(tensors), dtype=torch.float32
        )
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise HarnessError(f"transformers cannot load these weights: {' '.join(str(error).split())[:300]}") from error
    _check_same(file, {name: _digest(tensor) for name, tensor in model.state_dict().items()})
    head = model.classifier.state_dict()
    state = {f"trunk.{name}": tensor for name, tensor in _without_head(model).state_dict().items()}
    return state | {f"head.fc.{name}": tensor for name, tensor in head.items()}


def _check_same(file: Mapping[str, Digest], model: Mapping[str, Digest]) -> None:
    """Raise HarnessError for a content that one side has more often than the other."""
    for names, others, fault in (
        (file, model, "of the file is not in the model"),
        (model, file, "of the model is not in the file"),
    ):
        surplus = Counter(names.values()) - Counter(others.values())
        if wrong := sorted(name for name, digest in names.items() if digest in surplus):
            import transformers

            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise HarnessError(
                f"{wrong[0]}{more} {fault} as transformers {transformers.__version__} loads it; the file is not the published "
                "one, or this version misreads it: install another version"
            )


def _digest(tensor: Tensor) -> Digest:
    values = tensor.detach().to(torch.float32).contiguous()
    return tuple(tensor.shape), hashlib.blake2b(values.numpy().tobytes(), digest_size=16).hexdigest()


def _config(config: Mapping[str, Any], classes: int) -> Any:
    from transformers import AutoConfig

    fields = {name: value for name, value in config.items() if name not in ("id2label", "label2id", "num_labels")}
    return AutoConfig.for_model(**fields, num_labels=classes)


def _model(config: Mapping[str, Any], classes: int) -> Any:
    from transformers import AutoModelForVideoClassification

    return AutoModelForVideoClassification.from_config(_config(config, classes))


def _without_head(model: Any) -> nn.Module:
    """The classifier with features as its logits, and without V-JEPA 2's predictor, which classification does not use."""
    model.classifier = nn.Identity()
    if hasattr(model, "vjepa2"):
        model.vjepa2.predictor = nn.Identity()
    return model
