"""`harness data prepare` killed at any moment, and on a disk that is full from the beginning or fills on the way.

Whatever happened, the same command ends with what an undisturbed one leaves, bit for bit. A full disk stops it with one
paragraph that names the disk, and nothing half-written is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.toy_set import contents, kill_at_random_moments
from tests.toyworld import render_target

pytestmark = pytest.mark.faults

INSIDE = ["unshare", "--map-root-user", "--mount"]
PREPARE = ["-m", "harness", "data", "prepare", "toy-hmdb51", "--store", "--flow", "--scale", "micro", "--workers", "2"]
FILLS = """
set -e
mount -t tmpfs -o size=64m tmpfs "$HARNESS_DATA"
cp -r "$RENDERED" "$HARNESS_DATA/toy-hmdb51"
prepared="$HARNESS_DATA/.prepared/toy-hmdb51"
mkdir -p "$prepared"
finished() { find "$prepared" -path "*/$WHEN-*" -type f ! -name '.*' ! -name key.json; }
fill() { cat /dev/zero >"$HARNESS_DATA/ballast" 2>/dev/null || true; }
if [ $WHEN = index ]; then fill; fi
"$@" >/dev/null 2>"$SAID" &
if [ $WHEN != index ]; then
    until [ -n "$(finished)" ]; do kill -0 $!; sleep 0.02; done
    fill
fi
code=0
wait $! || code=$?
echo $code >"$CODE"
{ find "$prepared" -name '*.half'; find "$prepared" -type f -size 0 ! -name '*.jsonl'; } >"$HALVES"
finished | wc -l >"$THERE"
rm "$HARNESS_DATA/ballast"
"$@" >/dev/null
cp -r "$prepared" "$KEPT"
"""


def environment(data: Path, **more: str) -> dict[str, str]:
    toys = str(ROOT / "tests" / "toys")
    return os.environ | {"HARNESS_DATA": str(data), "HARNESS_PLUGINS": toys, "PYTHONPATH": str(ROOT), **more}


def made(prepared: Path) -> dict[str, bytes]:
    """What is made of the videos; the index holds the times of files, which differ."""
    return {name: content for name, content in contents(prepared).items() if "/" in name}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the rendered data set, what was prepared of it)."""
    data = tmp_path_factory.mktemp("undisturbed")
    render_target(data / "toy-hmdb51")
    subprocess.run([sys.executable, *PREPARE], env=environment(data), check=True, capture_output=True, timeout=600)
    return data / "toy-hmdb51", data / ".prepared" / "toy-hmdb51"


@pytest.mark.parametrize("when", ["index", "frames", "flow"])
def test_the_disk_is_full(undisturbed, tmp_path, when):
    no_mount = [*INSIDE, "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(no_mount, capture_output=True).returncode:
        pytest.skip("this system does not let a test mount a small disk (unshare --mount)")
    rendered, whole = undisturbed
    data = tmp_path / "data"
    data.mkdir()
    paths = {name: str(tmp_path / name.lower()) for name in ("SAID", "CODE", "HALVES", "THERE", "KEPT")}
    done = subprocess.run(
        [*INSIDE, "sh", "-c", FILLS, "sh", sys.executable, *PREPARE],
        env=environment(data, WHEN=when, RENDERED=str(rendered), **paths),
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = Path(paths["SAID"]).read_text()
    assert done.returncode == 0, (done.stderr, said)
    assert Path(paths["CODE"]).read_text().strip() == "2", said
    (last,) = [line for line in said.splitlines() if line.startswith("harness: ")]
    assert "No space left" in last and str(data) in last and "free some space" in last.lower(), said
    assert "Traceback" not in said
    assert Path(paths["HALVES"]).read_text() == "", "something half-written was left, or an empty file"
    there = int(Path(paths["THERE"]).read_text())
    assert (0 < there < 64) if when != "index" else there == 0, f"{there} videos: the disk filled too early or too late"
    kept = Path(paths["KEPT"])
    assert len(made(whole)) > 128 and made(kept) == made(whole)
    fingerprints = [json.loads((folder / "fingerprint.json").read_text())["fingerprint"] for folder in (kept, whole)]
    assert fingerprints[0] == fingerprints[1]


KILLED = """
import os, shutil, sys
os.environ["HARNESS_DATA"] = sys.argv[1]
rendered = os.path.join(sys.argv[1], "toy-hmdb51")
if not os.path.isdir(rendered):
    shutil.rmtree(rendered + ".new", ignore_errors=True)
    shutil.copytree({source!r}, rendered + ".new")
    os.rename(rendered + ".new", rendered)
sys.argv = {words!r}
from harness.commands import main
main()
"""


def test_killed_at_random_moments(undisturbed, tmp_path, monkeypatch):
    """Driver and workers, 20 times, at moments spread over indexing, recoding and flow."""
    rendered, whole = undisturbed
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    expected = made(whole)

    def same(data: Path) -> None:
        prepared = data / ".prepared" / "toy-hmdb51"
        assert made(prepared) == expected
        assert not list(prepared.rglob("*.half"))

    code = KILLED.format(source=str(rendered), words=["harness", *PREPARE[2:]])
    sys.stdout.write(kill_at_random_moments(code, tmp_path, same) + "\n")
