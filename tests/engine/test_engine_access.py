"""Who gets what from an engine: its owner everything, anybody else nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import zmq
from engine_process import Engine, running_engine, wait_state

from ani3d_formats.errors import Ani3DError
from engine.__main__ import main
from engine.authentication import Gate
from engine.private_files import tighten, write_private
from engine.wire import Client, codec
from engine.wire import messages as m

Shot = dict[str, np.ndarray]


def asks(endpoint: str, **options: object) -> list[bytes]:
    """What `hello` brings to a client with these socket options, within a second."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        for name, value in options.items():
            setattr(dealer, name, value)
        dealer.connect(endpoint)
        dealer.send_multipart(codec.encode(m.Hello("stranger"), 1))
        return dealer.recv_multipart() if dealer.poll(1000) else []


def test_the_token_opens_and_nothing_else_does(engine: Engine) -> None:
    token = engine.ready["token"].encode()
    assert len(token) >= 43  # 256 bits in base 64
    assert asks(engine.endpoint, plain_username=b"ani3dhuman", plain_password=token)
    assert not asks(engine.endpoint)
    assert not asks(engine.endpoint, plain_username=b"ani3dhuman", plain_password=b"x")
    assert not asks(engine.endpoint, plain_username=b"ani3dhuman", plain_password=token[:-1])
    assert not asks(engine.endpoint, plain_username=b"root", plain_password=token)
    public, secret = zmq.curve_keypair()
    assert not asks(engine.endpoint, curve_serverkey=public, curve_publickey=public, curve_secretkey=secret)
    with engine.client() as client:
        assert client.ping() < 5


@pytest.mark.parametrize("token", ["short", "é" * 30, "x" * 300, "with spaces in between it"])
def test_a_token_that_could_be_guessed_or_not_be_shown_is_refused(token: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        Gate(token=token)
    assert caught.value.code == "engine.config" and "ANI3D_ENGINE_TOKEN" in caught.value.message


def test_a_stranger_sees_the_greeting_of_zeromq_alone(engine: Engine) -> None:
    host, port = engine.endpoint.removeprefix("tcp://").split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    with socket.create_connection((host, int(port))) as plain:
        plain.settimeout(1)
        (hello,) = codec.encode(m.Hello("stranger"), 1)
        ready = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
        plain.sendall(greeting + ready + bytes([0, len(hello)]) + bytes(hello))
        said = b""
        try:
            while data := plain.recv(4096):
                said += data
        except (TimeoutError, ConnectionError):
            pass
    assert len(said) <= 64 and b"ani3d" not in said


def test_a_client_without_the_token_is_told_what_it_lacks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(engine.endpoint, token="x" * 43) as client, pytest.raises(Ani3DError) as caught:
        client.hello()
    assert caught.value.code == "engine.refused" and "ANI3D_ENGINE_TOKEN" in caught.value.hint
    monkeypatch.setenv("HOME", "/nonexistent")
    with Client(engine.endpoint) as client, pytest.raises(Ani3DError) as caught:
        client.hello()
    assert caught.value.code == "engine.refused"
    monkeypatch.setenv("ANI3D_ENGINE_TOKEN", engine.ready["token"])
    with Client(engine.endpoint) as client:
        client.hello()


def test_the_owner_finds_the_engine_by_address_store_or_file(engine: Engine) -> None:
    for where in (engine.endpoint, str(engine.store), str(engine.ready_file)):
        with Client(where) as client:
            assert client.hello().pid == engine.process.pid
            assert client.endpoint == engine.endpoint


def test_a_client_stays_good_when_the_engine_starts_again_with_a_new_token(tmp_path: Path) -> None:
    with Client(str(tmp_path / "store")) as client:
        tokens = set()
        for _ in range(2):
            with running_engine(tmp_path / "store") as engine:
                tokens.add(engine.ready["token"])
                assert client.hello().pid == engine.process.pid
                engine.process.send_signal(signal.SIGKILL)
                engine.process.wait(5)
            with pytest.raises(Ani3DError) as caught:
                client.hello()
            assert caught.value.code == "engine.unreachable"
    assert len(tokens) == 2


def loose(root: Path) -> list[Path]:
    """What others than the owner may do anything with."""
    return [path for path in (root, *root.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps user folders private by itself")
def test_files_are_the_owners_alone(tmp_path: Path, shot: Shot) -> None:
    store = tmp_path / "store"
    (store / "jobs" / "old").mkdir(parents=True)
    (store / "jobs" / "old" / "worker.log").write_text("old")
    for path in (store, *store.rglob("*")):
        path.chmod(0o777)
    with running_engine(store) as engine, engine.client() as client:
        wait_state(client, client.submit(shot, {}), "done")
        assert loose(store) == [] and loose(engine.ready_file) == []
        assert len(list(store.rglob("*"))) > 15


def test_a_private_file_takes_no_others_place_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "ready.json").symlink_to(tmp_path / "theirs")
    write_private(tmp_path / "ready.json", b"mine")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "ready.json").is_symlink() and loose(tmp_path / "ready.json") == []
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "theirs").chmod(0o644)
    (tmp_path / "store").chmod(0o755)
    tighten(tmp_path / "store")
    assert stat.S_IMODE((tmp_path / "theirs").stat().st_mode) == 0o644


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_gets_nothing(tmp_path: Path, shot: Shot) -> None:
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        wait_state(client, client.submit(shot, {}), "done")
        look = (
            "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\n"
            "for path in sys.argv[2:]:\n"
            "    try: print('read', path, open(path, 'rb').read(3))\n"
            "    except OSError: pass\n"
            "host, port = sys.argv[1].removeprefix('tcp://').split(':')\n"
            "s = socket.socket(); s.connect((host, int(port))); s.settimeout(1)\n"
            "s.sendall(b'\\xff' + bytes(8) + b'\\x7f\\3\\0PLAIN' + bytes(47))\n"
            "s.sendall(b'\\4\\x17\\5HELLO\\x0aani3dhuman\\5wrong')\n"
            "said = b''\n"
            "try:\n"
            "    while data := s.recv(999): said += data\n"
            "except OSError: pass\n"
            "print(len(said[64:]) < 16 and said[67:] in (b'', b'RROR\\x03400'))\n"
        )
        paths = [str(path) for path in (*engine.store.rglob("*"), engine.ready_file) if path.is_file()]
        command = [sys.executable, "-c", look, engine.endpoint, *paths]
        said = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True).stdout
    assert said.strip() == "True"  # nothing read; ZeroMQ's ERROR 400 at most


