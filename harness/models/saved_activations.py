"""Less memory between the forward and the backward pass: cheap activations are computed again, bit for bit.

Batch norm saves its input for the backward pass, and ReLU and the next layer save ReLU's result: two tensors of the same
size, of which the second follows from the first. The same holds for the concatenation of such results in an inception
module. Those results are not stored. The backward pass computes them again from batch norm's input, with the same
operations on the same values, once each. Convolutions and pools are never computed again. A max pool's positions are
stored as 16 or 32 bits instead of 64.

Works for any network built of PyTorch's functions. What a layer computes from unknown tensors is saved as usual.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from harness.core.errors import HarnessError


@contextlib.contextmanager
def recompute_cheap_activations() -> Iterator[None]:
    """Forward passes within this context save less for their backward pass, which may come after it.

    Within activation checkpointing nothing changes: it decides what its stages save. Not for compiled networks.
    """
    recorder = _Recorder()
    with torch.autograd.graph.saved_tensors_hooks(recorder.pack, _unpack), recorder:
        yield


class _Recipe:
    """How to compute a tensor again. The value is stored from its first use in the backward pass to its last."""

    def __init__(self, function: Callable[..., Tensor], *sources: _Recipe):
        self.function = function
        self.sources = sources
        self.uses = 0
        self.value: Tensor | None = None

    def claim(self) -> _Recipe:
        """Count one more use."""
        if self.uses == 0:
            for source in self.sources:
                source.claim()
        self.uses += 1
        return self

    def take(self) -> Tensor:
        """The tensor, for one of its uses."""
        value = self.function(*self.sources) if self.value is None else self.value
        self.uses -= 1
        self.value = value if self.uses > 0 else None
        return value


class _Recorded(NamedTuple):
    """A result of the forward pass that has a recipe."""

    recipe: _Recipe
    version: int
    """The recipe holds for this version: a later change in place makes it void."""


class _Narrow(NamedTuple):
    """Positions within a pool's input, stored with fewer bits."""

    positions: Tensor

    def take(self) -> Tensor:
        return self.positions.long()


class _Whole:
    """A tensor that is saved unchanged. Torch does not check for changes in place where hooks replace what it saves."""

    def __init__(self, tensor: Tensor):
        self.watch(tensor)

    def watch(self, tensor: Tensor) -> None:
        """Hold this alias: torch passes results to `pack` as copies that do not count changes in place."""
        self.tensor, self.version = tensor, tensor._version

    def take(self) -> Tensor:
        """The tensor. Raises HarnessError if it was changed."""
        if self.tensor._version != self.version:
            raise HarnessError(
                f"a layer saved a tensor {tuple(self.tensor.shape)} for the backward pass, and a later layer of the network "
                "changed it in place; remove inplace=True, or the operation whose name ends in '_', from that layer"
            )
        return self.tensor


_Packed = _Recipe | _Narrow | _Whole
_Place = tuple[int, int, torch.Size, tuple[int, ...], torch.dtype]


def _place(tensor: Tensor) -> _Place:
    """Names the values of a living tensor, whichever Python object holds them; on the meta device too."""
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


class _Recorder(TorchFunctionMode):
    """Notes, while the forward pass runs, which tensors can be computed again."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self.known: Mapping[_Place, _Recipe] = {}
        """Recipes of the arguments of the call in progress."""
        self.rectified: _Recipe | None = None
        """Recipe of the result of the call in progress, if it is a ReLU: all that it saves."""
        self.positions = 0
        """Number of positions in the input of the call in progress, if it is a max pool."""
        self.saved = 0
        """Number of tensors that the call in progress saved through `pack`; within activation checkpointing none."""
        self.whole: list[_Whole] = []
        """Those of them that are saved unchanged."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        self.known = {_place(tensor): recipe for tensor in _tensors(args) if (recipe := self._recipe_of(tensor))}
        make = _RECIPES.get(function)
        recipe = make(self._recipe_of, *args, **keywords) if make else None
        self.rectified = recipe if function is F.relu else None
        self.positions = args[0].shape[-_POOLS[function] :].numel() if function in _POOLS else 0
        self.saved, self.whole = 0, []
        try:
            result = function(*args, **keywords)
        finally:
            self.known, self.rectified, self.positions = {}, None, 0
        results = {_place(tensor): tensor for tensor in _tensors((result,))} if self.whole else {}
        for entry in self.whole:
            if _place(entry.tensor) in results:
                entry.watch(results[_place(entry.tensor)].detach())
        if recipe and (self.saved or function in _SAVING_NOTHING):
            self.recorded[result] = _Recorded(recipe, result._version)
        return result

    def pack(self, tensor: Tensor) -> _Packed:
        """What the backward pass gets instead of a tensor that it saves."""
        self.saved += 1
        if self.positions and tensor.dtype == torch.int64:
            fits = self.positions <= torch.iinfo(torch.int16).max
            return _Narrow(tensor.to(torch.int16 if fits else torch.int32))
        recipe = self.rectified or self.known.get(_place(tensor))
        if recipe:
            return recipe.claim()
        entry = _Whole(tensor)
        self.whole.append(entry)
        return entry

    def _recipe_of(self, tensor: Tensor) -> _Recipe | None:
        recorded = self.recorded.get(tensor)
        return recorded.recipe if recorded and recorded.version == tensor._version else None


def _unpack(packed: _Packed) -> Tensor:
    return packed.take()


def _tensors(args: Sequence[Any]) -> Iterator[Tensor]:
    for value in args:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, Tensor))


_Recipes = Callable[[Tensor], _Recipe | None]


def _batch_norm(
    recipes: _Recipes,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> _Recipe | None:
    """Without the moving statistics, which are updated once. In eval mode they are the result's, so there is no recipe."""
    if not training:
        return None
    # Detached: a tensor with its history would keep the graph alive that holds this recipe.
    scale, offset = (None if value is None else value.detach() for value in (weight, bias))
    return _Recipe(partial(F.batch_norm, input.detach(), None, None, scale, offset, True, 0.0, eps))


def _relu(recipes: _Recipes, input: Tensor, inplace: bool = False) -> _Recipe | None:
    before = recipes(input)
    return _Recipe(_rectify, before) if before else None


def _rectify(before: _Recipe) -> Tensor:
    value = before.take()
    return F.relu(value, inplace=before.value is None)


def _cat(recipes: _Recipes, tensors: Sequence[Tensor], dim: int = 0, **other: Any) -> _Recipe | None:
    """`other` are synonyms such as `axis`, and `out`."""
    parts = [recipe for tensor in tensors if (recipe := recipes(tensor))]
    return _Recipe(partial(_concatenate, dim), *parts) if len(parts) == len(tensors) and not other else None


def _concatenate(dim: int, *parts: _Recipe) -> Tensor:
    return torch.cat([part.take() for part in parts], dim)


def _pad(
    recipes: _Recipes, input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> _Recipe | None:
    before, again = recipes(input), partial(F.pad, pad=list(pad), mode=mode, value=value)
    if before:
        return _Recipe(lambda source: again(source.take()), before)
    if input.requires_grad:
        return None
    # A clip, which its owner holds anyway.
    clip = _Whole(input)
    return _Recipe(lambda: again(clip.take()))


_RECIPES: Mapping[Any, Callable[..., _Recipe | None]] = {
    F.batch_norm: _batch_norm,
    F.relu: _relu,
    F.pad: _pad,
    torch.cat: _cat,
}
_SAVING_NOTHING = (F.pad, torch.cat)
_POOLS: Mapping[Any, int] = {F.max_pool2d: 2, F.max_pool3d: 3}
"""Max pool -> its dimensions."""
