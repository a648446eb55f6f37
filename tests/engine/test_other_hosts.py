"""Another host, in a network namespace of its own: nothing without a key, everything with one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from engine_process import running_engine

from engine.__main__ import main
from engine.wire import PROTOCOL_VERSION

HERE, THERE = "10.213.77.1", "10.213.77.2"
LOOK = """
import socket, sys
host, port = sys.argv[1].removeprefix("tcp://").split(":")
said = b""
try:
    s = socket.create_connection((host, int(port)), 2); s.settimeout(1)
    for mechanism in (b"NULL", b"PLAIN"):
        s.sendall(b"\\xff" + bytes(8) + b"\\x7f\\3\\0" + mechanism.ljust(20, b"\\0") + bytes(32))
    s.sendall(b"\\4\\x17\\5HELLO\\x0aani3dhuman\\5wrong")
    while data := s.recv(999): said += data
except OSError:
    pass
print(len(said), said[64:].hex())
"""
ASK = """
import sys
from ani3d_formats.errors import Ani3DError
from engine.wire import Client
with Client(sys.argv[1], timeout=5) as client:
    try:
        print("welcome", client.hello().protocol)
    except Ani3DError as error:
        print(error.code)
"""


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A host that sees this one at `HERE`."""
    name, ours, theirs = f"ani3d{os.getpid()}", f"a{os.getpid()}", f"b{os.getpid()}"
    if sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root and ip, to make another host")
    try:
        run("ip", "netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        try:
            run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no links between namespaces here: {error.stderr.decode().strip()}")
        run("ip", "address", "add", f"{HERE}/30", "dev", ours)
        run("ip", "link", "set", ours, "up")
        run("ip", "-n", name, "address", "add", f"{THERE}/30", "dev", theirs)
        run("ip", "-n", name, "link", "set", theirs, "up")
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", ours], capture_output=True)
        run("ip", "netns", "delete", name)


def there(namespace: str, program: str, *words: str) -> str:
    """What a program prints on the other host."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_another_host_gets_nothing_without_a_key(
    namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_engine(tmp_path / "alone") as engine:
        port = engine.endpoint.rpartition(":")[2]
        assert there(namespace, LOOK, f"tcp://{HERE}:{port}") == "0", "a loopback port is not there at all"
    keys = tmp_path / "keys"
    assert main(["keys", str(keys), "anna"]) == 0
    capsys.readouterr()
    with running_engine(tmp_path / "shared", "--host", HERE, "--keys", str(keys)) as engine:
        size, _, rest = there(namespace, LOOK, engine.endpoint).partition(" ")
        assert int(size) <= 64 and not rest, "ZeroMQ's greeting at most"
        access = {**json.loads((keys / "anna.json").read_text()), "endpoint": engine.endpoint}
        public, secret = (part.decode() for part in zmq.curve_keypair())
        stranger = {**access, "public_key": public, "secret_key": secret}
        for name, who in (("anna", access), ("stranger", stranger)):
            (tmp_path / f"{name}.json").write_text(json.dumps(who))
        assert there(namespace, ASK, str(tmp_path / "anna.json")) == f"welcome {PROTOCOL_VERSION}"
        assert there(namespace, ASK, str(tmp_path / "stranger.json")) == "engine.refused"
