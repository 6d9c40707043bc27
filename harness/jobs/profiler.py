"""Where the time of one job went: `harness run ... --profile` leaves a page a job beside the ledger.

Hooks and two wrapped functions keep a stopwatch while the job runs, and are gone after it; a run without --profile
meets none of this. On a GPU each stretch waits for the device, which makes the job itself slower and the stretches
true.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from harness.core import environment
from harness.core.atomic import write_text
from harness.data import loader

WAIT, COPY, FORWARD, BACKWARD, OPTIMISER, SCORING, REST = (
    "waiting for clips: reading, decoding, cutting",
    "clips to the device, as numbers",
    "forward",
    "backward",
    "optimizer",
    "scoring: the network",
    "everything else: start, weights, evaluation's arithmetic, the record",
)
DEPTH = 2
"""Parts of a module's name that are told apart: trunk.mixed3b, and not what lies in it."""


@dataclass
class Stopwatch:
    """Seconds by stretch; time in an inner stretch is not counted in the outer one."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    open: list[str] = field(default_factory=list)
    since: float = field(default_factory=time.perf_counter)
    synchronise: Callable[[], None] = lambda: None

    def _account(self) -> None:
        self.synchronise()
        now = time.perf_counter()
        self.seconds[self.open[-1] if self.open else REST] += now - self.since
        self.since = now

    def enter(self, name: str) -> None:
        self._account()
        self.open.append(name)

    def leave(self) -> None:
        self._account()
        self.open.pop()

    @contextlib.contextmanager
    def stretch(self, name: str) -> Iterator[None]:
        self.enter(name)
        try:
            yield
        finally:
            self.leave()


@dataclass
class Profile:
    """What the stopwatch tells, and the modules that it was split over."""

    callback: Stopwatch
    names: dict[int, str] = field(default_factory=dict)
    """id of a module -> its name, of the network that is running."""
    forward: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Module -> seconds of its forward passes in training, what lies in it included."""
    backward: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    begun: list[tuple[str, float, bool]] = field(default_factory=list)
    """(module, when, whether it trains) of the forward passes under way."""
    behind: tuple[str, float] | None = None
    """The module whose backward pass is under way, and since when."""

    def before_module(self, module: nn.Module, _: Any) -> None:
        if not self.begun:
            self.names = {id(one): name for name, one in module.named_modules() if name.count(".") < DEPTH}
        if id(module) in self.names:
            if not self.begun:
                self.callback.enter(FORWARD if torch.is_grad_enabled() else SCORING)
            self.callback.synchronise()
            self.begun.append((self.names[id(module)], time.perf_counter(), torch.is_grad_enabled()))

    def after_module(self, module: nn.Module, _: Any, output: Any) -> None:
        if id(module) not in self.names or not self.begun:
            return
        self.callback.synchronise()
        name, when, trains = self.begun.pop()
        if trains and name:
            self.forward[name] += time.perf_counter() - when
            if isinstance(output, Tensor) and output.requires_grad and name.count(".") == DEPTH - 1:
                output.register_hook(lambda _: self.back_to(name))
        if not self.begun:
            self.callback.leave()

    def back_to(self, name: str) -> None:
        """The gradient of a module's output is there: what comes next is its own backward pass."""
        self.callback.synchronise()
        now = time.perf_counter()
        if self.behind is not None:
            last, since = self.behind
            self.backward[last] += now - since
        self.behind = (name, now) if name else None


