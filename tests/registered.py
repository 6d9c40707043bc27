"""Every registered value of a kind: built-in, installed, of the examples and of the folder of `pytest --plugins`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness.core import registry

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "tests" / "contract" / "plugins"
PACKAGE = "quovadis_example"
"""The example of a package, whose plug-ins are found without its folder where it is installed."""
_folders = [os.environ.get(registry.PLUGINS_ENV, ""), str(EXAMPLES)]
_folders += [] if importlib.util.find_spec(PACKAGE) else [str(ROOT / "examples" / "plugin" / PACKAGE)]
FOLDERS = os.pathsep.join(filter(None, _folders))


def registered(kind: str) -> dict[str, Any]:
    """Name -> value. To use the values by name, a test asks for the fixture `example_plugins`."""
    with patch.dict(os.environ, {registry.PLUGINS_ENV: FOLDERS}):
        return registry.all(kind)


def third_party(kind: str) -> dict[str, Any]:
    """Those of `registered` that are not built in."""
    cards = registered(kind)
    with patch.dict(os.environ, {registry.PLUGINS_ENV: FOLDERS}):
        return {name: card for name, card in cards.items() if registry.origin(kind, name)}
