"""`harness ls KIND NAME`: a card in words, nothing of Python in it."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from harness.commands import harness, ls
from harness.core import registry
from harness.core.workspace import Workspace

CARDS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


def card(kind: str, name: str) -> list[str]:
    return ls.card(registry.load(kind, name)).splitlines()


def test_there_are_cards_to_look_at():
    assert len(CARDS) > 15


@pytest.mark.parametrize(("kind", "name"), CARDS)
def test_no_card_shows_pythons_spelling(kind, name):
    text = "\n".join(card(kind, name))
    assert not re.search(r"\('|\{'|'\)|'\}|\(1, |\bTrue\b|\bFalse\b|\bNone\b|<function|\.,", text), text


@pytest.mark.parametrize(("kind", "name"), CARDS)
def test_no_line_of_a_card_stands_twice_or_is_endless(kind, name):
    lines = card(kind, name)
    below = lines[lines.index("weights:") :] if "weights:" in lines else []
    assert len(set(below)) == len(below) and not [line for line in lines if len(line) > 130]


def test_counts_layout_and_notes_take_a_line_each():
    lines = card("dataset", "hmdb51")
    assert "  split 1: 3,570 train, 1,530 test" in lines
    assert "  <class>/<name>.avi" in lines and "  testTrainMulti_7030_splits/<class>_test_splitN.txt" in lines
    assert "  Clips are shorter than 64 frames here and there: they are looped." in lines
    assert any(
        "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/" in line for line in lines
    )


def test_training_videos_are_counted_first():
    assert "  split 1: 98,700 train, 5,325 val, 15,975 test" in card("dataset", "minikinetics-213")


def test_weights_are_listed_with_their_stream():
    lines = card("baseline", "i3d")
    assert {"  pytorch-i3d (rgb)", "  pytorch-i3d (flow)"} <= set(lines)


def test_parts_of_parts_are_bracketed():
    assert any("strides (rgb 5)" in line for line in card("baseline", "convnet-lstm"))
    assert "params (scale_step 0.5, nscales 3, warps 1" in " ".join(line.strip() for line in card("scale", "micro"))


def test_a_data_set_that_nobody_has_indexed_is_told_from_one_that_is_not_there(tmp_path):
    workspace = Workspace(data=tmp_path / "data", results=tmp_path / "results")
    (workspace.data / "micro-ucf101").mkdir(parents=True)
    (workspace.data / "hmdb51").mkdir()
    here = {row["data set"]: row["here"] for row in ls.table("dataset", workspace)}
    assert "not indexed: harness data prepare micro-ucf101" in here["micro-ucf101"]
    assert "not indexed: harness data prepare hmdb51" in here["hmdb51"]
    assert "rendered when needed" in here["micro-hmdb51"] and here["ucf101"] == "no"
    assert here["folder"] == ""


def test_data_list_is_a_table_and_names_the_data_folder(tmp_path):
    done = CliRunner().invoke(harness, ["data", "list", "--data", str(tmp_path)], catch_exceptions=False)
    lines = done.output.splitlines()
    assert done.exit_code == 0 and lines[0].startswith("data set ") and "{" not in done.output
    assert any(line.startswith("hmdb51 ") for line in lines) and lines[-1] == f"Data folder: {tmp_path}"
