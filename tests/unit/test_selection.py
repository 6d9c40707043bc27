"""Selection -> cells: defaults from the cards, did-you-mean for the rest, before any work."""

import dataclasses
import json
import shlex

import pytest
from click.testing import CliRunner

from harness.commands import harness
from harness.commands.run import showing
from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import FlowMethod, Scale, Schedule
from harness.core.errors import HarnessError, UnknownName
from harness.core.registry import load
from harness.planning.command import command_of
from harness.planning.overrides import apply_overrides
from harness.planning.selection import cells, without_source
from harness.video.flow import estimation


def one(**said):
    (cell,) = cells(Selection(**said))
    return cell


def test_unsaid_axes_take_the_cards_values():
    cell = one(datasets=("micro-hmdb51",), protocols=("full-ft",))
    assert (cell.baseline, cell.modality, cell.init, cell.scale) == ("i3d", "rgb+flow", "imagenet", "micro")
    assert (cell.split, cell.seed, cell.source, cell.subset) == (1, 0, "micro-kinetics", "test")


def test_real_data_sets_mean_the_papers_scale_and_kinetics():
    cell = one(datasets=("hmdb51",), protocols=("full-ft",))
    assert (cell.scale, cell.source) == ("paper", "kinetics400")


def test_a_data_set_of_another_origin_names_its_source_too(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import dataclasses\nfrom harness.datasets import hmdb51\n"
        "DATASET = dataclasses.replace(hmdb51.DATASET, name='mine', source='micro-kinetics')\n"
    )
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    cell = one(datasets=("mine",), protocols=("full-ft",))
    assert cell.source == "micro-kinetics" and "--source" not in command_of(cell)


def test_the_command_of_a_cell_names_the_folder_of_its_plug_ins(tmp_path, monkeypatch):
    folder, other = tmp_path / "my plug-ins", tmp_path / "others"
    for each in (folder, other):
        each.mkdir()
    (folder / "mine.py").write_text(
        "import dataclasses\nfrom harness.datasets import hmdb51\nDATASET = dataclasses.replace(hmdb51.DATASET, name='mine')\n"
    )
    monkeypatch.setenv(registry.PLUGINS_ENV, f"{other}:{folder}/")
    (mine,) = cells(Selection(datasets=("mine",), protocols=("original",)))
    (builtin,) = cells(Selection(datasets=("hmdb51",), protocols=("original",)))
    assert shlex.split(command_of(mine))[-2:] == ["--plugins", str(folder)]
    assert "--plugins" not in command_of(builtin)


def test_several_cells_have_one_command():
    several = cells(Selection(datasets=("micro-hmdb51",), protocols=("original",), splits=(1, 2), seeds=(0, 3)))
    assert command_of(*several).endswith("--init imagenet --split 1 --split 2 --seed 0 --seed 3")


@pytest.mark.parametrize(
    ("selection", "command"),
    [
        ({"protocols": ("full-ft",)}, "harness table 4 --scale micro"),
        ({"protocols": ("full-ft",), "splits": ()}, "harness table 5 --scale micro"),
        ({"protocols": ("full-ft",), "seeds": (1, 2)}, "harness table 4 --scale micro --seed 1 --seed 2"),
        ({"protocols": ("original",), "modalities": ("rgb",)}, "harness table 2 --scale micro"),
        ({"datasets": ("micro-kinetics",), "protocols": ("original",)}, "harness table 3 --scale micro"),
        ({"protocols": ("full-ft",), "overrides": (("train.steps", "7"),)}, "harness table results"),
        ({"protocols": ("full-ft",), "splits": (2,)}, "harness table results"),
        ({"protocols": ("full-ft",), "baselines": ("i3d", "torchvision:r3d_18")}, "harness table results"),
    ],
)
def test_after_a_run_the_command_that_shows_its_numbers_is_printed(selection, command):
    ran = cells(Selection(**{"datasets": ("micro-hmdb51",), **selection}))
    assert showing(ran) == command


def test_original_has_no_source():
    assert one(datasets=("micro-ucf101",), protocols=("original",)).source == ""


