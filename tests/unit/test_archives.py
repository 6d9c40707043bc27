"""Official archives as downloaded: unpacked where they lie, whole or not at all, and nothing outside the folder."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.data import archives
from harness.data.archives import extract_archives

FAKE_UNRAR = """#!{python}
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[-1])
if sys.argv[1] == "lb":
    print("\\n".join(archive.namelist()))
elif {breaks}:
    open("half.avi", "w").write("torn")
    sys.exit("CRC error")
else:
    for name in archive.namelist():
        archive.extract(name)
"""


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def zip_bytes(members: dict[str, bytes]) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return kept.getvalue()


def tarred(path: Path, *members: tarfile.TarInfo, content: bytes = b"clip") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(content))
    return path


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {archives.DONE}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str = "unrar", *, breaks: bool = False) -> None:
    script = folder / name
    script.write_text(FAKE_UNRAR.format(python=sys.executable, breaks=breaks))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_lists_and_parts_are_unpacked_where_they_lie_and_only_once(tmp_path):
    zipped(tmp_path / "UCF101TrainTestSplits-RecognitionTask.zip", {"ucfTrainTestlist/classInd.txt": b"1 A\n"})
    tarred(tmp_path / "train" / "part_0.tar.gz", tarfile.TarInfo("a_000000_000010.mp4"))
    tarred(tmp_path / "train" / "part_1.tar.gz", tarfile.TarInfo("./b_000000_000010.mp4"))
    done = extract_archives(tmp_path)
    assert done == ("UCF101TrainTestSplits-RecognitionTask.zip", "train/part_0.tar.gz", "train/part_1.tar.gz")
    assert files(tmp_path) - set(done) == {
        "ucfTrainTestlist/classInd.txt", "train/a_000000_000010.mp4", "train/b_000000_000010.mp4",
    }  # fmt: skip
    assert extract_archives(tmp_path) == ()
    (tmp_path / "train" / "a_000000_000010.mp4").unlink()
    assert extract_archives(tmp_path) == ("train/part_0.tar.gz",)
    zipped(tmp_path / done[0], {"ucfTrainTestlist/classInd.txt": b"1 A\n2 B\n"})
    assert extract_archives(tmp_path) == (done[0],)
    assert (tmp_path / "ucfTrainTestlist" / "classInd.txt").read_bytes() == b"1 A\n2 B\n"


def test_a_rar_of_rars_becomes_class_folders(tmp_path, programs):
    install(programs)
    root = tmp_path / "hmdb51"
    inner = {f"{cls}.rar": zip_bytes({f"{cls}/[x] (1);#2.avi": cls.encode()}) for cls in ("kick", "kick_ball")}
    zipped(root / "hmdb51_org.rar", inner)
    assert extract_archives(root) == ("hmdb51_org.rar",)
    assert files(root) == {"hmdb51_org.rar", "kick/[x] (1);#2.avi", "kick_ball/[x] (1);#2.avi"}


def test_without_a_program_for_rar_the_remedy_is_named(tmp_path, programs):
    zipped(tmp_path / "set" / "UCF101.rar", {"UCF-101/A/v.avi": b""})
    with pytest.raises(
        HarnessError, match=r"no installed program can unpack .*UCF101\.rar.*Install one of unrar, unar, 7z or bsdtar"
    ):
        extract_archives(tmp_path / "set")


def test_a_program_that_fails_leaves_nothing_and_another_is_tried(tmp_path, programs):
    root = tmp_path / "set"
    zipped(root / "UCF101.rar", {"UCF-101/A/v.avi": b"whole"})
    install(programs, breaks=True)
    with pytest.raises(HarnessError, match="unrar: CRC error.*download it again"):
        extract_archives(root)
    assert files(root) == {"UCF101.rar"}
    (programs / "bsdtar").write_text(
        f"#!{sys.executable}\nimport sys, zipfile\narchive = zipfile.ZipFile(sys.argv[2])\n"
        "print('\\n'.join(archive.namelist())) if sys.argv[1] == '-tf' else archive.extractall()\n"
    )
    (programs / "bsdtar").chmod(0o755)
    extract_archives(root)
    assert files(root) == {"UCF101.rar", "UCF-101/A/v.avi"}


LEAVING = ["../evil.avi", "/etc/evil.avi", "A/../../evil.avi", "..\\evil.avi", "C:/evil.avi"]


@pytest.mark.parametrize(
    ("suffix", "member"),
    [*((suffix, member) for suffix in (".zip", ".tar.gz") for member in LEAVING), (".rar", LEAVING[0])],
)
def test_members_that_leave_the_folder_are_refused_by_name(member, suffix, tmp_path, programs):
    install(programs)
    root = tmp_path / "set"
    if suffix == ".tar.gz":
        tarred(root / "x.tar.gz", tarfile.TarInfo("good.avi"), tarfile.TarInfo(member))
    else:
        zipped(root / f"x{suffix}", {"good.avi": b"", member: b""})
    with pytest.raises(HarnessError, match="is outside the folder; nothing was unpacked") as caught:
        extract_archives(root)
    # Python's zipfile writes '/' for '\\' when it lists what it wrote.
    assert member in str(caught.value) or member.replace("\\", "/") in str(caught.value)
    assert files(root) == {f"x{suffix}"}
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused_by_name(kind, tmp_path):
    member = tarfile.TarInfo("A/link.avi")
    member.type, member.linkname = kind, "good.avi"
    tarred(tmp_path / "x.tgz", tarfile.TarInfo("good.avi"), member)
    with pytest.raises(HarnessError, match=r"'A/link\.avi' is a link or a device; refused"):
        extract_archives(tmp_path)
    assert files(tmp_path) == {"x.tgz"}


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_a_damaged_archive_is_named_and_leaves_nothing(name, tmp_path):
    path = tmp_path / name
    if name.endswith("zip"):
        zipped(path, {"a.avi": b"a" * 5000})
    else:
        tarred(path, tarfile.TarInfo("a.avi"), content=os.urandom(5000))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(HarnessError, match=f"{name} is damaged or incomplete"):
        extract_archives(tmp_path)
    assert files(tmp_path) == {name}


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path, monkeypatch):
    zipped(tmp_path / "x.zip", {"a.avi": b"a" * 5000})
    usage = archives.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=4999))
    with pytest.raises(HarnessError, match="unpacks to 0.0 GB or more, and 0.0 GB are free"):
        extract_archives(tmp_path)
    assert files(tmp_path) == {"x.zip"}


KILLED = """
import sys, time
from pathlib import Path
from harness.data import archives
whole = archives._merge
def slow(source, target):
    print("unpacked", flush=True)
    time.sleep(60)
archives._merge = slow
archives.extract_archives(Path(sys.argv[1]))
"""


def test_a_killed_unpacking_leaves_nothing_that_is_read_and_is_done_again(tmp_path):
    zipped(tmp_path / "x.zip", {"UCF-101/A/v.avi": b"whole"})
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"unpacked\n"
        process.send_signal(signal.SIGKILL)
    halves = [path for path in tmp_path.iterdir() if path.name.endswith(".half")]
    assert len(halves) == 1 and halves[0].name.startswith(".")
    assert not (tmp_path / "UCF-101").exists()
    time.sleep(0.01)
    assert extract_archives(tmp_path) == ("x.zip",)
    assert files(tmp_path) == {"x.zip", "UCF-101/A/v.avi"}


def test_later_volumes_belong_to_the_first():
    names = ["a.part1.rar", "a.part01.rar", "a.part2.rar", "a.part10.rar", "a.RAR", "a.tar.xz", "a.avi"]
    assert [name for name in names if archives.is_archive(name)] == ["a.part1.rar", "a.part01.rar", "a.RAR", "a.tar.xz"]
