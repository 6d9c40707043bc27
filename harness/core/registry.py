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
from typing import Any, Literal, NamedTuple

from harness.core.contract import Baseline, Dataset, Protocol, Scale
from harness.core.errors import HarnessError, unknown
from harness.core.parameters import check_fields
from harness.core.plugins import Decoder, FlowAlgorithm, Head, Launcher, Metric

PLUGINS_ENV = "HARNESS_PLUGINS"
_folders: str | None = None
"""Set by `use_plugins`."""


class Kind(NamedTuple):
    """Location of one kind of plug-in."""

    type: type
    package: str
    group: str


KINDS = {
    "baseline": Kind(Baseline, "baselines", "harness.baselines"),
    "dataset": Kind(Dataset, "harness.datasets", "harness.datasets"),
    "protocol": Kind(Protocol, "harness.protocols", "harness.protocols"),
    "scale": Kind(Scale, "harness.protocols.scales", "harness.scales"),
    "metric": Kind(Metric, "harness.metrics.builtin", "harness.metrics"),
    "launcher": Kind(Launcher, "harness.launch.launchers", "harness.launchers"),
    "decoder": Kind(Decoder, "harness.video.decoders", "harness.decoders"),
    "flow-method": Kind(FlowAlgorithm, "harness.video.flow.methods", "harness.flow_methods"),
    "head": Kind(Head, "harness.training.heads", "harness.heads"),
}


class Source(NamedTuple):
    """Location of one plug-in."""

    form: Literal["module", "entry point", "file"]
    location: str
    """Name of a module, 'module:NAME' of an entry point, or path of a file."""


def dashed(name: str) -> str:
    """The canonical spelling: lower case, '-' for '_'. What follows a ':' (folder:/Some/Where) does not change."""
    head, colon, argument = name.strip().partition(":")
    return head.lower().replace("_", "-") + colon + argument


def use_plugins(folders: str | None) -> None:
    """Look for plug-in files in `folders`, separated as in PATH, from now on; None: in those of HARNESS_PLUGINS.

    A process that is started has to be given `plugin_folders()` of its parent.
    """
    global _folders
    _folders = folders


def plugin_folders() -> str:
    """Folders of plug-in files, separated as in PATH."""
    return os.environ.get(PLUGINS_ENV, "") if _folders is None else _folders


def names(kind: str) -> list[str]:
    """Every name of this kind, sorted, without importing the built-in modules."""
    return sorted(_sources(kind, plugin_folders()))


def load(kind: str, name: str) -> Any:
    """The value called `name`; NAME:ARGUMENT is a member of a family. Raises UnknownName, listing the available names."""
    sources = _sources(kind, plugin_folders())
    key, colon, argument = dashed(name).partition(":")
    if key not in sources:
        raise unknown(kind.replace("-", " "), name, sources, remedy="a plug-in needs its folder as --plugins DIR")
    value = _value(kind, key, plugin_folders())
    if not colon:
        return value
    if not (member := getattr(value, "at", None)):
        raise HarnessError(f"{kind} '{key}' takes no argument, got '{name}'; write '{key}'")
    return _checked(member(argument), kind, "")


def origin(kind: str, name: str) -> str:
    """Location of a third-party value: a file, or 'module:NAME'; '' for a built-in one."""
    source = _sources(kind, plugin_folders()).get(dashed(name).partition(":")[0])
    return "" if source is None or source.form == "module" else source.location


def all(kind: str) -> dict[str, Any]:
    """Name -> value of every plug-in of this kind, sorted by name."""
    return {name: load(kind, name) for name in names(kind)}


@functools.cache
def _sources(kind: str, plugins: str) -> dict[str, Source]:
    """Name -> where it is defined; `plugins`: folders, separated as in PATH."""
    type_, package, group = KINDS[kind]
    sources: dict[str, Source] = {}
    for folder in importlib.import_module(package).__path__:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            sources[dashed(path.stem)] = Source("module", f"{package}.{path.stem}")
    for entry in entry_points(group=group):
        sources.setdefault(dashed(entry.name), Source("entry point", entry.value))
    for folder in filter(None, plugins.split(os.pathsep)):
        if not Path(folder).is_dir():
            raise HarnessError(f"--plugins {folder}: no such folder; name a folder with plug-in files")
        for path in sorted(Path(folder).glob("[!_]*.py")):
            if any(isinstance(value, type_) for value in vars(_load_file(path)).values()):
                name = dashed(path.stem)
                if name in sources:
                    provider = sources[name].location
                    raise HarnessError(
                        f"{path} would hide the {kind} '{name}' that {provider} provides; rename the file"
                    )
                sources[name] = Source("file", str(path))
    return sources


@functools.cache
def _load_file(path: Path) -> ModuleType:
    name = f"harness_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _unreadable(str(path), error, "remove it from the folder of --plugins") from error
    return module


def _load_entry(location: str, kind: str) -> list[Any]:
    """The value of the entry point 'module:NAME'; for a 'module', all its values of this kind."""
    module_name, _, attribute = location.partition(":")
    try:
        module = importlib.import_module(module_name)
        return [getattr(module, attribute)] if attribute else _values(module, kind)
    except Exception as error:
        raise _unreadable(location, error, "uninstall the package that provides it") from error


def _unreadable(location: str, error: Exception, remedy: str) -> HarnessError:
    """The error for a plug-in that cannot be imported; it names the last line of the plug-in's file in the traceback."""
    if isinstance(error, SyntaxError):
        lines, file, text = [error.lineno], error.filename, error.msg
    else:
        file, text = location, " ".join(str(error).split())
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == location]
    place = f"{file}, line {lines[-1]}" if lines else location
    kind = "" if isinstance(error, HarnessError) else f"{type(error).__name__}: "
    return HarnessError(f"the plug-in {place}, cannot be read: {kind}{text}; fix it, or {remedy}")


@functools.cache
def _value(kind: str, name: str, plugins: str) -> Any:
    form, location = _sources(kind, plugins)[name]
    if form == "entry point":
        values = _load_entry(location, kind)
    else:
        values = _values(importlib.import_module(location) if form == "module" else _load_file(Path(location)), kind)
    if len(values) != 1:
        raise HarnessError(
            f"{location} holds {len(values)} values of type {KINDS[kind].type.__name__}; a plug-in holds exactly one"
        )
    if dashed(values[0].name) != name:
        raise HarnessError(f"{location} is called '{name}' but its value is named '{values[0].name}'; make them equal")
    return _checked(values[0], kind, f" ({location})")


def _checked(value: Any, kind: str, location: str) -> Any:
    """The value. Raises HarnessError for a field of another type or out of range."""
    try:
        check_fields(value)
    except ValueError as error:
        raise HarnessError(f"{kind.replace('-', ' ')} '{value.name}'{location}: {error}") from error
    return value


def _values(module: ModuleType, kind: str) -> list[Any]:
    return [value for key, value in vars(module).items() if isinstance(value, KINDS[kind].type) and key[0] != "_"]