def test_a_source_is_for_the_protocols_that_take_one():
    asked = Selection(datasets=("micro-hmdb51",), protocols=("original", "full-ft"), source="micro-ucf101")
    assert [cell.source for cell in cells(asked)] == ["", "micro-ucf101"]
    words = ["plan", "--dataset", "micro-hmdb51", "--protocol", "original,full-ft", "--source", "micro-ucf101"]
    done = CliRunner().invoke(harness, [*words, "--json"])
    assert done.stderr == "note: --source has no meaning under Original, and is ignored there\n"
    assert len(json.loads(done.stdout)["cells"]) == 2
    assert without_source(dataclasses.replace(asked, protocols=("original",))) == []


def test_underscores_and_capitals_are_taken_as_well():
    assert one(datasets=("micro_hmdb51",), protocols=("full_ft",)).protocol == "full-ft"


def test_every_combination_once():
    found = cells(
        Selection(
            datasets=("micro-hmdb51",),
            protocols=("original", "fixed", "original"),
            modalities=("rgb", "flow"),
            splits=(),
        )
    )
    assert len(found) == 3 * 2 * 2 == len(set(found))


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"datasets": ("micro-hmdb52",)}, UnknownName, "did you mean 'micro-hmdb51'"),
        ({"baselines": ("i3dd",), "datasets": ("micro-hmdb51",)}, UnknownName, "did you mean 'i3d'"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("full",)}, UnknownName, "protocol 'full'"),
        ({"datasets": ("micro-hmdb51",)}, HarnessError, "--protocol"),
        ({}, HarnessError, "--dataset"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "splits": (4,)}, HarnessError, "no split 4; have: 1, 2, 3"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "modalities": ("RGB",)}, UnknownName, "modality 'RGB'"),
        ({"baselines": ("c3d",), "datasets": ("micro-hmdb51",), "protocols": ("fixed",), "modalities": ("flow",)}, HarnessError, "c3d has no modality"),
        ({"baselines": ("c3d",), "datasets": ("micro-hmdb51",), "protocols": ("fixed",), "inits": ("imagenet",)}, HarnessError, "--init scratch"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "inits": ("imagenett",)}, UnknownName, "did you mean 'imagenet'"),
        ({"datasets": ("micro-kinetics",), "protocols": ("full-ft",)}, HarnessError, "pass --source"),
        ({"datasets": ("micro-imagenet",)}, HarnessError, "images"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("original",), "source": "micro-kinetics"}, HarnessError, "has no effect"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "scale": "mikro"}, UnknownName, "did you mean 'micro'"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "subset": "dev"}, HarnessError, "no subset 'dev'"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "backbone": "resnet18"}, HarnessError, "the form timm/NAME, such as timm/resnet18"),
        ({"datasets": ("micro-hmdb51",), "protocols": ("fixed",), "backbone": "timm/"}, HarnessError, "the form timm/NAME"),
        ({"datasets": ("hmdb51",), "protocols": ("fixed",), "source": "published:nothing"}, HarnessError, "published weights"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_with_the_remedy(said, error, words):
    with pytest.raises(error, match=words):
        cells(Selection(**said))


def test_overrides_reach_the_schedule_of_the_cells_own_training():
    scale = load("scale", "micro")
    changed = apply_overrides(
        scale, "full-ft", (("train.base_lr", "0.5"), ("scale.width", "0.125"), ("source.steps", "7"))
    )
    assert (changed.stages["full-ft"].base_lr, changed.width, changed.stages["source"].steps) == (0.5, 0.125, 7)
    assert changed.stages["original"] == scale.stages["original"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.base_lrr", "1", "did you mean 'base_lr'"),
        ("train.steps", "many", "expected int"),
        ("trane.steps", "1", "did you mean 'train'"),
        ("scale.flip", "maybe", "expected bool"),
    ],
)
def test_wrong_overrides_are_refused(key, value, words):
    said = Selection(datasets=("micro-hmdb51",), protocols=("fixed",), overrides=((key, value),))
    with pytest.raises(HarnessError, match=words):
        cells(said)


