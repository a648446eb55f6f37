"""A stand-in for the hub on 127.0.0.1: one repository, in the hub's layout and protocol, with faults on request."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors"  # what the stand-in keeps in large-file storage, so that it tells the SHA-256
SHARDS = {f"transformer/model-0000{i}-of-00002.safetensors": bytes([i]) * 300_000 for i in (1, 2)}
FILES = {
    "model_index.json": b'{"_class_name": "WanVACEPipeline"}',
    "transformer/config.json": b"{}",
    "transformer/model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    **SHARDS,
    "tokenizer/spiece.model": b"pieces",
    "README.md": b"hello",
    "transformer/training_state.bin": b"a pickle",
    "whole_model.safetensors": b"the same again in one file",
}


class Hub:
    """The files it serves, and what was asked of it: (path, first byte) of every download."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, int]] = []
        self.break_after: int | None = None  # bytes of a large file after which the connection ends, once
        self.corrupt = False
        self.pause = 0.0  # seconds a megabyte
        self.url = ""

    def listing(self, repository: str) -> dict[str, object]:
        """What the hub's API says of the repository."""
        siblings = []
        for name, data in self.files.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        return {"_id": "1", "id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings, "tags": []}


@contextmanager
def serve(files: dict[str, bytes], repository: str) -> Iterator[Hub]:
    """Run the stand-in until the block ends; `Hub.url` is its endpoint."""
    hub = Hub(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(f"/api/models/{repository}"):
                revision = path.rpartition("/revision/")[2] if "/revision/" in path else COMMIT
                if revision != COMMIT:
                    return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return self.answer(200, json.dumps(hub.listing(repository)).encode())
            prefix = f"/{repository}/resolve/{COMMIT}/"
            if not path.startswith(prefix) or path.removeprefix(prefix) not in hub.files:
                return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            name = path.removeprefix(prefix)
            data = hub.files[name]
            if hub.corrupt and name.endswith(LARGE):
                data = data[:-1] + bytes([data[-1] ^ 1])
            wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
            first = int(wanted or 0)
            hub.asked.append((name, first))
            headers = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {}
            self.answer(206 if first else 200, data[first:], headers, name)

        def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None, name: str = "") -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if hub.break_after is not None and name.endswith(LARGE):
                data, hub.break_after = data[: hub.break_after], None
                self.close_connection = True
            for start in range(0, len(data), 1_000_000):
                time.sleep(hub.pause)
                try:
                    self.wfile.write(data[start : start + 1_000_000])
                except OSError:  # the other side has gone
                    self.close_connection = True
                    return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