# ---- beyond loopback ----


def test_beyond_loopback_only_keys_of_the_allow_list_open(
    tmp_path: Path, shot: Shot, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    for name in ("anna", "ben"):
        assert main(["keys", str(keys), name, "--endpoint", "tcp://127.0.0.2:1"]) == 0
    assert capsys.readouterr().out.split() == [str(keys / "anna.json"), str(keys / "ben.json")]
    assert loose(keys) == []
    assert main(["keys", str(keys), "anna"]) == 1
    with running_engine(tmp_path / "store", "--host", "0.0.0.0", "--keys", str(keys)) as engine:
        endpoint = engine.endpoint.replace("0.0.0.0", "127.0.0.2")  # another address than the engine's own loopback
        for name in ("anna", "ben"):
            access = json.loads((keys / f"{name}.json").read_text())
            (keys / f"{name}.json").write_text(json.dumps({**access, "endpoint": endpoint}))
        with Client(str(keys / "anna.json")) as client:
            wait_state(client, client.submit(shot, {}), "done")
        (keys / "clients" / "ben.pub").unlink()
        stranger = {**json.loads((keys / "anna.json").read_text()), "endpoint": endpoint}
        public, secret = (part.decode() for part in zmq.curve_keypair())
        (tmp_path / "stranger.json").write_text(json.dumps({**stranger, "public_key": public, "secret_key": secret}))
        for path in (keys / "ben.json", tmp_path / "stranger.json"):
            with Client(str(path), timeout=2) as client, pytest.raises(Ani3DError) as caught:
                client.hello()
            assert caught.value.code == "engine.refused"
        assert not asks(endpoint)
        assert not asks(endpoint, plain_username=b"ani3dhuman", plain_password=b"x")
        with Client(str(engine.store)) as client:  # the owner beside it needs no key of the list
            client.shutdown()
        assert engine.process.wait(10) == 0


def test_a_folder_without_keys_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "0.0.0.0", "--keys", str(tmp_path), "--store", str(tmp_path / "store")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("engine.keys") and str(tmp_path) in said


# ---- those who have the token and read nothing ----


def test_clients_that_stop_reading_cost_little_and_harm_nobody(engine: Engine, client: Client, shot: Shot) -> None:
    job = client.submit(shot, {})
    wait_state(client, job, "done")
    script = (
        "import sys, time, zmq\nfrom engine.wire import codec, messages as m\n"
        "from engine.wire.credentials import find_access\n"
        "access = find_access(sys.argv[1]); context = zmq.Context(); s = context.socket(zmq.DEALER); s.linger = 0\n"
        "s.setsockopt(zmq.SNDHWM, 0); s.setsockopt(zmq.RCVHWM, 1)\n"
        "s.plain_username = b'ani3dhuman'; s.plain_password = access.token.encode(); s.connect(access.endpoint)\n"
        "for i in range(4000):\n"
        "    s.send_multipart(codec.encode(m.Fetch(sys.argv[2], 'large.bin', 0, m.MAX_CHUNK_BYTES), i))\n"
        "time.sleep(3)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", script, str(engine.store), job]
    before = memory(engine.process.pid)
    slow = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) for _ in range(4)]
    most = 0
    while any(process.poll() is None for process in slow):
        assert client.ping() < 5
        most = max(most, memory(engine.process.pid))
    assert most - before < 100e6
    assert client.fetch(job, "large.bin", engine.store.parent / "fetched.bin").stat().st_size == 5_500_000
    assert engine.process.poll() is None


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_answers_read_late_all_come(engine: Engine, client: Client, shot: Shot) -> None:
    job = client.submit(shot, {})
    wait_state(client, job, "done")
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.rcvhwm = 1
        dealer.plain_username, dealer.plain_password = b"ani3dhuman", engine.ready["token"].encode()
        dealer.connect(engine.endpoint)
        for request in range(1, 201):
            dealer.send_multipart(codec.encode(m.Fetch(job, "large.bin", 0, m.MAX_CHUNK_BYTES), request))
        assert client.ping() < 5 and client.ping() < 5
        came = []
        while len(came) < 200 and dealer.poll(5000):
            came.append(codec.read_header(dealer.recv_multipart()).request)
        assert came == list(range(1, 201))


