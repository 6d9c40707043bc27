"""`python -m benchmarks`: arithmetic, pairs, reports, and that both sides of a pair compute the same."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from baselines.parts import inception
from baselines.parts.fusion import WideConv3d
from baselines.parts.inception import style_of
from benchmarks.__main__ import main
from benchmarks.ratios import data, measure, networks, readers, report, suites, values, videos
from benchmarks.ratios.case import Case, Machine, Pair
from benchmarks.ratios.networks import DEFAULTS, PLAIN, build, clips, gflop
from benchmarks.ratios.plain import PlainI3D
from benchmarks.ratios.processes import Worker
from benchmarks.ratios.suites import builder
from benchmarks.ratios.values import Ceiling, Paired
from harness.core import environment, registry
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError
from harness.models import saved_activations
from harness.models.build import place

ROOT = Path(__file__).resolve().parents[2]
MACHINE = Machine("cpu", threads=1, quick=True)


def paired(name="first", *, ours=(1.0, 2.0, 1.0), other=(3.0, 4.0, 2.5), **facts):
    return Paired("micro", name, "a plain reference", ours, other, None, facts)


# ------------------------------------------------------------------------------------------------ arithmetic


def test_a_ratio_is_the_median_of_paired_ratios_and_its_interval_holds_it():
    pair = paired()
    assert pair.ratios == [3.0, 2.0, 2.5] and pair.ratio == 2.5
    low, high = pair.interval
    assert 2.0 <= low <= 2.5 <= high <= 3.0 and low < high
    assert values.bootstrap([2.0] * 5) == (2.0, 2.0)


def test_turns_are_taken_so_that_a_drift_falls_on_both():
    order: list[str] = []

    def timed(name):
        order.append(name)
        return float(len(order))

    ours, other = values.alternate(lambda: timed("ours"), lambda: timed("other"), rounds=4)
    assert order == ["other", "ours", "ours", "other"] * 2
    assert sum(ours) == sum(other)


def test_only_a_fall_of_more_than_a_quarter_is_a_regression():
    assert not values.regressions([paired()], {"first": 3.3, "another": 99.0})
    (message,) = values.regressions([paired()], {"first": 3.4})
    assert "2.50" in message and "3.40" in message and "first" in message


# ------------------------------------------------------------------------------------------------ reports


def test_results_are_merged_by_name_and_rendered(tmp_path):
    path = tmp_path / "bench" / "here.json"
    report.merge(path, {"conv3d float32 1 thread": Ceiling(200.0, "GFLOP/s")}, [paired()], quick=True, device="cpu")
    again = [paired(other=(4.0, 8.0, 4.0), gflop=50.0, ceiling="conv3d float32 1 thread"), paired("two & more")]
    stored = report.merge(path, {}, again, quick=False, device="cpu")
    assert [(result["name"], result["ratio"]) for result in stored["results"]] == [("first", 4.0), ("two & more", 2.5)]
    assert json.loads(path.read_text()) == json.loads(json.dumps(stored))
    table = path.with_suffix(".md").read_text()
    assert "**4.00**" in table and "25%" in table, "50 GFLOP in a second of 200"
    assert "two &amp; more" in path.with_suffix(".svg").read_text()


def test_a_baseline_is_ratios_and_the_machine_and_nothing_else(tmp_path):
    path = tmp_path / "baseline.json"
    report.save_baseline(path, [paired()], {"cpu": "some"})
    assert report.committed(path) == {"first": 2.5}
    assert json.loads(path.read_text())["machine"] == {"cpu": "some"}
    path.write_text('{"ratios": 3}')
    with pytest.raises(HarnessError, match="--save-baseline"):
        report.committed(path)


# ------------------------------------------------------------------------------------------------ what is measured


def test_every_suite_plans_distinct_pairs_and_words_pick_among_them():
    everything = suites.select(MACHINE, [])
    names = [(pair.suite, pair.name) for pair in everything]
    assert len(names) == len(set(names)) and {suite for suite, _ in names} == set(suites.SUITES)
    (picked,) = suites.select(MACHINE, ["inference:c3d"])
    assert picked.ours.baseline == "c3d" and picked.other.layout == "plain" and picked.other.malloc == "plain"
    with pytest.raises(HarnessError, match="nonsense"):
        suites.select(MACHINE, ["nonsense"])
    with pytest.raises(HarnessError, match="i3d"):
        suites.select(MACHINE, ["inference:nonsense"])


@pytest.mark.parametrize("computes", [False, True])
def test_every_default_that_helps_here_is_held_against_its_absence(computes, monkeypatch):
    monkeypatch.setattr(environment, "computes_bfloat16", lambda device: computes)
    used = {pair.other.without for pair in networks.defaults(MACHINE)} - {""}
    assert used == (DEFAULTS.keys() if computes else {"contiguous (NCDHW) fusing weights", "recomputed activations"})


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_that_is_switched_off_is_off_and_the_others_stay(name, monkeypatch):
    places = (inception, "may_fold"), (inception, "may_fuse"), (WideConv3d, "plain_on_cpu")
    places += ((saved_activations, "recompute_cheap_activations"),)
    for place_, what in places:
        monkeypatch.setattr(place_, what, getattr(place_, what))  # put back afterwards
    before = [getattr(*place_) for place_ in places]
    DEFAULTS[name]()
    changed = [place_ for place_, old in zip(places, before, strict=True) if getattr(*place_) is not old]
    assert changed == [dict(zip(DEFAULTS, places, strict=True))[name]]


@pytest.mark.slow
def test_flops_are_counted_without_computing():
    """222.3 GFLOP forward at the paper's size: what other counters give for the released network."""
    assert gflop(Case("forward"), training=False) == pytest.approx(222.3, rel=0.002)
    assert 2.7 < gflop(Case("training"), training=True) / gflop(Case("forward"), training=False) < 3


TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
"""On logits of order 1, after 57 convolutions."""


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_our_i3d_gives_the_plain_ones_logits_and_gradients(dtype, training):
    """Odd sizes, so that every padding is used; a batch of one and of two take other kernels."""
    scale = dataclasses.replace(registry.load("scale", "micro"), dropout=0.0)
    torch.manual_seed(0)
    plain = PlainI3D(style_of(scale, 3), classes=5, dropout=0.0).to(dtype)
    ours = registry.load("baseline", "i3d").build(BuildSpec(("rgb",), 5, scale)).to(dtype)
    state = {name: tensor for name, tensor in ours.state_dict().items() if not name.endswith("_extra_state")}
    plain.load_state_dict(state)
    with torch.no_grad():
        for parameter, copy in zip(ours.head.parameters(), plain.head.parameters(), strict=True):
            parameter.normal_(std=0.1)
            copy.copy_(parameter)
    ours = place(ours, "cpu").train(training)
    plain.train(training)
    for count in (1, 2):
        clip = torch.randn(count, 17, 45, 51, 3, dtype=dtype).permute(0, 4, 1, 2, 3)
        expected, logits = plain({"rgb": clip.contiguous()}), ours({"rgb": clip})
        torch.testing.assert_close(logits, expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
        if training:
            expected.square().sum().backward()
            logits.square().sum().backward()
            # The stem's gradient has come through everything, batch norms over two numbers among it, which magnify
            # roundings.
            a, b = ours.trunk.conv1a.conv.weight.grad, plain.trunk.conv1a.conv.weight.grad
            assert 0 < (a - b).norm() <= 500 * TOLERANCE[dtype] * b.norm()


def test_the_plain_network_has_our_weights_and_nothing_of_our_layout():
    case = Case("forward", baseline=PLAIN, scale="micro", layout="plain")
    with torch.device("meta"):
        assert sum(p.numel() for p in build(case).parameters()) == sum(
            p.numel() for p in build(dataclasses.replace(case, baseline="i3d")).parameters()
        )
    assert clips(case, "cpu")["rgb"].is_contiguous()
    ours = clips(dataclasses.replace(case, layout="channels last"), "cpu")["rgb"]
    assert ours.is_contiguous(memory_format=torch.channels_last_3d) and not ours.is_contiguous()


# ------------------------------------------------------------------------------------------------ processes


@pytest.mark.slow
def test_a_pair_of_processes_is_timed_in_turn():
    ours = Case("matmul", size=256)
    other = dataclasses.replace(ours, malloc="plain")
    result = measure.measure_pair(Pair("micro", "small", "plain", ours, other), rounds=2)
    assert len(result.ours_s) == len(result.reference_s) == 2 and min(result.ours_s + result.reference_s) > 0
    assert result.facts["gflop"] == 2 * 256**3 / 1e9 and result.facts["memory_bytes"] > 2**27


def test_a_process_that_dies_is_an_error_that_names_the_case():
    with pytest.raises(HarnessError, match="nothing like this"), Worker(Case("nothing like this")):
        pass


def test_the_fixed_pair_trains_the_same_head_from_the_same_features():
    """Cached and anew do the same arithmetic: equal heads after 30 epochs, within float32's last bits."""
    heads = []
    for what in ("fixed, cached", "fixed, uncached"):
        torch.manual_seed(0)
        ready = builder(what)(Case(what, scale="micro", batch=2, frames=9, side_px=32, size=1))
        heads.append(ready.step())
    torch.testing.assert_close(heads[0], heads[1], atol=1e-5, rtol=1e-5)
    assert heads[0].abs().max() > 0


@pytest.fixture
def small_files(monkeypatch):
    """One short file of each codec."""
    monkeypatch.setattr(videos, "FILES", 1)
    for module in (videos, readers):
        monkeypatch.setattr(module, "FILE_FRAMES", 72)
    videos.data.cache_clear()
    yield
    videos.data.cache_clear()


def test_readers_are_timed_on_the_same_pictures_and_others_are_refused(small_files, monkeypatch):
    def mean(reader, corpus):
        case = data.with_files(Case("clips", reader=reader, corpus=corpus, size=1))
        return {"parts": [builder("clips")(case).facts]}

    for corpus in ("mpeg4", "h264"):
        mine = mean("ours", corpus)
        for reader in ("OpenCV", "PyAV"):
            assert data.facts_of(mine, mean(reader, corpus), [0.5], [1.0]) == {"note": "2 clips/s"}
    data.facts_of(mean("ours", "store of mpeg4"), mean("ours", "mpeg4"), [1.0], [1.0])
    monkeypatch.setitem(readers.READERS, "dark", lambda path, rng: readers.ours(path, rng) // 2)
    with pytest.raises(HarnessError, match="different pictures"):
        data.facts_of(mine, mean("dark", "h264"), [1.0], [1.0])


def test_the_loader_is_held_against_its_own_windows_and_verify_against_opening(small_files):
    loading, decoding, verifying, opening = (
        builder(what)(data.with_files(Case(what, corpus="all", size=3)))
        for what in ("loading", "decoding", "verifying", "opening")
    )
    assert loading.facts == decoding.facts == {"clips": 2} and verifying.facts == opening.facts == {"files": 3}
    for ready in (loading, decoding, verifying, opening):
        ready.step()
    assert data.facts_of(loading.facts, decoding.facts, [0.5], [0.25]) == {"note": "125.00 ms more per clip"}
    assert data.facts_of(verifying.facts, opening.facts, [0.5], [1.0]) == {"note": "6 files/s"}


def test_it_runs_with_torch_alone():
    """So that it can be taken to a bare machine: none of the other large libraries is even looked for."""
    code = """
import sys
for name in ("ray", "mlflow", "sklearn", "matplotlib", "cv2", "av", "numba", "timm", "torchvision", "pandas", "scipy"):
    sys.modules[name] = None
from benchmarks.ratios import data, measure, report, suites, values
from benchmarks.ratios.case import Case, Machine, Pair
from benchmarks.ratios.suites import builder
builder("training")(Case("training", scale="micro", batch=2, frames=9, side_px=32)).step()
for what in ("loop", "bare loop", "copy"):
    builder(what)(Case(what, size=2)).step()
assert data.missing_libraries() == ["av", "cv2"] and not list(data.pairs(None))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------------------ the command


@pytest.mark.parametrize("was,code", [(2.0, 0), (3.3, 0), (3.4, 1)])
def test_the_command_fails_where_a_ratio_fell(was, code, tmp_path, monkeypatch):
    """Times are made up here: `tox -e bench` measures them."""
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"machine": {}, "ratios": {"i3d micro training": was}}))
    monkeypatch.setattr(measure, "measure_pair", lambda pair, rounds: paired(pair.name))
    words = ["--only", "micro", "--check", str(baseline), "--results", str(tmp_path)]
    done = CliRunner().invoke(main, words, standalone_mode=False)
    assert done.return_value == code, done.output
    (stored,) = (tmp_path / "bench").glob("*.json")
    assert [result["name"] for result in json.loads(stored.read_text())["results"]] == [
        "i3d micro training",
        "i3d micro forward",
    ]
    assert ("slower" in done.stderr) == bool(code)


def test_checking_what_was_not_measured_is_refused(tmp_path, monkeypatch):
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"machine": {}, "ratios": {"gone": 1.0}}))
    monkeypatch.setattr(measure, "measure_pair", lambda pair, rounds: paired(pair.name))
    words = ["--only", "micro", "--check", str(baseline), "--results", str(tmp_path)]
    done = CliRunner().invoke(main, words, standalone_mode=False)
    assert "none of the ratios" in str(done.exception)


def test_committed_ratios_are_of_pairs_that_tox_measures():
    words = shlex.split((ROOT / "tox.ini").read_text().partition("python -m benchmarks --quick")[2].partition("\n")[0])
    only = words[words.index("--only") + 1].split(",")
    planned = {pairing.name for pairing in suites.select(MACHINE, only)}
    ratios = report.committed(ROOT / "benchmarks" / "baseline.json")
    assert ratios and set(ratios) <= planned and all(ratio > 0 for ratio in ratios.values())


def test_the_document_shows_the_committed_results():
    """Made anew by `python -m benchmarks --results results`, whose table goes between the two comments of docs/how-to/performance.md."""
    (stored,) = (ROOT / "results" / "bench").glob("intel-*.json")
    text = (ROOT / "docs" / "how-to" / "performance.md").read_text()
    shown = text.partition("<!-- python -m benchmarks -->\n")[2].partition("<!-- end -->")[0]
    assert shown == report.table(json.loads(stored.read_text()))