def test_a_whole_schedule_by_name_differs_by_stream():
    scale = load("scale", "paper")
    said = (("source.schedule", "released"), ("source.steps", "7"))
    flow = apply_overrides(scale, "full-ft", said, streams=("flow",)).stages["source"]
    assert (flow.steps, flow.lr_factors[2], flow.policy) == (7, 1.0, "steps")
    assert apply_overrides(scale, "full-ft", said, streams=("rgb",)).stages["source"].lr_factors == ()
    with pytest.raises(HarnessError, match="trains them jointly"):
        apply_overrides(scale, "full-ft", said, streams=("rgb", "flow"))
    with pytest.raises(HarnessError, match="did you mean 'released'"):
        apply_overrides(scale, "full-ft", (("source.schedule", "release"),), streams=("rgb",))


@pytest.mark.parametrize(
    "key,text,told",
    [
        ("train.optimizer", "adam", "expected one of sgd, adamw"),
        ("train.retrain_on_all", "true", None),
    ],
)
def test_choices_are_checked(key, text, told):
    scale = load("scale", "paper")
    if told:
        with pytest.raises(HarnessError, match=told):
            apply_overrides(scale, "full-ft", ((key, text),))
    else:
        changed = apply_overrides(scale, "full-ft", ((key, text),))
        assert changed != scale


def test_a_head_has_its_own_settings_and_retrain_on_all_is_for_plateaus():
    asked = Selection(datasets=("micro-hmdb51",), protocols=("logreg",), overrides=(("train.steps", "9"),))
    with pytest.raises(HarnessError, match="this protocol trains a head, without a schedule"):
        cells(asked)
    for pair, words in (
        (("head.c", "-1"), "expected a number, 0 or more"),
        (("head.k", "1"), "head.k=1: no parameter 'k'"),
    ):
        with pytest.raises(HarnessError, match=words):
            cells(dataclasses.replace(asked, overrides=(pair,)))
    asked = Selection(datasets=("micro-hmdb51",), protocols=("full-ft",), overrides=(("train.retrain_on_all", "true"),))
    with pytest.raises(HarnessError, match="policy=plateau"):
        cells(asked)