# ---- messages without an end ----

ENDLESS = """
import os, sys, socket, time
_, endpoint, token, kind, size = sys.argv
host, port = endpoint.removeprefix("tcp://").split(":")
if kind == "stranger":
    os.setgid(65534); os.setuid(65534)
s = socket.socket(); s.connect((host, int(port)))
s.sendall(b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00" + b"PLAIN".ljust(20, b"\\0") + bytes(32))
def command(data): s.sendall(bytes([4, len(data)]) + data)
def take(count):
    while count: count -= len(s.recv(count))
take(64)
if kind == "tiny":
    command(b"\\x05HELLO" + bytes([10]) + b"ani3dhuman" + bytes([len(token)]) + token.encode())
    take(10)
    command(b"\\x08INITIATE\\x0bSocket-Type\\0\\0\\0\\x06DEALER\\x08Identity\\0\\0\\0\\0")
    piece = b"\\x01\\x00" * 50_000
else:
    s.sendall(b"\\x06" + (2 << 30).to_bytes(8, "big"))
    piece = bytes(100_000)
sent = 0
try:
    while sent < int(size):
        s.sendall(piece); sent += len(piece)
    time.sleep(2); s.sendall(piece); time.sleep(.5); s.sendall(piece)
    print("took all")
except OSError:
    print("hung up after", sent)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the guard asks Linux")
@pytest.mark.parametrize(("kind", "size"), [("tiny", 40_000_000), ("stranger", 900_000_000)])
def test_a_message_without_an_end_costs_its_sender_the_connection(
    tmp_path: Path, shot: Shot, kind: str, size: int
) -> None:
    if kind == "stranger" and os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        client.hello()
        before = memory(engine.process.pid)
        command = [sys.executable, "-c", ENDLESS, engine.endpoint, engine.ready["token"], kind, str(size)]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")
        most = 0
        while sender.poll() is None:
            assert client.ping() < 5
            most = max(most, memory(engine.process.pid))
            time.sleep(0.02)
        assert sender.stdout is not None and sender.stdout.read().startswith("hung up")
        assert most - before < 700e6
        large = {**shot, "large": np.zeros(100_000_000, np.uint8)}
        wait_state(client, client.submit(large, {}), "done")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_clients_beyond_the_descriptors_of_the_engine_do_not_stop_it(tmp_path: Path, shot: Shot) -> None:
    with running_engine(tmp_path / "store") as engine:
        import resource

        resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        with ExitStack() as many:
            for _ in range(40):
                one = many.enter_context(engine.client(0.5))
                try:
                    one.ping()
                except Ani3DError:
                    break
            else:
                pytest.fail("all were let in")
            time.sleep(1.0)  # the guard looks at its connections, and can open no file
        with engine.client() as client:
            wait_state(client, client.submit(shot, {}), "done")
        engine.end()
        assert engine.process.returncode == 0
