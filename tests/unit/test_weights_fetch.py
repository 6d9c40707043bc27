"""Fetching: resumed, checked, whole or not at all; against a server in this process."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from harness.core.errors import HarnessError
from harness.models.download import fetch, git_blob

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; /breaks stops half-way unless ranges for the rest; /whole ignores ranges."""

    ranges: ClassVar[list[str]] = []

    def do_GET(self):
        start = 0
        wanted = self.headers.get("Range")
        self.ranges.append(wanted or "")
        if self.path == "/absent":
            self.send_error(404)
            return
        if wanted and self.path != "/whole":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(CONTENT):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/breaks" and not start else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.ranges = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_a_download_is_checked_and_not_repeated(server, tmp_path):
    target = tmp_path / "w.pt"
    calls = []
    fetch(f"{server}/w", target, expected=SHA256, progress=lambda done, total: calls.append((done, total)))
    assert target.read_bytes() == CONTENT and calls[-1] == (len(CONTENT), len(CONTENT))
    fetch(f"{server}/w", target, expected=SHA256)
    assert Handler.ranges == [""], "what is there is not downloaded again"


def test_a_broken_download_is_resumed(server, tmp_path):
    target = tmp_path / "w.pt"
    with pytest.raises(HarnessError, match="Run the command again"):
        fetch(f"{server}/breaks", target, expected=SHA256)
    assert not target.exists() and (tmp_path / "w.pt.part").stat().st_size == len(CONTENT) // 2
    fetch(f"{server}/breaks", target, expected=SHA256)
    assert target.read_bytes() == CONTENT and Handler.ranges[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_server_that_cannot_resume_sends_all_of_it(server, tmp_path):
    (tmp_path / "w.pt.part").write_bytes(b"old")
    assert fetch(f"{server}/whole", tmp_path / "w.pt", expected=SHA256).read_bytes() == CONTENT


def test_a_part_that_is_already_whole(server, tmp_path):
    (tmp_path / "w.pt.part").write_bytes(CONTENT)
    assert fetch(f"{server}/w", tmp_path / "w.pt", expected=SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "expected", [SHA256, SHA256[:8], f"git-blob:{hashlib.sha1(b'blob 10240' + bytes(1) + CONTENT).hexdigest()}"]
)
def test_hashes_whole_by_first_digits_and_gits(server, tmp_path, expected):
    fetch(f"{server}/w", tmp_path / "w.pt", expected=expected)
    wrong = expected[:-1] + ("0" if expected[-1] != "0" else "1")
    with pytest.raises(HarnessError, match="it was removed"):
        fetch(f"{server}/w", tmp_path / "v.pt", expected=wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pt"]


def test_gits_name_of_a_content(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_no_network_says_what_to_do(server, tmp_path):
    with pytest.raises(HarnessError, match="harness weights import NAME FILE"):
        fetch("https://nowhere.invalid/w", tmp_path / "w.pt")
    with pytest.raises(HarnessError, match="answers 404"):
        fetch(f"{server}/absent", tmp_path / "w.pt")
