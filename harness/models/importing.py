"""Third-party weights in our networks: read safely, renamed, fitted strictly, saved with their card.

state, report = convert(read_tensors(path), target=network.state_dict())
print(report)
network.load_state_dict(state)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.contract import Weights
from harness.core.errors import HarnessError, unknown
from harness.models.catalog import imported_path
from harness.models.name_maps import LAYOUTS, Layout, timm
from harness.models.tensor_io import hash_of, read_tensors, save_tensors

OWN = "own"
"""Layout of weights in the network's own names, after `Weights.rename`."""
KEY_BIAS = re.compile(r"(key|k_proj|k)[._]bias$")
"""The bias of attention's keys, which softmax cancels: training leaves it where it was."""


@dataclass(frozen=True)
class Report:
    """Names of tensors, by how they were used. Only `missing`, `unexpected` and `misshapen` are faults."""

    layout: str
    matched: tuple[str, ...] = ()
    """Ours, filled unchanged."""
    reshaped: tuple[str, ...] = ()
    """Ours, filled after a change of axes or of axes of length one."""
    left_out: tuple[str, ...] = ()
    """Theirs, not needed here: auxiliary heads, optimizer state, unit scales."""
    missing: tuple[str, ...] = ()
    """Ours, filled by no tensor."""
    unexpected: tuple[str, ...] = ()
    """Theirs, with no counterpart."""
    misshapen: tuple[str, ...] = ()
    """Ours, whose counterpart has another shape."""

    @property
    def complete(self) -> bool:
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        counts = {name: len(value) for name, value in asdict(self).items() if name != "layout"}
        used = (f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
        text = f"layout {self.layout}: {', '.join(used)}"
        for fault in ("missing", "unexpected", "misshapen"):
            if names := getattr(self, fault):
                text += f"; {fault}: {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return text


def layout_of(tensors: Mapping[str, Tensor]) -> Layout:
    """The layout whose marker is among the tensors. Raises HarnessError listing the known layouts."""
    for layout in LAYOUTS.values():
        if any(name == layout.marker or name.endswith(f"/{layout.marker}") for name in tensors):
            return layout
    raise HarnessError(
        f"the names of the {len(tensors)} tensors ({', '.join(sorted(tensors)[:3])}, ...) match no known layout; import a file in "
        f"one of these: {', '.join(LAYOUTS)}, timm"
    )


def accepted(network: Any, weights: Weights) -> tuple[dict[str, Tensor], Layout]:
    """(tensors to fill, layout) for these weights in this network.

    The head of a timm network is not filled if its classifier reads more than the pooled map (VGG's fully connected
    layers).
    """
    target = dict(network.state_dict())
    if weights.layout == OWN:
        return target, Layout(OWN, weights.rename or (lambda name: name), marker="")
    if weights.layout not in (*LAYOUTS, "timm"):
        raise unknown("layout of weights", weights.layout, (*LAYOUTS, "timm", OWN))
    if weights.layout != "timm":
        return target, LAYOUTS[weights.layout]
    model = network.trunk.model
    dropped = [name for name, child in model.named_children() if isinstance(child, torch.nn.Identity)]
    fits = getattr(model, "head_hidden_size", model.num_features) == network.trunk.out_channels
    classifier = model.pretrained_cfg.get("classifier") if fits else ""
    if not fits:
        target = {name: tensor for name, tensor in target.items() if not name.startswith("head.")}
    return target, timm(classifier if isinstance(classifier, str) else "", dropped)


def convert(
    tensors: Mapping[str, Tensor], *, target: Mapping[str, Tensor], layout: Layout | str | None = None
) -> tuple[dict[str, Tensor], Report]:
    """(state in the names and shapes of `target`, report); the layout is detected by default.

    Raises HarnessError with the whole report unless every tensor of both sides is accounted for.
    """
    if isinstance(layout, str):
        if layout not in LAYOUTS:
            raise unknown("layout", layout, LAYOUTS)
        layout = LAYOUTS[layout]
    layout = layout or layout_of(tensors)
    kinds: dict[str, list[str]] = {kind: [] for kind in ("left_out", "unexpected", "matched", "reshaped", "misshapen")}
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        ours = layout.rename(name)
        if ours is None or (ours not in target and _is_unit_scale(ours, tensor)):
            kinds["left_out"].append(name)
        elif ours not in target or ours in state:
            kinds["unexpected"].append(name)
        else:
            fitted = _shape(tensor, target[ours].shape, layout)
            kind = "misshapen" if fitted is None else "matched" if fitted.shape == tensor.shape else "reshaped"
            kinds[kind].append(ours)
            state[ours] = target[ours] if fitted is None else fitted.to(target[ours].dtype)
    rest = {name: _supply(name, target, layout) for name in target.keys() - state.keys()}
    supplied = {name: value for name, value in rest.items() if value is not None}
    missing = sorted(target.keys() - state.keys() - supplied.keys())
    report = Report(layout.name, missing=tuple(missing), **{kind: tuple(sorted(kinds[kind])) for kind in kinds})
    if not report.complete:
        raise HarnessError(
            f"the weights do not fit the network; {report}. Import the file that was published for this network and stream "
            "(`harness weights list`)"
        )
    return state | supplied, report


def refuse_zeroed(state: Mapping[str, Tensor], fresh: Mapping[str, Tensor], path: Path) -> None:
    """Raise HarnessError for a tensor of zeros in trained weights: the trace of a library that did not find its name.

    A bias starts at zero. So zeros are refused where a fresh network has others, and, once some tensor that starts at zero
    has been trained, everywhere except in biases of keys.
    """
    zeros = {name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.any()}
    starts = {name for name, tensor in fresh.items() if tensor.is_floating_point() and not tensor.any()}
    trained = bool(starts - zeros)
    wrong = sorted(name for name in zeros if not KEY_BIAS.search(name) and (trained or name not in starts))
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise HarnessError(
            f"{path} has only zeros for {wrong[0]}{more}, which trained weights never have: a conversion lost them; use the "
            "file as its authors published it"
        )


def _shape(tensor: Tensor, shape: torch.Size, layout: Layout) -> Tensor | None:
    if layout.channels_last and tensor.dim() == 5:
        tensor = tensor.permute(4, 3, 0, 1, 2)
    if tensor.shape == shape:
        return tensor.contiguous()
    squeezed = [n for n in tensor.shape if n > 1] == [n for n in shape if n > 1]
    return tensor.reshape(shape).contiguous() if squeezed else None


def _is_unit_scale(name: str, tensor: Tensor) -> bool:
    return name.endswith(".bn.weight") and bool((tensor == 1).all())


def _supply(name: str, target: Mapping[str, Tensor], layout: Layout) -> Tensor | None:
    """The one right value of a tensor that the layout lacks: a unit scale, a counter, the padding flag, the pictures' mean."""
    if name.endswith(".num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if name.endswith("._extra_state"):
        return torch.tensor([bool(layout.symmetric) and layout.symmetric in name], dtype=torch.uint8)
    if name.endswith(".pixels.standard") and layout.pixels:
        return torch.tensor(layout.pixels)
    if layout.scaleless and name.endswith(".bn.weight"):
        return torch.ones(target[name].shape)
    return None


def import_weights(
    path: Path,
    weights: Weights,
    folder: Path,
    *,
    target: Mapping[str, Tensor],
    layout: Layout | str | None = None,
    labels: tuple[str, ...] = (),
) -> tuple[Path, Report]:
    """Convert a file and save it below `folder` as safetensors with its card; returns its path, and the report.

    The card holds the fields of `weights`, the hash of the original file, the report, and the class names in the order
    of the logits, if given. Raises HarnessError as `read_tensors` and `convert` do, and for a wrong number of labels.
    """
    if labels and len(labels) != weights.classes:
        raise HarnessError(f"{len(labels)} labels for {weights.classes} classes of '{weights.name}'; give one per line")
    tensors = weights.read(path) if weights.read else read_tensors(path)
    state, report = convert(tensors, target=target, layout=layout or weights.layout)
    if report.layout == OWN:
        refuse_zeroed(state, target, path)
    card = {
        name: value for name, value in asdict(replace(weights, rename=None, read=None)).items() if value is not None
    }
    card |= {"imported_sha256": hash_of(path), "report": str(report), "labels": list(labels or weights.labels)}
    folder.mkdir(parents=True, exist_ok=True)
    final = imported_path(weights, folder)
    partial = final.with_suffix(".part")
    save_tensors(state, partial, metadata={"card": json.dumps(card)})
    partial.replace(final)
    return final, report


def load_imported(weights: Weights, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(state, card) of imported weights. Raises HarnessError saying how to get them."""
    from safetensors import safe_open

    path = imported_path(weights, folder)
    if not path.is_file():
        raise HarnessError(
            f"the weights '{weights.name}' ({weights.stream}) are not imported; download them with "
            f"`harness weights fetch {weights.name}`, or import a file from {weights.url} with `harness weights import "
            f"{weights.name} FILE --stream {weights.stream}`"
        )
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["card"])  # noqa: SIM118
