"""`harness scores`: files of other programs become records whose numbers, tests and fusion are those of any job."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.commands import harness, main
from harness.core import registry
from harness.core.cells import IMPORTED
from harness.core.contract import MODALITIES
from harness.core.job_specs import DataSpec, job_id
from harness.core.workspace import Workspace
from harness.data import prepare
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import Scores, counts
from harness.metrics.summary import summary
from harness.records import score_files
from harness.records.record import SCORES, Record, RunStore, write_record, write_scores
from harness.records.score_files import ScoreTable
from reports import results
from reports.evidence import gather
from reports.tables import render
from tests import videos
from tests.specs import CELL, train_spec

CLASSES = ("clap", "jump", "wave")
TESTED = 5
"""Test videos per class."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of tiny videos in a user's folder."""
    root = tmp_path_factory.mktemp("videos")
    for name in CLASSES:
        for subset, size in (("train", 1), ("test", TESTED)):
            for number in range(size):
                videos.write(root / subset / name / f"{name}{subset}{number}.avi", videos.numbered(3), codec="mpeg4")
    return root


@pytest.fixture
def workspace(data: Path, tmp_path: Path) -> Workspace:
    return Workspace(data.parent / "prepared", tmp_path / "results")


def ours(data: Path, workspace: Workspace, *, seed: int = 0) -> Record:
    """The record of a job that scored the folder; one video cannot be decoded."""
    card = registry.load("dataset", f"folder:{data}")
    prepared = prepare.open_prepared(card, workspace.data)
    tested = prepared.listing(1).subsets["test"]
    rng = np.random.default_rng(seed)
    scores = Scores(
        ids=tuple(video.id for video in tested),
        logits=rng.normal(size=(len(tested), len(CLASSES))).astype(np.float32),
        labels=np.array([video.label for video in tested], np.int64),
        groups=tuple(video.group for video in tested),
        undecodable=(tested[3].id,),
    )
    spec = train_spec(dataset=DataSpec(card.name, card.version, prepared.fingerprint), seed=seed)
    cell = dataclasses.replace(CELL, dataset=card.name, seed=seed)
    record = Record(
        job_id(spec, {}), spec, str(cell), {}, cell, {}, prepared.fingerprint, summary(scores), {"wall_s": 9.0},
        classes=prepared.listing(1).classes, counts=counts(scores), finished_at="2000-01-01T00:00:00+00:00",
    )  # fmt: skip
    return write_record(workspace.runs, record, fill=lambda folder: write_scores(folder / SCORES, scores))


