"""The documentation site: its navigation, the pages written from the program, and the commands in its blocks."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from harness import commands
from harness.core import registry
from tests.documents import DOCS, ROOT, Command, commands as commands_of, documents, name, pages


def walk(
    command: click.Command, path: tuple[str, ...] = ("harness",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for verb in command.list_commands(click.Context(command)):
            yield from walk(command.get_command(click.Context(command), verb), (*path, verb))


COMMANDS = dict(walk(commands.harness))


@pytest.fixture
def extension(monkeypatch):
    """Import a module of docs/_extensions by name."""

    def load(module: str) -> ModuleType:
        monkeypatch.syspath_prepend(DOCS / "_extensions")
        return importlib.import_module(module)

    return load


def in_navigation() -> set[str]:
    """Pages that the table of contents of some page names; 'x/*' stands for a folder of generated pages."""
    entries = set()
    for page in pages():
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL):
            lines = [line for line in block.splitlines() if line and not line.startswith(":")]
            entries |= {(page.parent / line).relative_to(DOCS).as_posix() for line in lines}
    return entries


def test_the_navigation_names_every_page():
    written = {name(page).removesuffix(".md") for page in pages()}
    assert len(written) > 25
    assert in_navigation() == (written - {"index"}) | {"reference/commands/*", "reference/cards/*"}


def test_the_reference_has_every_command_and_option(extension):
    text = extension("command_pages").command_pages()
    assert all(
        f"[`harness {path[1]}`](commands/{path[1]}.md)" in text["list.inc"] for path in COMMANDS if len(path) > 1
    )
    leaves = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
    assert len(leaves) > 20
    for path, command in leaves.items():
        _, found, rest = text[f"{path[1]}.md"].partition(f"# {' '.join(path)}\n")
        section = rest.partition("\n## ")[0]
        assert found and command.get_short_help_str(500).rstrip(".") in " ".join(section.split())
        flags = {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}
        shown = set(re.findall(r"^```\{option\} (.+)$", section, flags=re.MULTILINE))
        assert flags - {flag for names in shown for flag in re.split(r", | ", names)} == set(), path


def test_the_reference_has_every_card(extension):
    text = extension("card_pages").card_pages()
    assert set(text) == {f"{kind}s.md" for kind in registry.KINDS}
    for kind in registry.KINDS:
        names = registry.names(kind)
        assert (
            names
            and [card for card in names if f"`{card.replace('-', '_')}`" not in text[f"{kind}s.md"].replace("-", "_")]
            == []
        )


ALL = [command for page in documents() for command in commands_of(page)]
OURS = [command for command in ALL if command.words.startswith("harness ")]


@pytest.mark.parametrize("command", OURS, ids=lambda command: command.words)
def test_documented_commands_are_accepted(command: Command):
    """click parses the words; nothing runs."""
    words = [re.sub(r"^(\./)?[\w/-]*selection\.toml$", "/dev/null", word) for word in shlex.split(command.words)[1:]]
    current: click.Command = commands.harness
    context = click.Context(current, info_name="harness")
    while isinstance(current, click.Group):
        verb = words.pop(0)
        current = current.get_command(context, verb)
        assert current is not None, f"no command {verb}"
    current.make_parser(context).parse_args(list(words))


def test_there_are_documented_commands():
    assert len(OURS) > 40
    assert {command.words.split()[0] for command in ALL} <= {
        "harness",
        "make",
        "tox",
        "ray",
        "mlflow",
        "PYTHON=python3.12",
    }


def test_no_block_of_commands_lacks_its_language():
    """A block of commands is ```console, so that its commands are checked."""
    for page in documents():
        for language, block in re.findall(
            r"^```(\w*).*?\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
        ):
            lines = [line for line in block.splitlines() if re.match(r"(\$ )?harness \w", line)]
            assert not lines or language == "console", (page.relative_to(ROOT), lines)


def headings(page: Path) -> set[str]:
    """Anchors of the page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_to_headings_lead_somewhere():
    links = [
        (page, (page.parent / target).resolve() if target else page, anchor)
        for page in documents()
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8"))
    ]
    # contributing.md includes CONTRIBUTING.md.
    places = {DOCS / "contributing.md": ROOT / "CONTRIBUTING.md"}
    dead = [(page.name, anchor) for page, target, anchor in links if anchor not in headings(places.get(target, target))]
    assert len(links) > 15 and not dead


def test_python_in_the_documents_is_python():
    for page in documents():
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE):
            compile(block, page.name, "exec")


def test_pages_that_code_and_messages_name_exist():
    folders = ("harness", "baselines", "reports", "benchmarks", "tests")
    files = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    named = {(path.name, page) for path in files for page in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))}
    assert len(named) > 15
    assert sorted((where, page) for where, page in named if not (ROOT / page).is_file()) == []
