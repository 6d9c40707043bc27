"""Every registered value of a kind, the example plug-ins of the tests and the folder of `pytest --plugins` included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness.core import registry

EXAMPLES = Path(__file__).parent / "contract" / "plugins"
FOLDERS = os.pathsep.join(filter(None, [os.environ.get(registry.PLUGINS_ENV, ""), str(EXAMPLES)]))


def registered(kind: str) -> dict[str, Any]:
    """Name -> value. To use the values by name, a test asks for the fixture `example_plugins`."""
    with patch.dict(os.environ, {registry.PLUGINS_ENV: FOLDERS}):
        return registry.all(kind)
