"""Plain English: words of the project's old dialect, and what to write instead.

Checked in the documents, in `--help` of every command, and in the docstrings, comments and messages of the code. A word is
here because readers who knew PyTorch, but not this project, stopped at it. Add a word when that happens again.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from harness import commands
from tests.documents import documents as written_documents

ROOT = Path(__file__).resolve().parents[2]

_COUNTED = (
    "bytes|clips?|decisions?|files?|folders?|frames?|G?FLOPs?|images|jobs?|[kMGT]i?B|lines?|microseconds|ms|one|once|pages?|pairs"
    r"|pictures|points?|processes|one (?!is|of|was)\w+|rows?|seconds|steps?|tensors?|threads?|times|twice|videos?|views?|weights?"
)
_UNITS = (
    "baseline|batch|call|cell|class|clip|core|device|dimension|epoch|file|frame|GPU|group|job|kind|layer|line|machine|minute|module"
    "|name|network|node|number|pixel|position|process|round|row|second|split|step|stream|suite|table|time|training|video"
)

INSTEAD: dict[str, str] = {
    r"unsaid": "default, not given",
    r"(?:said|told)(?! apart)": "specified, printed, reported, given",
    r"tells?(?!(?: \w+){0,3} apart)": "report, print, give, show, distinguish",
    r"(?:leave|leaves|left) with": "exits with status",
    r"(?:no|every|any|some)body": "unknown, each process, a user: name who",
    r"beside": "next to, in addition to",
    r"as (?:it|they) (?:is|are|was|were)": "unchanged, literally",
    r"ledgers?": "results folder, records",
    r"(?:at|to) hand": "available",
    r"(?:lie|lies|lying)": "is, are, is stored in",
    r"(?:stand|stands|stood|standing)(?! for| out| alone)": "is, replaces",
    r"(?:go|goes|going|went) on": "continues, resumes",
    r"what there is": "the available items",
    r"(?:makes?|made) way": "is evicted",
    r"(?:is|are|was|be) had": "is obtained, is available",
    r"other people'?s?": "third-party",
    r"of (?:one's|his|her) own": "its own, your own",
    r"of (?:theirs|yours|ours)": "their, your, our",
    r"comes? along": "is included",
    r"but for": "except",
    r"anew|afresh": "again, newly",
    r"beforehand": "in advance, first",
    r"all the same": "still",
    r"for ever": "forever, indefinitely",
    r"makes? no sense": "must be ..., got ...",
    r"(?:do|does|did|doing) without": "does not need",
    r"(?:hold|holds|held|holding) (?:\w+ )?against": "compare with",
    r"passing (?:folder|place)": "temporary folder",
    r"picture network": "2D image network",
    r"by the clock": "wall-clock",
    r"embedded": "micro, synthetic",
    r"in (?:the )?place of": "instead of",
    r"under way": "running, in progress",
    r"wants?": "needs, requires",
    r"strangers?|whoever": "unknown, unexpected; a user who",
    r"what (?:came|comes|became)|for want of|for lack of": "the result; without",
    r"houses?|rooms|corridors?|premises": "package, module, machine",
    r"errands?|tellers?|brush(?:es)?|painters?|watchers?": "the field's word: task, sender, converter, callback",
    r"quarantined?": "skip",
    r"page-locked": "pinned",
    r"from nothing": "starting from an empty results folder, deterministically",
    r"four times (?:in|out of) five": "80% power",
    r"honest": "correct; prediction interval",
    r"harness mirror": "harness mlflow",
    r"harness bench": "python -m benchmarks",
    r"doctor --job": "harness diagnose ID",
    rf"(?:{_COUNTED}) an? (?:{_UNITS})": "per: clips per video, one page per job",
}
"""Pattern -> what to write instead. Matched as whole words, without regard to case, across line breaks."""

_WORDS = [rf"(?P<w{number}>\b(?:{words})\b)" for number, words in enumerate(INSTEAD)]
_DIALECT = re.compile("|".join(_WORDS).replace(" ", r"\s+"), re.IGNORECASE)


NOT_NAMES = frozenset(["asked", "found", "how", "mine", "one", "said", "seen", "those", "told", "what"])
"""A variable is named after what it holds, by a noun: `videos`, `message`, `records`."""


class Text(NamedTuple):
    """A stretch of prose and where it starts."""

    where: str
    line: int
    text: str


def slips(texts: Iterable[Text]) -> list[str]:
    """One line for each word of the dialect: where, the word, what to write instead, and the line it is in."""
    lines = []
    for source in texts:
        for match in _DIALECT.finditer(source.text):
            remedy = list(INSTEAD.values())[int(str(match.lastgroup)[1:])]
            line = source.line + source.text[: match.start()].count("\n")
            around = " ".join(source.text[max(0, match.start() - 40) : match.end() + 30].split())
            lines.append(f"{source.where}:{line}: '{' '.join(match.group().split())}' -> {remedy}; in '...{around}...'")
    return lines


# ------------------------------------------------------------------------------------------------ where prose is


def documents() -> Iterator[Text]:
    """README, CONTRIBUTING, CHANGELOG, docs, the READMEs of results, and the comments of Makefile, tox and pyproject."""
    paths = [*written_documents(), *(ROOT / "results").rglob("README.md")]
    for path in sorted([*paths, ROOT / "Makefile", ROOT / "tox.ini", ROOT / "pyproject.toml"]):
        # Not checked: tables that a program wrote, and old names that the changelog has to mention.
        generated, old_names = r"<!-- python -m benchmarks -->.*?<!-- end -->", r"\(was [^)]*\)"
        text = re.sub(f"{generated}|{old_names}", _blank, path.read_text("utf-8"), flags=re.DOTALL)
        yield Text(path.relative_to(ROOT).as_posix(), 1, text)


def _blank(match: re.Match[str]) -> str:
    """The line ends of a match, so that line numbers stay right."""
    return "\n" * match.group().count("\n")


def help_texts(command: click.Command = commands.harness, name: str = "harness") -> Iterator[Text]:
    """`--help` of every command."""
    context = click.Context(command, info_name=name, terminal_width=80)
    yield Text(f"{name} --help", 1, command.get_help(context))
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            yield from help_texts(command.get_command(context, verb), f"{name} {verb}")


def code(folder: Path) -> Iterator[Text]:
    """Docstrings, comments and messages (strings with a space in them) of every module below a folder; its templates."""
    for path in sorted(folder.rglob("*.py")):
        yield from in_code(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    for path in sorted(folder.rglob("*.j2")):
        yield Text(path.relative_to(ROOT).as_posix(), 1, path.read_text("utf-8"))


def in_code(where: str, source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield Text(where, node.lineno, node.value)
    last, words = -1, ""
    for row, comment in comments(source):
        if words and row != last + 1:
            yield Text(where, last - words.count("\n"), words)
            words = ""
        last, words = row, f"{words}\n{comment}" if words else comment
    yield Text(where, last - words.count("\n"), words)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def not_nouns(folder: Path) -> list[str]:
    """Where a variable or parameter of a package has one of the names of `NOT_NAMES`."""
    lines = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            bound = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            name = node.arg if isinstance(node, ast.arg) else node.id if bound else ""
            if name in NOT_NAMES:
                lines.append(f"{path.relative_to(ROOT).as_posix()}:{node.lineno}: '{name}'")
    return lines


def packages() -> list[Path]:
    """The packages below `harness/`, and the other packages."""
    below = sorted(path.parent for path in (ROOT / "harness").glob("*/__init__.py"))
    return [*below, *(ROOT / name for name in ("baselines", "reports", "benchmarks"))]


# ------------------------------------------------------------------------------------------------ the tests


def test_documents_are_in_plain_english():
    assert len(list(documents())) > 12
    assert slips(documents()) == []


def test_help_is_in_plain_english():
    assert len(list(help_texts())) > 20
    assert slips(help_texts()) == []


@pytest.mark.parametrize("folder", packages(), ids=lambda path: path.name)
def test_code_is_in_plain_english(folder):
    """Docstrings, comments and messages."""
    assert slips(code(folder)) == []


@pytest.mark.parametrize("folder", packages(), ids=lambda path: path.name)
def test_variables_have_nouns_for_names(folder):
    assert not_nouns(folder) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Nobody has read it.",
        "Unsaid, it is 0.",
        "It leaves\n    with 1.",
        "The ledger lies beside it.",
        "one process a core",
        "Run harness mirror push.",
        "another room of the house",
    ],
)
def test_the_old_dialect_is_found(sentence):
    assert slips([Text("here", 1, sentence)])


def test_words_are_found_where_they_are():
    source = 'def f():\n    """Gives it.\n\n    As nobody does."""\n    g("a.b")  # it is\n    # told\n'
    assert [line.split(" -> ")[0] for line in slips(in_code("m.py", source))] == ["m.py:4: 'nobody'", "m.py:6: 'told'"]


@pytest.mark.parametrize(
    "sentence",
    ["It is a video.", "Both can be told apart.", "a step of a job", "standard", "stands for", "32 frames per clip"],
)
def test_plain_english_passes(sentence):
    assert not slips([Text("here", 1, sentence)])