# ---------------------------------------------------------------------------------------------------- what a setting takes


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("train.steps=-5", "expected 0 or more"),
        ("train.batch=0", "expected 1 or more"),
        ("train.base_lr=nan", "expected 0 or more"),
        ("train.base_lr=inf", "expected 0 or more"),
        ("train.momentum=1", "expected 0 or more, and below 1"),
        ("source.held_out=1.5", "expected 0 or more, and below 1"),
        ("images.checkpoint_every=0", "expected 1 or more"),
        ("scale.width=0", "expected more than 0"),
        ("scale.dropout=1", "expected 0 or more, and below 1"),
        ("scale.bn_momentum=0", "expected more than 0, and at most 1"),
        ("flow.bound_px=0", "expected more than 0"),
        ("flow.warps=x", "expected a whole number, 1 or more"),
        ("flow.warps=2.5", "expected a whole number, 1 or more"),
        ("flow.warps=0", "expected a whole number, 1 or more"),
        ("flow.tau=nan", "expected a number, more than 0"),
        ("flow.median=4", "expected one of 1, 3, 5"),
        ("flow.scale_step=1", "expected a number, more than 0, and below 1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_with_what_is_allowed(pair, words):
    key, _, text = pair.partition("=")
    with pytest.raises(HarnessError) as caught:
        apply_overrides(load("scale", "micro"), "full-ft", ((key, text),))
    assert str(caught.value) == f"--set {pair}: {words}"


@pytest.mark.parametrize(
    "pair", ["train.steps=0", "train.base_lr=0", "scale.dropout=0", "scale.width=0.03", "flow.epsilon=0"]
)
def test_borders_that_make_sense_are_taken(pair):
    key, _, text = pair.partition("=")
    apply_overrides(load("scale", "micro"), "full-ft", ((key, text),))


@pytest.mark.parametrize("card", [Schedule, Scale, FlowMethod])
def test_every_number_of_a_card_has_its_range(card):
    numbers = {field.name for field in dataclasses.fields(card) if field.type in ("int", "float")}
    assert numbers - {"version"} == card.RANGES.keys()


@pytest.mark.parametrize("name", registry.names("scale"))
def test_what_the_cards_say_is_allowed(name):
    scale = load("scale", name)
    for card in (scale, scale.flow, *scale.stages.values()):
        for field, allowed in type(card).RANGES.items():
            assert allowed.has(getattr(card, field)), (name, field)
    estimation.checked(scale.flow)


@pytest.mark.parametrize("name", registry.names("flow-method"))
def test_flow_parameters_have_the_type_of_their_default(name):
    method = FlowMethod(name, 20.0, 48)
    for key, parameter in estimation.algorithm(name).parameters.items():
        scale = dataclasses.replace(load("scale", "micro"), flow=method)
        found = apply_overrides(scale, "full-ft", ((f"flow.{key}", str(parameter.default)),)).flow.params[key]
        assert (found, type(found)) == (parameter.default, type(parameter.default))


def test_a_batch_is_a_whole_number_of_replicas():
    for pairs in ((("train.bn_batch", "5"),), (("source.batch", "16"), ("source.bn_batch", "5"))):
        with pytest.raises(HarnessError, match="a batch of 16 is not a multiple of bn_batch, 5"):
            one(datasets=("micro-hmdb51",), protocols=("full-ft",), overrides=pairs)
    assert one(datasets=("micro-hmdb51",), protocols=("fixed",), overrides=(("fixed.bn_batch", "5"),))


# --------------------------------------------------------------------------------------------- settings that no job reads


@pytest.mark.parametrize(
    ("said", "pair", "words"),
    [
        ({"protocols": ("full-ft",)}, ("head.c", "2"), "no protocol of this selection trains a head"),
        ({"protocols": ("original",)}, ("source.steps", "5"), "follows the schedule 'source', only original, images;"),
        ({"protocols": ("full-ft",), "inits": ("scratch",)}, ("images.steps", "5"), "only full-ft, source;"),
        ({"protocols": ("full-ft",), "modalities": ("rgb",)}, ("flow.warps", "3"), "no network of this selection reads flow"),
        ({"protocols": ("fixed",), "source": "micro-ucf101"}, ("source.steps", "5"), "only fixed, original, images;"),
    ],
)  # fmt: skip
def test_a_setting_that_no_job_reads_is_refused(said, pair, words):
    with pytest.raises(HarnessError, match=words) as caught:
        cells(Selection(datasets=("micro-hmdb51",), overrides=(pair,), **said))
    assert str(caught.value).startswith(f"--set {pair[0]}={pair[1]} has no effect")


def test_published_weights_leave_nothing_to_pre_train():
    said = {"datasets": ("hmdb51",), "protocols": ("fixed",), "source": "published:pytorch-i3d"}
    with pytest.raises(HarnessError, match="only fixed;"):
        cells(Selection(**said, overrides=(("source.steps", "5"),)))


def test_a_setting_is_fine_if_any_cell_reads_it():
    pairs = (("fixed.steps", "5"), ("source.steps", "5"), ("images.batch", "8"), ("flow.warps", "3"))
    said = {"datasets": ("micro-hmdb51",), "modalities": ("rgb", "flow"), "overrides": pairs}
    assert len(cells(Selection(protocols=("full-ft", "fixed", "original"), **said))) == 6


# ---------------------------------------------------------------------------------------------------- crops


def test_a_crop_larger_than_the_videos_is_refused(monkeypatch):
    card = load("baseline", "c3d")
    large = dataclasses.replace(card, test_clip={**card.test_clip, "micro": dataclasses.replace(card.test_clip["micro"], side_px=64)})  # fmt: skip
    real = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: large if name == "c3d" else real(kind, name))
    said = {"baselines": ("c3d",), "datasets": ("micro-hmdb51",), "protocols": ("original",)}
    words = r"c3d crops squares of 64 px \(test_clip\).*54 px.*scale 'micro'.*side_px of 54.*scale.short_side_px=64"
    with pytest.raises(HarnessError, match=words):
        cells(Selection(**said))
    assert cells(Selection(**said, overrides=(("scale.short_side_px", "64"),)))
