"""`harness run --profile`: one HTML page per job about its time, and a chrome trace per stage next to it.

The duration of every stage is measured; torch.profiler records its first steps. The parts of a step are what the code
names "harness.PART" with `record_function`, which costs nothing without --profile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from harness.core.atomic import write_text
from harness.core.callbacks import Callback

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it writes to standard error when it starts and stops

SKIPPED, RECORDED = 1, 10
"""Steps at the beginning of a stage."""
PART, MODULE = "harness.", "module."
START = "start: data, weights, network"
DEPTH = 2
"""Levels of a module's name that are listed: trunk.mixed3b, but not what is in it."""
ROWS = 12
"""Longest table of modules or operators."""
RULES = {
    "wait for clips": (
        0.1,
        "Training waits for clips: use more --workers, or a frame store (docs/how-to/performance.md).",
    ),
    "convert clips": (0.05, "Converting clips takes time: --workers moves decoding to other processes."),
    "optimizer": (0.1, "The optimizer is slow relative to the network: a larger batch takes fewer steps."),
    "score": (0.3, "Scoring takes a large share: use fewer or shorter test clips."),
    START: (0.3, "Starting takes a large share: run several jobs with one command."),
    "backward": (0.35, "Computing dominates, as it should: use a faster device, smaller clips or a smaller width."),
}
"""Part or stage -> (share of the job's time from which to print a suggestion, the suggestion)."""


@dataclass
class Stage:
    """One stage of a job, such as 'train' or 'score'."""

    name: str
    began: float = field(default_factory=time.perf_counter)
    wall_s: float = 0.0
    steps: int = -SKIPPED
    """Recorded steps, if more than 0."""
    tables: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """'parts', 'modules' (forward) and 'operators' (on the GPU, if there is one) -> name -> seconds per recorded step."""


class StageProfiler(Callback):
    """Profiles the job whose callback it is. Use it as a context manager: it names the modules of the network."""

    def __init__(self, folder: Path, job_id: str, device: str) -> None:
        self.folder, self.job_id, self.cuda = folder, job_id, device.startswith("cuda")
        self.stages = [Stage(START)]
        self.recorder: profile | None = None
        self.names: dict[int, str] = {}
        self.forward: list[Any] = []
        """Spans of the forward passes in progress."""

    def __enter__(self) -> StageProfiler:
        self.hooks = [register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave)]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()
        self._end_stage()

    def _enter(self, module: nn.Module, _: Any) -> None:
        if id(module) not in self.names and not self.forward:
            self.names = {id(part): name for name, part in module.named_modules() if name.count(".") < DEPTH}
        if self.names.get(id(module)):
            self.forward.append(record_function(MODULE + self.names[id(module)]))
            self.forward[-1].__enter__()

    def _leave(self, module: nn.Module, *_: Any) -> None:
        if self.names.get(id(module)):
            self.forward.pop().__exit__(None, None, None)

    def stage(self, name: str, total: int, unit: str) -> None:
        self._end_stage()
        self.recorder = profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.cuda else [])],
            schedule=schedule(wait=0, warmup=SKIPPED, active=RECORDED, repeat=1),
            on_trace_ready=self._save,
            acc_events=True,
        )
        self.recorder.start()
        self.stages.append(Stage(name))

    def advance(self, count: int = 1, note: str = "") -> None:
        if self.recorder and count:
            began = time.perf_counter()
            self.stages[-1].steps += self.stages[-1].steps < RECORDED
            self.recorder.step()
            # Writing the trace takes seconds, which are not the job's.
            self.stages[-1].began += time.perf_counter() - began

    def _end_stage(self) -> None:
        self.stages[-1].wall_s = time.perf_counter() - self.stages[-1].began
        if self.recorder:
            self.recorder.stop()
        self.recorder = None

    def _save(self, recorder: profile) -> None:
        """Called after the recorded steps, or at the end of a stage that has fewer."""
        stage, events = self.stages[-1], {event.key: event for event in recorder.key_averages()}
        step = events.pop("ProfilerStep*", None)
        if not step or stage.steps < 1:
            return

        def seconds(prefix: str) -> dict[str, float]:
            spans = [key for key in events if key.startswith(prefix)]
            return {key.removeprefix(prefix): events.pop(key).cpu_time_total / 1e6 / stage.steps for key in spans}

        parts, modules = seconds(PART), seconds(MODULE)
        if "wait for clips" in parts:
            parts["wait for clips"] -= parts.get("convert clips", 0.0)
        parts["other"] = step.cpu_time_total / 1e6 / stage.steps - sum(parts.values())
        own = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        operators = {key: getattr(event, own) / 1e6 / stage.steps for key, event in events.items()}
        stage.tables = {"parts": parts, "modules": modules, "operators": operators}
        self.folder.mkdir(parents=True, exist_ok=True)
        recorder.export_chrome_trace(str(self.folder / f"{self.job_id}.{stage.name}.json.gz"))

    def write_page(self, title: str) -> Path:
        """The page of the finished job; returns its path."""
        path = self.folder / f"{self.job_id}.html"
        write_text(path, page(title, self.stages))
        return path


def advice(stages: list[Stage]) -> list[str]:
    """Suggestions, the largest share of the time first. Never empty."""
    total = sum(stage.wall_s for stage in stages)
    seconds = {stage.name: stage.wall_s for stage in stages}
    for stage in stages:
        parts = stage.tables.get("parts", {}) if stage.name == "train" else {}
        seconds |= {name: stage.wall_s * value / sum(parts.values()) for name, value in parts.items()}
    shares = {name: seconds.get(name, 0.0) / total for name in RULES}
    longest = sorted(RULES, key=lambda name: -shares[name])
    return [RULES[name][1] for name in longest if shares[name] > RULES[name][0]] or ["No part stands out."]


def page(title: str, stages: list[Stage]) -> str:
    """HTML: the time of each stage, suggestions, and tables of the recorded steps."""
    parts = [
        f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>',
        "<style>body{font:15px sans-serif;max-width:52em;margin:2em auto}td{padding:2px 8px}td+td{text-align:right}</style>",
        f"<h1>{escape(title)}</h1>",
        _table({stage.name: stage.wall_s for stage in stages}, 1.0, "s"),
        "<h2>Suggestions</h2><ul>",
        *(f"<li>{escape(line)}</li>" for line in advice(stages)),
        "</ul>",
    ]
    for stage in (stage for stage in stages if stage.tables):
        parts.append(f"<h2>{escape(stage.name)}: {stage.steps} recorded steps</h2><p>Milliseconds per step.</p>")
        for name, seconds in stage.tables.items():
            parts.append(f"<h3>{name}</h3>{_table(seconds, 1e-3, 'ms')}")
    return "\n".join(parts) + "\n"


def _table(seconds: Mapping[str, float], unit_s: float, unit: str) -> str:
    total = sum(seconds.values()) or 1.0
    rows = [
        f"<tr><td>{escape(name)}</td><td>{value / unit_s:.2f} {unit}</td><td>{100 * value / total:.1f}%</td></tr>"
        for name, value in sorted(seconds.items(), key=lambda item: -item[1])[:ROWS]
    ]
    return "\n".join(["<table>", *rows, "</table>"])
