"""Fetching: checked, whole or not at all; against a server in this process."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from harness.core.contract import Weights
from harness.core.errors import HarnessError
from harness.models import catalog
from harness.models.fetch import fetch, git_blob

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; /breaks stops half-way."""

    requests: ClassVar[int] = 0

    def do_GET(self):
        Handler.requests += 1
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/breaks" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.requests = 0
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def weights(sha256: str = "", **more) -> Weights:
    return Weights("theirs", "rgb", "Kinetics", 7, "own", "", "MIT", "as ours", sha256=sha256, **more)


def test_a_download_is_checked_and_not_repeated(server, tmp_path):
    target = tmp_path / "w.pt"
    assert fetch(f"{server}/w", target, weights(SHA256)) == (target, "") and target.read_bytes() == CONTENT
    fetch(f"{server}/w", target, weights(SHA256))
    assert Handler.requests == 1, "what is there is not downloaded again"


def test_a_broken_download_leaves_nothing_and_is_repeated(server, tmp_path):
    with pytest.raises(HarnessError, match="is not the expected file|Run the command again"):
        fetch(f"{server}/breaks", tmp_path / "w.pt", weights(SHA256))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_torchs_folder_of_checkpoints_is_used_if_its_hash_is_right(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    cached = tmp_path / "torch" / "hub" / "checkpoints" / "w"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert fetch(f"{server}/w", tmp_path / "w.pt", weights(SHA256[:8])) == (cached, "") and Handler.requests == 0
    cached.write_bytes(b"other")
    assert fetch(f"{server}/w", tmp_path / "w.pt", weights(SHA256[:8]))[0] == tmp_path / "w.pt"


@pytest.mark.parametrize(
    "expected", [SHA256, SHA256[:8], f"git-blob:{hashlib.sha1(b'blob 10240' + bytes(1) + CONTENT).hexdigest()}"]
)
def test_hashes_whole_by_first_digits_and_gits(server, tmp_path, expected):
    fetch(f"{server}/w", tmp_path / "w.pt", weights(expected))
    wrong = expected[:-1] + ("0" if expected[-1] != "0" else "1")
    with pytest.raises(HarnessError, match="the download was removed"):
        fetch(f"{server}/w", tmp_path / "v.pt", weights(wrong))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pt"]


def test_a_file_of_the_hub_is_asked_for_at_its_commit_and_the_commit_is_returned(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub import constants

    commit = "b" * 40
    file = tmp_path / "models--o--n" / "snapshots" / commit / "model.safetensors"
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *a, revision: asked.append((*a, revision)) or str(file)
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for revision in ("", commit):
        found = fetch("model.safetensors", tmp_path / "w", weights(repository="o/n", revision=revision))
        assert found == (file, commit)
    assert asked == [("o/n", "model.safetensors", None), ("o/n", "model.safetensors", commit)]


def test_timms_weights_come_from_the_hub():
    card = catalog.timm_weights("timm/resnet18")
    assert card.repository.startswith("timm/resnet18") and catalog.files(card) == ("model.safetensors",)


def test_gits_name_of_a_content(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_no_network_says_what_to_do(server, tmp_path):
    with pytest.raises(
        HarnessError, match=r"put it at .*checkpoints/w, or .*harness weights import theirs FILE --stream rgb"
    ):
        fetch("https://nowhere.invalid/w", tmp_path / "w.pt", weights())
    with pytest.raises(HarnessError, match="answers 404"):
        fetch(f"{server}/absent", tmp_path / "w.pt", weights())
