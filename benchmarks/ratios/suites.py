"""The benchmarks by name: what is held against what. `python -m benchmarks --only NAME`."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.ratios import data, flows
from benchmarks.ratios.case import Case
from benchmarks.ratios.heads import EPOCHS
from benchmarks.ratios.networks import PLAIN
from benchmarks.ratios.pairing import Both, Machine, Pairing, Suite
from benchmarks.ratios.values import Ceiling, Paired, alternate
from benchmarks.ratios.worker import Command, Together, Worker

PLAIN_I3D = "plain I3D (explicit padding, NCDHW, fp32, default allocator)"
OTHERS: Mapping[str, tuple[str, ...]] = {
    "convnet_lstm": ("rgb",),
    "c3d": ("rgb",),
    "two_stream": ("rgb",),
    "fused_3d": ("rgb", "flow"),
}
"""The baselines besides I3D, and the streams one network of theirs reads."""


def ceilings(machine: Machine) -> dict[str, Ceiling]:
    """The best rates here, by 'what precision' and thread count."""
    cpu = machine.device == "cpu"
    sizes = {"matmul": 1024 if machine.quick else 4096, "conv3d": 28, "copy": 64 if machine.quick else 256}
    sizes |= {} if cpu else {"matmul": 8192, "conv3d": 112, "copy": 2048}
    found = {}
    for threads in sorted({1, machine.threads}) if cpu else (1,):
        for what in ("conv3d", "matmul", "copy"):
            for precision in machine.precisions if what != "copy" else ("float32",):
                case = Case(what, precision=precision, threads=threads, device=machine.device, size=sizes[what])
                with Worker(case) as worker:
                    best = min(worker.run() for _ in range(3 if machine.quick else 9))
                context = worker.facts["gbyte" if what == "copy" else "gflop"]
                unit = "GB/s" if what == "copy" else "GFLOP/s"
                name = ceiling_name(what, precision, threads)
                found[name] = Ceiling(name, context / best, unit)
    return found


def ceiling_name(what: str, precision: str, threads: int) -> str:
    words = [what] + ([precision] if what != "copy" else []) + [f"{threads} thread{'s' if threads > 1 else ''}"]
    return " ".join(words)


# ---------------------------------------------------------------------------------------------------- networks

TARGETS = {
    ("forward", "float32"): 1.4,
    ("training", "float32"): 1.15,
    ("forward", "bfloat16"): 3.5,
    ("training", "bfloat16"): 2.8,
}
"""Against the plain I3D at 64x224x224, on two CPU cores."""


def _network(machine: Machine, what: str, **changes: Any) -> Case:
    """Cut down where it has to be quick; one clip on a CPU, enough to fill a GPU."""
    cpu = machine.device == "cpu"
    fields: dict[str, Any] = {"threads": machine.threads if cpu else 1, "batch": 1 if cpu else 16}
    if machine.quick:
        fields |= {"frames": 16, "side_px": 64, "batch": 2}
    return Case(what, device=machine.device, **fields | changes)


def networks(what: str) -> Suite:
    """'forward' or 'training' of all five baselines at the paper's sizes."""
    suite = {"forward": "inference", "training": "training"}[what]

    def pairings(machine: Machine) -> Iterator[Pairing]:
        plain = _network(machine, what, baseline=PLAIN, layout="plain", malloc="plain")
        for precision in machine.precisions:
            ours = _network(machine, what, precision=precision)
            target = TARGETS[what, precision] if machine.device == "cpu" and not machine.quick else None
            yield Pairing(suite, f"i3d {what} {_size(ours)} {precision}", PLAIN_I3D, ours, plain, target)
        for baseline, streams in OTHERS.items():
            # Batch norm over one row has no variance: networks with a hidden layer behind the trunk need two clips.
            batch = max(2, plain.batch)
            ours = _network(machine, what, baseline=baseline, streams=streams, batch=batch, frames=0, side_px=0)
            ours = dataclasses.replace(ours, precision=machine.precisions[-1])
            theirs = dataclasses.replace(ours, layout="plain", malloc="plain", precision="float32")
            name = f"{baseline.replace('_', '-')} {what} {'+'.join(streams)} batch {batch} {ours.precision}"
            yield Pairing(suite, name, "itself in NCDHW, fp32, default allocator", ours, theirs)

    return pairings


def micro(machine: Machine) -> Iterator[Pairing]:
    """What a micro job does: one thread, a quarter of the channels, 16 clips of 16x48x48."""
    for what in ("training", "forward"):
        ours = Case(what, scale="micro", batch=16, device=machine.device)
        plain = dataclasses.replace(ours, baseline=PLAIN, layout="plain", malloc="plain")
        yield Pairing("micro", f"i3d micro {what}", PLAIN_I3D, ours, plain)


