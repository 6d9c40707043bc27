"""Third-party plug-ins: one that cannot be read is reported in one sentence, with its file, its line and the cause."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from harness.core import processes, registry
from harness.core.errors import HarnessError

SOUND = """
from harness.core.contract import Protocol

PROTOCOL = Protocol(name="mine", title="Mine", weights_from="init", trained="all", stage="original")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    yield tmp_path
    for cache in (registry._sources, registry._load_file, registry._value):
        cache.cache_clear()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import torch\ndef build(spec:\n", "broken.py, line 2, cannot be read: SyntaxError: "),
        ("\n\nimport no_such_package\n", "broken.py, line 3, cannot be read: ModuleNotFoundError: No module named 'no_such_package'"),
        ("from harness.core.contract import Klip\n", "broken.py, line 1, cannot be read: ImportError: cannot import name 'Klip'"),
        ("from harness.core.contract import Protocol\nP = Protocol(name='x')\n", "broken.py, line 2, cannot be read: TypeError: "),
        ("def one():\n    return 1 / 0\n\none()\n", "broken.py, line 2, cannot be read: ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_with_line_and_cause(folder, text, told):
    (folder / "broken.py").write_text(text)
    for _ in range(2):  # nothing half-read is kept
        with pytest.raises(HarnessError) as caught:
            registry.names("baseline")
        assert str(folder / told) in str(caught.value) and "--plugins" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


SCALE = """
import dataclasses
from harness.protocols.scales import micro

SCALE = dataclasses.replace(micro.SCALE, name="broken", {})
"""
METRIC = """
from harness.core.plugins import Metric

METRIC = Metric(name="broken", title="Broken", short="b", {})
"""


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("scale", SCALE.format("width=0"), "width must be more than 0; got 0"),
        ("scale", SCALE.format("flow=dataclasses.replace(micro.SCALE.flow, bound_px=-1)"), "flow.bound_px must be more than 0; got -1"),
        ("scale", SCALE.format("precision='float16'"), "precision must be 'auto' or 'float32' or 'bfloat16'; got 'float16'"),
        ("metric", METRIC.format("shares=3"), "shares must be a function; got 3"),
        ("metric", METRIC.format("needs=('logits')"), "needs must be a tuple; got 'logits'"),
        ("metric", METRIC.format("needs=('logits', 1)"), "needs[1] must be a text in quotes; got 1"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_or_range_is_refused_when_the_card_is_read(folder, kind, text, told):
    (folder / "broken.py").write_text(text)
    with pytest.raises(HarnessError) as caught:
        registry.load(kind, "broken")
    assert str(caught.value) == f"{kind} 'broken' ({folder / 'broken.py'}): {told}"


def test_so_is_an_installed_package(monkeypatch):
    class Entry:
        name, value = "theirs", "no_such_package.cards:PROTOCOL"

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry])
    registry._sources.cache_clear()
    try:
        with pytest.raises(HarnessError, match=r"no_such_package\.cards:PROTOCOL, cannot be read.*uninstall"):
            registry.load("protocol", "theirs")
    finally:
        registry._sources.cache_clear()


def test_where_a_value_comes_from(folder):
    (folder / "mine.py").write_text(SOUND)
    assert registry.origin("protocol", "mine") == str(folder / "mine.py")
    assert registry.origin("protocol", "full-ft") == ""


def loads(name: str) -> bool:
    return name in registry.names("protocol")


def test_folders_are_passed_to_workers_and_not_through_the_environment(folder, monkeypatch):
    monkeypatch.delenv(registry.PLUGINS_ENV)
    (folder / "mine.py").write_text(SOUND)
    assert not loads("mine")
    monkeypatch.setattr(registry, "_folders", str(folder))
    with ProcessPoolExecutor(
        1, get_context("spawn"), initializer=processes.begin_worker, initargs=(registry.plugin_folders(),)
    ) as pool:
        assert loads("mine") and pool.submit(loads, "mine").result()
    assert registry.PLUGINS_ENV not in os.environ