@contextlib.contextmanager
def profiled(device: str) -> Iterator[Profile]:
    """Times whatever is trained and scored inside, in this process."""
    cuda = device.startswith("cuda")
    callback = Stopwatch(synchronise=torch.cuda.synchronize) if cuda else Stopwatch()
    profile = Profile(callback)
    hooks = [
        nn.modules.module.register_module_forward_pre_hook(profile.before_module),
        nn.modules.module.register_module_forward_hook(profile.after_module),
        register_optimizer_step_pre_hook(lambda *_: callback.enter(OPTIMISER)),
        register_optimizer_step_post_hook(lambda *_: callback.leave()),
    ]
    backward, to_network = Tensor.backward, loader.to_network
    train_batches, test_batches = loader.train_batches, loader.test_batches

    def timed_backward(self: Tensor, *arguments: Any, **named: Any) -> None:
        with callback.stretch(BACKWARD):
            backward(self, *arguments, **named)
            profile.back_to("")

    def timed_copy(*arguments: Any, **named: Any) -> Any:
        with callback.stretch(COPY):
            return to_network(*arguments, **named)

    def waited(batches: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def timed(*arguments: Any, **named: Any) -> Iterator[Any]:
            found = iter(batches(*arguments, **named))
            while True:
                with callback.stretch(WAIT):
                    batch = next(found, None)
                if batch is None:
                    return
                yield batch

        return timed

    Tensor.backward, loader.to_network = timed_backward, timed_copy  # type: ignore[method-assign]
    loader.train_batches, loader.test_batches = waited(train_batches), waited(test_batches)
    try:
        yield profile
    finally:
        Tensor.backward, loader.to_network = backward, to_network  # type: ignore[method-assign]
        loader.train_batches, loader.test_batches = train_batches, test_batches
        for hook in hooks:
            hook.remove()
        callback._account()


# ---------------------------------------------------------------------------------------------------- the page


def advice(seconds: dict[str, float], *, threads: int, workers: int) -> list[str]:
    """What would help, from the shares; the largest waste first. Never empty."""
    total = sum(seconds.values()) or 1.0
    share = {name: seconds.get(name, 0.0) / total for name in (WAIT, COPY, FORWARD, BACKWARD, OPTIMISER, SCORING, REST)}
    told = []
    if share[WAIT] > 0.1:
        told.append(
            (share[WAIT], f"The network waited for clips: give --workers {workers + 2} or more, or a store of frames.")
        )
    if share[COPY] > 0.05:
        told.append((share[COPY], "Turning clips into numbers shows: --workers moves the cutting out of its way."))
    if share[OPTIMISER] > 0.1:
        told.append((share[OPTIMISER], "The optimizer is large against the network: a larger batch takes fewer steps."))
    if share[SCORING] > 0.3:
        told.append((share[SCORING], "Scoring is a third or more: fewer looks (eval_every) or shorter test clips."))
    if share[REST] > 0.3:
        told.append(
            (share[REST], "Little of this job is computing: more steps, or more jobs a process, spread the start.")
        )
    computing = share[FORWARD] + share[BACKWARD]
    if computing > 0.6:
        where = "`python -m benchmarks --only training` says how far from this machine's limit the network computes"
        told.append((0.01, f"Computing dominates, as it should: a faster device, or a smaller clip or width; {where}."))
    if threads == 1 and environment.cpu_threads() > 1 and computing > 0.3:
        told.append((0.0, "One thread a job: other cores take other jobs, so ask for several cells at once."))
    return [line for _, line in sorted(told, reverse=True)] or ["Nothing stands out."]


def page(title: str, profile: Profile, *, threads: int, workers: int) -> str:
    """The page: shares of the time, modules, and what would help."""
    seconds = dict(profile.callback.seconds)
    total = sum(seconds.values()) or 1.0
    rows = [(name, seconds.get(name, 0.0)) for name in (WAIT, COPY, FORWARD, BACKWARD, OPTIMISER, SCORING, REST)]
    modules = {
        name: profile.forward.get(name, 0.0) + profile.backward.get(name, 0.0)
        for name in profile.forward
        if (name.count(".") == DEPTH - 1 and not name.startswith("head.")) or name == "head"
    }
    longest = sorted(modules.items(), key=lambda item: -item[1])
    parts = [
        '<!doctype html><meta charset="utf-8">',
        f"<title>{escape(title)}</title>",
        "<style>body{font:15px sans-serif;max-width:52em;margin:2em auto}td{padding:2px 8px}"
        "td+td{text-align:right}b{display:inline-block;height:.8em;background:#47a}</style>",
        f"<h1>{escape(title)}</h1><p>{total:.1f} s in all.</p><h2>Where the time went</h2><table>",
        *(_row(name, taken, total) for name, taken in rows),
        "</table><h2>What would help</h2><ul>",
        *(f"<li>{escape(line)}</li>" for line in advice(seconds, threads=threads, workers=workers)),
        "</ul><h2>By module, training, forward and backward</h2><table>",
        *(_row(name, taken, total) for name, taken in longest),
        "</table>",
    ]
    return "\n".join(parts) + "\n"


def _row(name: str, taken_s: float, total_s: float) -> str:
    share = taken_s / total_s
    bar = f'<b style="width:{200 * share:.0f}px"></b>'
    return f"<tr><td>{escape(name)}</td><td>{taken_s:.2f} s</td><td>{100 * share:.1f}%</td><td>{bar}</td></tr>"


def write(path: Path, text: str) -> None:
    """The page, by rename."""
    write_text(path, text)
