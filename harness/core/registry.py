"""Name -> the plug-in's value.

Plug-ins come from three places, later ones never shadowing earlier ones: the built-in packages of `KINDS` (the file name
is the name), the entry-point groups of `KINDS` in installed distributions, and files in the folders of ``--plugins`` /
``HARNESS_PLUGINS`` (separated as in PATH). A plug-in file holds exactly one value of its kind. `-` and `_` are
equivalent in names.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from harness.core.contract import Baseline, Dataset, Protocol, Scale
from harness.core.errors import HarnessError, unknown
from harness.core.plugins import Decoder, Launcher, Metric

PLUGINS_ENV = "HARNESS_PLUGINS"


class Kind(NamedTuple):
    """Where one kind of plug-in lives."""

    type: type
    package: str
    group: str


KINDS = {
    "baseline": Kind(Baseline, "baselines", "harness.baselines"),
    "dataset": Kind(Dataset, "harness.datasets", "harness.datasets"),
    "protocol": Kind(Protocol, "harness.protocols", "harness.protocols"),
    "scale": Kind(Scale, "harness.scales", "harness.scales"),
    "metric": Kind(Metric, "harness.metrics.builtin", "harness.metrics"),
    "launcher": Kind(Launcher, "harness.launch.launchers", "harness.launchers"),
    "decoder": Kind(Decoder, "harness.video.decoders", "harness.decoders"),
}


def dashed(name: str) -> str:
    """The spelling used everywhere: lower case, '-' for '_'. What follows a ':' (folder:/Some/Where) stays as it is."""
    head, colon, argument = name.strip().partition(":")
    return head.lower().replace("_", "-") + colon + argument


def names(kind: str) -> list[str]:
    """Every name of this kind, sorted, without importing the built-in ones."""
    return sorted(_sources(kind, os.environ.get(PLUGINS_ENV, "")))


def load(kind: str, name: str) -> Any:
    """The value called `name`; NAME:ARGUMENT is a member of a family. Raises UnknownName with what there is and the
    nearest guess."""
    sources = _sources(kind, os.environ.get(PLUGINS_ENV, ""))
    key, colon, argument = dashed(name).partition(":")
    if key not in sources:
        raise unknown(kind, name, sources)
    value = _value(kind, key, os.environ.get(PLUGINS_ENV, ""))
    if not colon:
        return value
    if not (at := getattr(value, "at", None)):
        raise HarnessError(f"{kind} '{key}' takes nothing after a ':', and '{name}' has something there")
    return at(argument)


def origin(kind: str, name: str) -> str:
    """Where the value called `name` comes from, if from outside: a file, or 'module:NAME'. '' for any other."""
    how, where = _sources(kind, os.environ.get(PLUGINS_ENV, "")).get(dashed(name).partition(":")[0], ("module", ""))
    return "" if how == "module" else where


def all(kind: str) -> dict[str, Any]:
    """Name -> value of every plug-in of this kind, sorted by name."""
    return {name: load(kind, name) for name in names(kind)}


@functools.cache
def _sources(kind: str, plugins: str) -> dict[str, tuple[str, str]]:
    """Name -> ('module' | 'entry' | 'file', where)."""
    spec = KINDS[kind]
    package = importlib.import_module(spec.package)
    found: dict[str, tuple[str, str]] = {}
    for folder in package.__path__:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            found[dashed(path.stem)] = ("module", f"{spec.package}.{path.stem}")
    for entry in entry_points(group=spec.group):
        found.setdefault(dashed(entry.name), ("entry", entry.value))
    for folder in filter(None, plugins.split(os.pathsep)):
        if not Path(folder).is_dir():
            raise HarnessError(f"--plugins {folder}: no such folder; give a folder that holds plug-in files")
        for path in sorted(Path(folder).glob("[!_]*.py")):
            if _holds(path, spec.type):
                _refuse_shadow(kind, path, found)
                found[dashed(path.stem)] = ("file", str(path))
    return found


def _refuse_shadow(kind: str, path: Path, found: dict[str, tuple[str, str]]) -> None:
    name = dashed(path.stem)
    if name in found:
        raise HarnessError(f"{path} would hide the {kind} '{name}' that {found[name][1]} provides; rename the file")


def _holds(path: Path, type_: type) -> bool:
    return any(isinstance(value, type_) for value in vars(_load_file(path)).values())


@functools.cache
def _load_file(path: Path) -> ModuleType:
    name = f"harness_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HarnessError(f"{path} cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _unreadable(str(path), error, "take it out of the folder of --plugins") from error
    return module


def _load_entry(where: str, kind: str) -> list[Any]:
    """What the entry point 'module:NAME' names; of a 'module', all its values of this kind."""
    module_name, _, attribute = where.partition(":")
    try:
        module = importlib.import_module(module_name)
        return [getattr(module, attribute)] if attribute else _values(module, kind)
    except Exception as error:
        raise _unreadable(where, error, "uninstall the package that brings it") from error


def _unreadable(where: str, error: Exception, remedy: str) -> HarnessError:
    """A plug-in that cannot be imported, with the line that failed: the last one in its file, whatever it called."""
    if isinstance(error, SyntaxError):
        lines, file, words = [error.lineno], error.filename, error.msg
    else:
        file, words = where, " ".join(str(error).split())
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == where]
    at = f"{file}, line {lines[-1]}" if lines else where
    return HarnessError(f"the plug-in {at}, cannot be read: {type(error).__name__}: {words}; mend it, or {remedy}")


@functools.cache
def _value(kind: str, name: str, plugins: str) -> Any:
    how, where = _sources(kind, plugins)[name]
    if how == "entry":
        values = _load_entry(where, kind)
    else:
        module = importlib.import_module(where) if how == "module" else _load_file(Path(where))
        values = _values(module, kind)
    if len(values) != 1:
        raise HarnessError(
            f"{where} holds {len(values)} values of type {KINDS[kind].type.__name__}; a plug-in holds exactly one"
        )
    if dashed(values[0].name) != name:
        raise HarnessError(f"{where} is called '{name}' but its value says '{values[0].name}'; make them equal")
    return values[0]


def _values(module: ModuleType, kind: str) -> list[Any]:
    return [value for key, value in vars(module).items() if isinstance(value, KINDS[kind].type) and key[0] != "_"]
