"""Messages that are none, and damaged shots: answered or refused, without a crash, a hang or a growing memory."""

from __future__ import annotations

import json
import random
import socket
import time
from typing import Any

import msgpack
import numpy as np
import zmq

from ani3d_formats.errors import Ani3DError
from engine.wire import codec
from engine.wire import messages as m

from .harness import SETTINGS, Engine, tiny_shot

SHA = "0" * 64
VALID: list[m.Message] = [
    m.Hello("fuzz"),
    m.Put(SHA, 0, np.zeros(64, np.uint8)),
    m.Submit([m.ArrayInfo("vertices", "<f4", [8, 3], SHA)], {"preset": "cloth", "a": [1, {"b": None}]}, 0),
    m.Watch("0" * 20, 0, 0.0),
    m.Status("0" * 20),
    m.List(""),
    m.Cancel("0" * 20),
    m.Adjust("0" * 20, 1, False),
    m.Files("0" * 20),
    m.Fetch("0" * 20, "a", 0, 10),
    m.Delete("0" * 20),
    m.Ping(),
    m.Job(m.JobStatus("a", "done", "", 0, 0, 0.0, None, "b")),
]
ODD: list[Any] = [
    None, True, -1, 0, 1.5, float("nan"), float("inf"), 2**63, -(2**63), "", "x" * 5000, "../../etc/passwd", "\0", b"",
    b"\xff" * 40, [], {}, [[]] * 3, {"a": {"b": {}}}, {"": None}, "\ud7ff", [1, "a", None],
]  # fmt: skip


def message(dice: random.Random) -> list[bytes]:
    """Frames of something that may or may not be a message, each with request 7 where it has a header."""
    frames = [bytes(frame) for frame in codec.encode(dice.choice(VALID), 7)]
    header = msgpack.unpackb(frames[0])
    sort = dice.randrange(12)
    if sort == 0:
        return [dice.randbytes(dice.randrange(300)) for _ in range(dice.randrange(1, 5))]
    if sort == 1:
        return [frames[0][: dice.randrange(len(frames[0]))], *frames[1:]]
    if sort == 2:
        data = bytearray(frames[0])
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        return _harmless([bytes(data), *frames[1:]])
    if sort == 3:
        header[dice.choice(["protocol", "kind", "body", "arrays", "more"])] = dice.choice(ODD)
    elif sort == 4:
        body = header["body"]
        body[dice.choice([*body, "more"])] = dice.choice(ODD)
    elif sort == 5:
        header["body"].pop(dice.choice([*header["body"], "none"]), None)
    elif sort == 6:
        shape = [dice.choice([0, 1, -1, 2**31, 2**62, 2**63 - 1, 3]) for _ in range(dice.randrange(12))]
        header["arrays"] = [
            [dice.choice(["data", "x" * 400, ""]), dice.choice(["|u1", "<f4", "|O", "<U9999999"]), shape]
        ]
    elif sort == 7:
        deep: Any = None
        for _ in range(dice.choice([10, 17, 400, 2000])):
            deep = [deep] if dice.random() < 0.5 else {"a": deep}
        header["body"] = {"arrays": [], "settings": {"a": deep}, "priority": 0}
        header["kind"] = "submit"
    elif sort == 8:
        return [*frames, *[dice.randbytes(dice.randrange(50)) for _ in range(dice.randrange(1, 300))]]
    elif sort == 9:
        shape = [dice.choice([2**30, 2**31, 2**40, 5])] * dice.randrange(1, 4)
        info = {"name": "a", "dtype": dice.choice(["<f8", "|u1", "<U4000000"]), "shape": shape, "sha256": SHA}
        header["kind"] = "submit"
        header["body"] = {"arrays": [info] * dice.choice([1, 2, 300]), "settings": dice.choice(ODD), "priority": 0}
        header["arrays"] = []
        frames = frames[:1]
    elif sort == 10:
        return [frames[0], bytes(dice.choice([0, 1, 2**20, 2**21]))]
    try:
        return _harmless([msgpack.packb(header), *frames[1:]])
    except (ValueError, OverflowError, TypeError):
        return [b"\xc1", *frames[1:]]


def _harmless(frames: list[bytes]) -> list[bytes]:
    """Not the one message that ends the engine, nor one that waits by right."""
    return [b"\xc1"] if b"shutdown" in frames[0] else frames


def fuzz_messages(engine: Engine, count: int, seed: int) -> dict[str, float]:
    """Send `count` messages, one after the other, and measure how long each answer takes."""
    dice = random.Random(seed)
    waits, silent = [], 0
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.plain_username, dealer.plain_password = b"ani3dhuman", engine.ready["token"].encode()
        dealer.connect(engine.ready["endpoint"])
        before = engine.memory
        for number in range(count):
            start = time.perf_counter()
            dealer.send_multipart(message(dice))
            if not dealer.poll(12_000):
                silent += 1
                if not engine.is_running:
                    break
            else:
                dealer.recv_multipart()
                waits.append(1000 * (time.perf_counter() - start))
            if number == count // 4:
                before = max(before, engine.memory)
    grown = (engine.memory if engine.is_running else 0.0) - before
    return {
        "fuzzed": count,
        "fuzz_unanswered": silent,
        "error_p50_ms": float(np.percentile(waits, 50)),
        "error_p99_ms": float(np.percentile(waits, 99)),
        "fuzz_growth_mb": grown,
        "fuzz_crashes": float(not engine.is_running),
    }