def defaults(machine: Machine) -> Iterator[Pairing]:
    """Every default that claims to help, against the same without it."""
    best = machine.precisions[-1]
    without: dict[str, dict[str, Any]] = {"channels last": {"layout": "plain"}}
    if machine.device == "cpu":
        without["memory kept"] = {"malloc": "plain"}
    if best == "bfloat16":
        without["bfloat16"] = {"precision": "float32"}
    for what in ("forward", "training"):
        for ours in (
            _network(machine, what, precision=best),
            Case(what, scale="micro", batch=16, device=machine.device),
        ):
            for default, change in without.items():
                if ours.scale == "micro" and default == "bfloat16":
                    continue
                yield _default(default, ours, **change)
            if best == "bfloat16" and ours.scale == "paper":
                yield _default("one convolution for three branches", ours)
                if what == "forward":
                    yield _default("batch norm folded", ours)
            if what == "training" and machine.device == "cpu":
                fields: dict[str, Any] = {
                    "baseline": "fused_3d",
                    "streams": OTHERS["fused_3d"],
                    "frames": 0,
                    "side_px": 0,
                }
                yield _default(
                    "fusing kernel laid out plainly", dataclasses.replace(ours, batch=max(2, ours.batch), **fields)
                )


def _default(default: str, ours: Case, **change: Any) -> Pairing:
    theirs = dataclasses.replace(ours, **(change or {"without": default}))
    name = f"{default}: {ours.baseline.replace('_', '-')} {ours.scale} {ours.what}"
    return Pairing("defaults", name, f"without it ({_size(ours)})", ours, theirs)


def fixed(machine: Machine) -> Iterator[Pairing]:
    """The Fixed protocol on cached features against forwarding in every epoch."""
    for views in (1, 3):
        ours = Case(
            "fixed, cached", scale="micro", batch=16 if machine.quick else 64, device=machine.device, size=views
        )
        theirs = dataclasses.replace(ours, what="fixed, anew")
        name = f"{EPOCHS} epochs of a head, {views} view{'s' if views > 1 else ''} a video"
        yield Pairing("fixed", name, "forwarding in every epoch", ours, theirs, 20.0 if views == 1 else None)


def loop(machine: Machine) -> Iterator[Pairing]:
    """The training loop's own cost, on a head so small that it shows."""
    ours = Case("loop", size=200, device=machine.device)
    theirs = dataclasses.replace(ours, what="bare loop")
    yield Pairing("loop", "200 steps of a linear head", "a hand-written loop, same batches", ours, theirs)


_FIRST_STEP = """
import torch
from harness.training.optim import eager
weight = torch.nn.Parameter(torch.ones(3))
weight.sum().backward()
{}([weight]).step()
"""


def startup(machine: Machine) -> Iterator[Pairing]:
    """What a person waits for before anything happens, against a process that only imports torch."""
    reference = Command(("-c", "import torch"))
    cell = ("--dataset", "micro-hmdb51", "--protocol", "full-ft")
    for words in (("--help",), ("plan", *cell), ("ls", "baselines")):
        yield Pairing(
            "startup",
            f"harness {words[0]}",
            "a process that imports torch",
            Command(("-m", "harness", *words)),
            reference,
        )
    optimizer = "torch.optim.AdamW"
    yield Pairing(
        "startup",
        "first step of a training",
        "torch's own optimizer, which loads a compiler",
        Command(("-c", _FIRST_STEP.format(f"eager({optimizer})"))),
        Command(("-c", _FIRST_STEP.format(optimizer))),
    )


SUITES: Mapping[str, Suite] = {
    "inference": networks("forward"),
    "training": networks("training"),
    "defaults": defaults,
    "micro": micro,
    "fixed": fixed,
    "loop": loop,
    "data": data.pairings,
    "flow": flows.pairings,
    "startup": startup,
}


# ---------------------------------------------------------------------------------------------------- one pair


FACTS = {"data": data.facts_of, "flow": flows.facts_of}
"""Of suites whose two sides must have given the same: what else is known of a pair, or HarnessError."""


def measure(pairing: Pairing, *, rounds: int) -> Paired:
    """Both in processes of their own, told in turn."""
    ours, theirs = pairing.ours, pairing.theirs
    with _running(ours) as a, _running(theirs) as b:
        ours_s, theirs_s = alternate(a.run, b.run, rounds=rounds)
    facts = dict(a.facts)
    if isinstance(ours, Case):
        facts["reference_memory_bytes"] = b.facts["memory_bytes"]
        if "gflop" in facts:
            facts["ceiling"] = ceiling_name("conv3d", ours.precision, ours.threads)
    if "steps" in facts:
        more_s = statistics.median(x - y for x, y in zip(ours_s, theirs_s, strict=True)) / facts["steps"]
        facts["note"] = f"{1e3 * more_s:.2f} ms a step more"
    if pairing.suite in FACTS:
        facts |= FACTS[pairing.suite](a.facts, b.facts, ours_s, theirs_s)
    return Paired(pairing.suite, pairing.name, pairing.reference, ours_s, theirs_s, pairing.target, facts)


def _running(what: Case | Command | Both) -> Worker | Command | Together:
    if isinstance(what, Both):
        return Together([data.at_hand(part) for part in what.parts])
    return Worker(data.at_hand(what)) if isinstance(what, Case) else what


def _size(case: Case) -> str:
    from benchmarks.ratios.networks import clip_of

    clip = clip_of(case)
    return f"{clip.window}x{clip.side_px}x{clip.side_px} batch {case.batch}"