def invoke(workspace: Workspace, *words: str) -> str:
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    answer = CliRunner().invoke(harness, [*words, *folders], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def imported(workspace: Workspace, data: Path, file: Path, *flags: str, baseline: str = "theirs") -> Record:
    out = invoke(
        workspace, "scores", "import", str(file), "--baseline", baseline, "--dataset", f"folder:{data}", *flags
    )
    assert "provenance: imported" in out
    line = next(line for line in out.splitlines() if line.startswith("job "))
    return RunStore(workspace.runs).read(line.split()[1])


@pytest.mark.parametrize("suffix", score_files.SUFFIXES)
def test_what_is_exported_and_imported_has_equal_numbers(
    suffix: str, data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    before, file = ours(data, workspace), tmp_path / f"scores{suffix}"
    invoke(workspace, "scores", "export", before.job_id, "--out", str(file))
    after = imported(workspace, data, file)
    assert after.metrics == before.metrics and after.counts == before.counts and after.classes == before.classes
    a, b = before.scores(), after.scores()
    assert (a.logits[a.decodable] == b.logits[b.decodable]).all() and a.undecodable == b.undecodable
    assert after.kind == IMPORTED and after.cell and after.cell.protocol == IMPORTED
    said = invoke(workspace, "compare", before.job_id, after.job_id)
    assert "A - B = +0.0 points" in said and "B: computed by another program, provenance: imported." in said


def test_csv_is_printed_by_default(data: Path, workspace: Workspace) -> None:
    lines = invoke(workspace, "scores", "export", ours(data, workspace).job_id).splitlines()
    assert lines[0] == "video,clap,jump,wave" and len(lines) == 1 + 3 * TESTED
    assert sum(line.endswith(",,,") for line in lines) == 1


def table(data: Path, *, classes: tuple[str, ...] = CLASSES) -> ScoreTable:
    """A perfect answer for every video, which is named by its file."""
    ids = tuple(f"{name}test{number}" for name in CLASSES for number in range(TESTED))
    values = np.repeat(np.eye(3, dtype=np.float32), TESTED, axis=0)
    return ScoreTable(ids, classes, values)


def stored(content: ScoreTable, path: Path) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        score_files.write_csv(content, stream)
    return path


def test_rows_and_columns_may_have_any_order_and_classes_may_be_indices(
    data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    straight = table(data)
    turned = dataclasses.replace(
        straight, ids=straight.ids[::-1], values=straight.values[::-1, ::-1], classes=CLASSES[::-1]
    )
    numbered = dataclasses.replace(straight, classes=("0", "1", "2"))
    for number, content in enumerate((straight, turned, numbered)):
        record = imported(workspace, data, stored(content, tmp_path / f"{number}.csv"))
        assert record.metrics["top1"]["value"] == 100
    assert len(RunStore(workspace.runs).ids()) == 1, "equal scores are one job"


def test_probabilities_become_logits(data: Path, workspace: Workspace, tmp_path: Path) -> None:
    shares = table(data)
    shares = dataclasses.replace(shares, values=np.where(shares.values == 1, 0.8, 0.1).astype(np.float32))
    file = stored(shares, tmp_path / "shares.csv")
    record = imported(workspace, data, file, "--probabilities")
    assert np.allclose(np.exp(record.scores().logits).sum(axis=1), 1)
    plain = CliRunner().invoke(
        harness,
        ["scores", "import", str(file), "--baseline", "b", "--dataset", f"folder:{data}", "--data", str(workspace.data),
         "--results", str(workspace.results)],
    )  # fmt: skip
    assert "if these are probabilities, pass --probabilities" in plain.output


def test_streams_are_fused_and_every_table_names_the_provenance(
    data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    streams = {}
    for modality in ("rgb", "flow"):
        content = dataclasses.replace(table(data), values=rng.normal(size=(3 * TESTED, 3)).astype(np.float32))
        streams[modality] = imported(
            workspace, data, stored(content, tmp_path / f"{modality}.csv"), "--modality", modality
        )
    own = ours(data, workspace)
    evidence = gather(RunStore(workspace.runs), scale="paper")
    by_modality = {r.modality: r for r in evidence.results if r.baseline == "theirs"}
    assert set(by_modality) == set(MODALITIES)
    both = late_fusion(streams["rgb"].scores(), streams["flow"].scores())
    assert (by_modality["rgb+flow"].scores.logits == both.logits).all()
    built = results.build(evidence).table
    assert len(built.rows) == 4
    text = render(built)
    assert "theirs, RGB+Flow, imported" in text and "provenance: imported" in text
    cell = next(c for (row, column), c in built.cells.items() if "theirs" in row and "flow" in row and column == "top1")
    assert cell.command.startswith("harness scores import FILE --baseline theirs")
    fused = invoke(workspace, "compare", own.job_id, f"{streams['rgb'].job_id}+{streams['flow'].job_id}")
    assert "provenance: imported" in fused
    assert "imported" in invoke(workspace, "ls", "jobs")
    shown = json.loads(invoke(workspace, "ls", "jobs", streams["rgb"].job_id))
    assert shown["spec"]["kind"] == IMPORTED and "provenance: imported" in shown["chosen"]["rule"]
    page = invoke(workspace, "report", "--out", str(tmp_path / "page"))
    assert "finished jobs 3" in page and "provenance: imported" in (tmp_path / "page" / "index.html").read_text()


def spoiled(text: str, kind: str) -> str:
    """A good CSV file with one fault."""
    head, first, *rest = text.splitlines()
    video, *values = first.split(",")
    lines = {
        "unknown": [head, f"stranger,{','.join(values)}", *rest],
        "missing": [head, *rest],
        "twice": [head, first, first, *rest],
        "same": [head, first, f"test/clap/{video},{','.join(values)}", *rest],
        "nan": [head, f"{video},nan,{','.join(values[1:])}", *rest],
        "word": [head, f"{video},high,{','.join(values[1:])}", *rest],
        "short": [head, f"{video},1", *rest],
        "classes": [line.rpartition(",")[0] for line in (head, first, *rest)],
        "names": [head.replace("wave", "walk"), first, *rest],
        "columns": [head.replace("wave", "jump"), first, *rest],
        "empty": [head],
    }[kind]
    return "\n".join(lines) + "\n"


FAULTS = {
    "unknown": "1 of 15 rows match no video of split 1 (test)",
    "missing": "1 of the 15 videos of split 1 (test)",
    "twice": "has the video 'claptest0' more than once",
    "same": "name the same video",
    "nan": "scores of 1 videos are NaN or infinite, the first of 'claptest0'",
    "word": "video 'claptest0': 'high' in the column 'clap' is not a number",
    "short": "1 scores for 3 classes",
    "classes": "the file has scores of 2 classes, but ",
    "names": "'walk'; it lacks the classes 'wave'",
    "columns": "has the class 'jump' more than once",
    "empty": "of the 15 videos",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_wrong_file_is_refused_with_one_sentence_and_leaves_nothing(
    kind: str,
    data: Path,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = stored(table(data), tmp_path / "good.csv")
    bad = tmp_path / "bad.csv"
    bad.write_text(spoiled(good.read_text(), kind))
    words = [
        "scores",
        "import",
        str(bad),
        "--baseline",
        "b",
        "--dataset",
        f"folder:{data}",
        "--data",
        str(workspace.data),
    ]
    monkeypatch.setattr("sys.argv", ["harness", *words, "--results", str(workspace.results)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and FAULTS[kind] in said and len(said.strip().splitlines()) == 1, said
    assert not RunStore(workspace.runs).ids()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("scores.txt", b"", "files ending in .csv or .npz"),
        ("scores.npz", b"not a zip", "is not an NPZ file"),
        ("scores.csv", b"\xff\xfe", "is not a CSV file"),
        ("absent.csv", None, "no file of scores"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Exception, match=message):
        score_files.read_table(tmp_path / name)


def test_wrong_axes_are_refused(data: Path, workspace: Workspace, tmp_path: Path) -> None:
    file = stored(table(data), tmp_path / "good.csv")
    for flags, message in (
        (["--split", "4"], "has no split 4; have: 1"),
        (["--subset", "val"], "has no subset 'val' to score; have: test"),
        (["--modality", "sound"], "no modality 'sound'"),
        (["--baseline", "two words"], "a name has letters"),
    ):
        words = ["scores", "import", str(file), "--baseline", "b", "--dataset", f"folder:{data}", *flags]
        answer = CliRunner().invoke(
            harness, [*words, "--data", str(workspace.data), "--results", str(workspace.results)]
        )
        assert message in str(answer.exception), flags