def below(engine: Engine, count: int, seed: int) -> dict[str, float]:
    """Bytes that are no ZeroMQ, greetings cut short, frames that announce 2^63 bytes, messages without an end."""
    dice = random.Random(seed)
    host, _, port = engine.ready["endpoint"].removeprefix("tcp://").partition(":")
    token = engine.ready["token"].encode()
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"PLAIN".ljust(20, b"\0") + bytes(32)
    hello = b"\x05HELLO\x0aani3dhuman" + bytes([len(token)]) + token
    initiate = b"\x08INITIATE\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"
    inside = greeting + bytes([4, len(hello)]) + hello + bytes([4, len(initiate)]) + initiate
    before = engine.memory
    for _ in range(count):
        data = dice.choice(
            [
                dice.randbytes(dice.randrange(1, 2000)),
                greeting[: dice.randrange(64)] + dice.randbytes(9),
                inside + b"\x02" + (2**63 - 1).to_bytes(8, "big") + bytes(100),
                inside + b"\x01\x00" * dice.randrange(20_000),
                inside + dice.randbytes(500),
                b"GET / HTTP/1.1\r\n\r\n",
            ]
        )
        with socket.create_connection((host, int(port))) as plain:
            plain.settimeout(0.05)
            try:
                plain.sendall(data)
                plain.recv(999)
            except OSError:
                pass
    with engine.client() as client:
        pings = [1000 * client.ping() for _ in range(20)]
    return {"below_zmtp": count, "below_ping_ms": max(pings), "below_growth_mb": engine.memory - before}


def fuzz_shots(engine: Engine, count: int, seed: int) -> dict[str, float]:
    """Submit damaged shots and settings; each is refused for a reason, or taken and ends for one."""
    dice, rng = random.Random(seed), np.random.default_rng(seed)
    good = tiny_shot(3)
    refused = taken = unclear = 0
    codes: dict[str, int] = {}
    with engine.client(60) as client:
        for _ in range(count):
            shot, settings = dict(good), dict(SETTINGS)
            name = dice.choice(list(good))
            array = shot[name]
            sort = dice.randrange(9)
            if sort == 0:
                del shot[name]
            elif sort == 1:
                shot[name] = array.astype("<f8" if array.dtype.kind != "U" else "<U3")
            elif sort == 2:
                shot[name] = array.reshape(-1)[: dice.randrange(array.size + 1)]
            elif sort == 3 and array.dtype.kind == "f":
                shot[name] = np.where(rng.random(array.shape) < 0.1, dice.choice([np.nan, np.inf, 1e30]), array).astype(
                    "f4"
                )
            elif sort == 4 and array.dtype.kind in "iu":
                shot[name] = (array + dice.choice([1, 1000, 100_000])).astype(array.dtype)
            elif sort == 5:
                settings[dice.choice(["preset", "fabric", "seed", "gaussians", "prior", "odd"])] = dice.choice(ODD[:8])
            elif sort == 6:
                meta = json.loads(str(shot["meta"][()]))
                meta[dice.choice(list(meta))] = dice.choice([v for v in ODD if not isinstance(v, bytes)][:12])
                shot["meta"] = np.array(json.dumps(meta))
            elif sort == 7:
                shot["meta"] = np.array(dice.choice(["", "[" * 5000, "{}", "null", "1e999", '{"name": 1e400}']))
            else:
                shot[name] = np.zeros((0, *array.shape[1:]), array.dtype) if array.ndim else array
            try:
                job = client.submit(shot, settings)
                taken += 1
                client.cancel(job)
                for event in client.follow(job):
                    last = event
                error = client.status(job).error
                if last.state == "failed" and error and error["code"] in ("job.failed", "job.crashed"):
                    unclear += 1
                    codes[error["message"][:120]] = codes.get(error["message"][:120], 0) + 1
            except Ani3DError as error:
                refused += 1
                if error.code == "engine.internal":
                    unclear += 1
                codes[error.code] = codes.get(error.code, 0) + 1
    print(codes, flush=True)
    return {"shots_damaged": count, "shots_refused": refused, "shots_taken": taken, "shots_unclear": unclear}


def decode_all(count: int, seed: int) -> int:
    """The codec alone, without a socket: anything but an `Ani3DError` is a crash; how many there were."""
    dice, crashes = random.Random(seed), 0
    for _ in range(count):
        frames = message(dice)
        try:
            codec.decode(codec.read_header(frames), frames[1:], m.REQUESTS | m.REPLIES)
        except Ani3DError:
            pass
        except Exception as error:
            crashes += 1
            print(f"the codec raises {type(error).__name__}: {error}", flush=True)
    return crashes
