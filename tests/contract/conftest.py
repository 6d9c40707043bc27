"""What the contract suites share."""

import pytest

from harness.core import registry
from tests.registered import FOLDERS


@pytest.fixture
def example_plugins(monkeypatch):
    """The plug-ins of tests/contract/plugins can be named."""
    monkeypatch.setenv(registry.PLUGINS_ENV, FOLDERS)
