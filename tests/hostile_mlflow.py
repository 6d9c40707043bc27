"""A tracking server that answers whatever it likes, forever if it likes."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

RUN = "0" * 32
PIECE = b"x" * (1 << 16)


class Hostile(http.server.BaseHTTPRequestHandler):
    """The attributes say how it misbehaves; a subclass per server sets them."""

    pages = "one"
    """'one', 'new tokens' or 'one token' forever, or 'endless' for one page that does not end."""
    file = "whole"
    """'whole', 'endless' or 'slow'."""
    jobs: tuple[str, ...] = ()
    files: dict[str, bytes] = {}  # noqa: RUF012 (set once per server)
    tokens = itertools.count()

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        name = path.rpartition("/")[2]
        if path.endswith("/experiments/get-by-name"):
            self._json({"experiment": {"experiment_id": "1", "name": "quovadis-harness", "lifecycle_stage": "active"}})
        elif path.endswith("/runs/get"):
            self._json({"run": self._run("0" * 12)})
        elif name in self.files:
            self._send(self.files[name])
        elif path.endswith("/artifacts"):
            path_of_file = "path=" in self.path and any(name in self.path for name in self.files)
            files = [] if path_of_file else [{"path": name, "is_dir": False, "file_size": 9} for name in self.files]
            self._json({"files": files})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.pages == "endless":
            self._forever(b'{"runs": [', 0)
            return
        token = {"new tokens": str(next(self.tokens)), "one token": "again"}.get(self.pages)
        self._json({"runs": [self._run(job) for job in self.jobs]} | ({"next_page_token": token} if token else {}))

    def _run(self, job: str) -> dict[str, Any]:
        tags = {"job_hash": job, "complete": "true"}
        info = {"run_id": RUN, "run_uuid": RUN, "experiment_id": "1", "status": "FINISHED", "lifecycle_stage": "active"}
        info |= {"artifact_uri": "mlflow-artifacts:/1/run/artifacts"}
        return {"info": info, "data": {"tags": [{"key": key, "value": value} for key, value in tags.items()]}}

    def _send(self, content: bytes) -> None:
        if self.file != "whole":
            self._forever(content, 0.2 if self.file == "slow" else 0)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _forever(self, start: bytes, pause_s: float) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(start)
            while True:
                self.wfile.write(PIECE[:1] if pause_s else PIECE)
                time.sleep(pause_s)

    def log_message(self, format: str, *args: Any) -> None: ...


@contextlib.contextmanager
def serving(**how: Any) -> Iterator[str]:
    """Its address, during the block."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("_Server", (Hostile,), how))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
