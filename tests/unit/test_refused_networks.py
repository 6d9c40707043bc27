"""What cannot be run with networks of other libraries: refused while planning, in one sentence, with status 2."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from harness import commands
from harness.core import registry
from tests.tiny_hf import write_config

LONGER = """
from dataclasses import replace

from baselines import torchvision
from harness import Clip

BASELINE = replace(torchvision.BASELINE.at("mvit_v2_s"), name="longer", train_clip={"micro": Clip(window=32, side_px=48)})
"""
STILL = """
from dataclasses import replace

from baselines import torchvision
from harness import Frames

BASELINE = replace(torchvision.BASELINE.at("r3d_18"), name="still", frames={"micro": Frames(fps=0)})
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with networks that cannot be used, and plug-ins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_folders", None)
    for name in ("HARNESS_DATA", "HARNESS_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path / "out" / name.lower()))
    monkeypatch.setenv("HARNESS_PLUGINS", str(tmp_path / "plugins"))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "longer.py").write_text(LONGER)
    (tmp_path / "plugins" / "still.py").write_text(STILL)
    write_config(tmp_path / "text", "videomae", model_type="bert")
    write_config(tmp_path / "untuned", "videomae", architectures=["VideoMAEForPreTraining"])
    write_config(tmp_path / "code", "videomae", auto_map={"AutoModel": "modeling.py"})
    write_config(tmp_path / "still-hf", "timesformer", num_frames=0)
    write_config(tmp_path / "torn", "vivit", num_frames="eight")
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, *words: str) -> str:
    """What the command prints to standard error before it exits with status 2."""
    monkeypatch.setattr("sys.argv", ["harness", verb, "--dataset", "micro-hmdb51", *words])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    return capsys.readouterr().err.strip()


@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize(
    "words, message",
    [
        (["torchvision:r3d18"], "no video network of torchvision 'r3d18'; .*did you mean 'r3d_18'"),
        (["torchvision"], "name one, such as --baseline torchvision:r3d_18"),
        (["hf:text"], "is not a video classifier: its model_type is 'bert'"),
        (["hf:untuned"], "is not a video classifier: its architecture is VideoMAEForPreTraining"),
        (["hf:code"], "brings Python code of its own"),
        (["hf:nowhere/at/all"], "neither a folder nor a repository of the form OWNER/NAME"),
        (["hf:still-hf"], r"takes clips of 0 frames \(num_frames in config.json\)"),
        (["hf:torn"], r"damaged config.json or preprocessor_config.json \(ValueError.*'eight'"),
        (["longer"], "takes clips of 8 frames of 48 px and no others, but its card cuts 32 frames"),
        (["still"], r"frames\['micro'\]\.fps must be more than 0; got 0"),
        (["torchvision:r3d_18", "--set", "scale.fps=0"], "scale.fps=0: expected more than 0"),
        (
            ["torchvision:r3d_18", "--protocol", "as-published", "--scale", "paper"],
            "400 classes of the published weights do not include open_book, close_book, come and 11 others",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_run_is_refused_in_one_sentence(
    verb: str,
    words: list[str],
    message: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protocol = [] if "--protocol" in words else ["--protocol", "full-ft"]
    text = refusal(capsys, monkeypatch, verb, "--baseline", *words, *protocol)
    assert re.search(message, text), text
    assert not (place / "out").exists(), "nothing half-written"
    assert "\n" not in text and ". " not in text


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_family_without_its_extra_names_the_pip_line(
    verb: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else real(name))
    text = refusal(
        capsys, monkeypatch, verb, "--baseline", f"hf:{write_config(place / 'net', 'vivit')}", "--protocol", "full-ft"
    )
    assert text.endswith("needs transformers, which is not installed: pip install 'quovadis-harness[hf]'")
    assert not (place / "out").exists()
