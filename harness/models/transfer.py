"""Load the weights that a network starts from, and freeze those that are not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.contract import NOTHING, Baseline, BuildSpec
from harness.core.errors import HarnessError, RecordError
from harness.models.activation_checkpointing import stages_of
from harness.models.tensor_io import save_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

HEAD = "head."


def load_source(network: Any, state: Mapping[str, Tensor], num_classes: int) -> None:
    """Every tensor of `state` into `network`, strictly, then a fresh head for `num_classes`.

    Raises RecordError if anything outside the head is missing, unexpected, or of another shape.
    """
    own = network.state_dict()
    body = {name: tensor for name, tensor in state.items() if not name.startswith(HEAD)}
    expected = {name for name in own if not name.startswith(HEAD)}
    wrong = [name for name in expected & body.keys() if own[name].shape != body[name].shape]
    if body.keys() != expected or wrong:
        raise RecordError(
            "the source's weights do not fit the network: "
            f"missing {_few(expected - body.keys())}; unexpected {_few(body.keys() - expected)}; of another shape {_few(wrong)}"
            "; choose a --source with the same baseline, streams and scale"
        )
    network.load_state_dict(body, strict=False)
    network.new_head(num_classes)


def load_published(network: Any, state: Mapping[str, Tensor], rows: Sequence[int], published: int) -> None:
    """The published state into a network of `len(rows)` classes, whose head takes these of the `published` classes."""
    import torch

    kept = torch.tensor(list(rows), dtype=torch.int64)
    parts = {
        name: tensor[kept] if name.startswith(HEAD) and tensor.ndim and len(tensor) == published else tensor
        for name, tensor in state.items()
    }
    try:
        network.load_state_dict(parts, strict=True)
    except RuntimeError as error:
        raise HarnessError(
            f"the weights do not fit the network ({' '.join(str(error).split())[:300]}), so they cannot be scored as published; "
            "pass --protocol fixed, which trains a new head"
        ) from error


def load_image(network: Any, state: Mapping[str, Tensor], baseline: Baseline, spec: BuildSpec) -> None:
    """Initialise from the 2D network's weights, as the baseline's `bootstrap` does. Raises RecordError if it has none."""
    if baseline.bootstrap is None:
        raise RecordError(f"{baseline.name} cannot start from a 2D network; pass --init scratch")
    baseline.bootstrap(network, state, spec)


def freeze_all_but_head(network: nn.Module) -> None:
    """Turn off gradients outside the head, and put the network in eval mode, so that no moving statistics change."""
    network.eval()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(HEAD))


def freeze(network: nn.Module, trained: str) -> None:
    """Freeze what `Protocol.trained` leaves out: nothing for 'all'; for 'last-N', all but the head and the last N blocks.
    For 'nothing' there are no steps to freeze it for.

    A frozen module has no gradient and stays in eval mode, whatever mode its network is put into. Blocks are the stages
    of each trunk (`activation_checkpointing.stages_of`). Raises HarnessError for a network with fewer blocks.
    """
    if trained in ("all", NOTHING):
        return
    count = int(trained.removeprefix("last-"))
    parts = [[stage for stage in part if stage is not network.head] for part in stages_of(network)]
    if any(len(stages) < count for stages in parts):
        message = f"trained '{trained}': the network has {min(map(len, parts))} blocks; train that many at most"
        raise HarnessError(message)
    kept = {id(module) for stages in parts for stage in stages[-count:] for module in stage.modules()}
    kept |= {id(module) for module in network.head.modules()}  # type: ignore[union-attr, operator]
    for module in network.modules():
        if id(module) not in kept:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
            if not any(id(inner) in kept for inner in module.modules()):
                module.eval()
                module.train = partial(_stay_in_eval, module)  # type: ignore[method-assign]


def _stay_in_eval(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file, on the CPU."""
    from safetensors.torch import load_file

    return load_file(path)


def write_weights(path: Path, network: nn.Module, *, job: str) -> None:
    """The whole state dict, contiguous, as safetensors with the job's id; equal weights give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_tensors(state, path, metadata={"job": job})


def _few(names: Any) -> str:
    listed = sorted(names)
    return (", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")) or "none"
