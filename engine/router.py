"""The engine's socket: one ROUTER behind a gate, and a bound on what waits for clients that read slowly.

At most `PIPE` answers to a client are being made at a time, and as many wait in its pipe; of large ones it has `CREDIT`
bytes under way, or one short answer while others have more than `BUDGET`. From then on its requests wait, not their
answers: what it costs is a few requests, whatever it asked for. It may leave at any time.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import zmq

from ani3d_formats.errors import Ani3DError

from .authentication import Gate
from .flood_guard import Guard
from .wire import codec
from .wire import messages as m

log = logging.getLogger("engine")

PIPE = 8  # answers under way to one client
CREDIT = m.FETCH_WINDOW * m.MAX_CHUNK_BYTES  # bytes of large answers under way to one client
BUDGET = 8 << 20  # ... to all others, beyond which a client has one answer at a time, and a short one
SHARE = 256 << 10  # bytes of that
_FRAME = 2  # bytes at least that a frame has on the wire beside its content
_EVENTS, _READABLE, _NOBLOCK = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.NOBLOCK)  # enumerations count slowly
_BLOCKED_POLL = 1, 32  # milliseconds between tries while a client has no room: at first, and when nothing changes

Answer = Callable[[bytes, list[codec.Part]], None]  # answers a client's message, or begins to; raises nothing


@dataclass
class _Line:
    """A client that has much under way: answers that did not fit its pipe, and what it has asked for since."""

    begun: int = 0  # requests whose answers are being made
    unsent: deque[list[codec.Part]] = field(default_factory=deque)
    waiting: deque[bytes | list[bytes]] = field(default_factory=deque)  # its messages; the frame alone where it is one
    flying: deque[tuple[zmq.MessageTracker, int]] = field(default_factory=deque)  # large answers ZeroMQ has, with sizes
    size: int = 0  # bytes of large answers that are made, unsent or flying
    held: int = 0  # bytes of the requests that wait
    dropped: int = 0

    def land(self) -> int:
        """Forget the large answers that have left; their bytes."""
        landed = 0
        while self.flying and self.flying[0][0].done:
            landed += self.flying.popleft()[1]
        self.size -= landed
        return landed

    @property
    def is_over(self) -> bool:
        return not (self.begun or self.unsent or self.waiting or self.flying)


class Front:
    """Where requests come in and answers go out.

    Args:
        gate: who may talk to the engine.
        host, port: where to listen; port 0 takes any free one. Beyond loopback only behind CURVE keys.
        answer: gets the messages that come.

    Raises:
        Ani3DError: `engine.address`.
    """

    def __init__(self, gate: Gate, host: str, port: int, answer: Answer) -> None:
        self._answer = answer
        self._context = zmq.Context()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, m.MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, PIPE)
        self._socket.setsockopt(zmq.RCVHWM, 2 * PIPE)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)  # milliseconds until a peer has to have shown its token
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)  # a peer that vanished is forgotten
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._woken, zmq.POLLIN)
        self._lines: dict[bytes, _Line] = {}
        self._size = 0  # of all lines
        self._pause = _BLOCKED_POLL[0]
        try:
            self._bind(gate, host, port)
        except Ani3DError:
            self.close()
            raise
        self.access = gate.access(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def _bind(self, gate: Gate, host: str, port: int) -> None:
        try:
            address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        except ValueError:
            address = None
        if address is None or not (address.version == 4 and (address.is_loopback or gate.keys)):
            raise Ani3DError(
                "engine.address",
                f"The engine does not listen at '{host}': anyone on the network could try to use it.",
                "Use 127.0.0.1 and an SSH tunnel, or an IPv4 address with --keys FOLDER, where the keys of those who "
                "may use it lie.",
            )
        gate.guard(self._context, self._socket)
        self._guard = Guard(self._socket)
        try:
            self._socket.bind(f"tcp://{address}:{port or '*'}")
        except zmq.ZMQError as error:
            raise Ani3DError(
                "engine.address",
                f"The engine cannot listen at {host}:{port} ({error.strerror}).",
                "Another engine may run there: connect to it, or give --port 0 to take a free port.",
            ) from None

    def close(self) -> None:
        """Stop listening; answers under way have half a second."""
        self._socket.close(linger=500)
        self._context.term()
        self._woken.close()
        self._waker.close()

    def wake(self) -> None:
        """End a `poll` that waits. The one thing here that any thread may call, at any time."""
        with suppress(OSError):  # it is full of wakes already, or closed
            self._waker.send(b"!")

    def poll(self, milliseconds: int) -> bool:
        """Whether a message is there, after at most so long, or as soon as `wake` was called."""
        blocked = any(line.unsent or line.waiting for line in self._lines.values())
        ready = dict(self._poller.poll(min(milliseconds, self._pause) if blocked else milliseconds))
        if self._woken.fileno() in ready:
            with suppress(BlockingIOError):
                self._woken.recv(1 << 16)
        return self._socket in ready

    def receive(self) -> tuple[bytes, list[memoryview]] | None:
        """The next message's sender and frames, or None."""
        if not int(self._socket.getsockopt(_EVENTS)) & _READABLE:  # an exception would cost as much as a message
            return None
        client, *frames = self._socket.recv_multipart(_NOBLOCK, copy=False)
        if frames:
            size = sum(len(frame.buffer) + _FRAME for frame in frames)
            self._guard.handed_over(int(frames[0].get(zmq.SRCFD)), size)
        return client.bytes, [frame.buffer for frame in frames]

    def take(self, client: bytes, frames: list[memoryview]) -> None:
        """Answer a message now, or, where the client has much under way or does not read, when there is room."""
        line = self._lines.get(client)
        if line is None or (self._is_free(line) and not line.waiting):
            self._answer(client, list(frames))
            return
        size = sum(frame.nbytes for frame in frames)
        if len(line.waiting) < m.MAX_OPEN and line.held + size <= m.MAX_OPEN_BYTES:
            whole = [bytes(frame) for frame in frames]  # a frame of ZeroMQ is ten times larger
            line.waiting.append(whole[0] if len(whole) == 1 else whole)
            line.held += size
        else:
            line.dropped += 1
            if line.dropped == 1:
                log.warning("a client that reads no answers asks too much: requests of it are dropped")

    def _is_free(self, line: _Line) -> bool:
        """Whether another request may be answered."""
        if line.unsent or line.begun >= PIPE:
            return False
        return not line.size or (line.size < CREDIT and self._size - line.size < BUDGET)

    def share(self, client: bytes, size: int) -> int:
        """How many of `size` bytes may be made for the client now."""
        line = self._lines.get(client)
        others = self._size - (line.size if line else 0)
        return size if others < BUDGET else min(size, SHARE)

    def begin(self, client: bytes, size: int = 0) -> None:
        """An answer of `size` bytes of data to the client is being made elsewhere."""
        line = self._lines.setdefault(client, _Line())
        line.begun += 1
        line.size += size
        self._size += size

    def end(self, client: bytes, size: int = 0) -> None:
        """It is made, and about to be sent."""
        line = self._lines[client]
        line.begun -= 1
        line.size -= size
        self._size -= size

    def go_on(self) -> None:
        """Send what clients have room for now, and answer what has waited for that."""
        moved = False
        for client, line in list(self._lines.items()):
            landed = line.land()
            self._size -= landed
            moved |= landed > 0
            while line.unsent and self._pass_on(client, line.unsent[0]):
                line.unsent.popleft()
                moved = True
            while line.waiting and self._is_free(line):
                kept = line.waiting.popleft()
                frames = [kept] if isinstance(kept, bytes) else kept
                line.held -= sum(len(frame) for frame in frames)
                self._answer(client, list(frames))
                moved = True
            if line.is_over:
                del self._lines[client]
        self._pause = _BLOCKED_POLL[0] if moved else min(2 * self._pause, _BLOCKED_POLL[1])

    def send(self, client: bytes, reply: m.Message, request: int) -> None:
        """Answer a request; the answer waits where the client's pipe is full."""
        try:
            frames = codec.encode(reply, request)
        except Ani3DError as error:  # an answer that is too large to travel
            frames = codec.encode(m.Error(error.code, error.message, error.hint), request)
        line = self._lines.get(client)
        if (line and line.unsent) or not self._pass_on(client, frames):
            self._lines.setdefault(client, _Line()).unsent.append(frames)

    def _pass_on(self, client: bytes, frames: list[codec.Part]) -> bool:
        """Hand an answer to ZeroMQ; False when the client's pipe is full. For a client that left it is dropped."""
        size = sum(memoryview(frame).nbytes for frame in frames[1:])
        large = size >= zmq.COPY_THRESHOLD  # ZeroMQ copies what is smaller
        try:
            sent = self._socket.send_multipart([client, *frames], _NOBLOCK, copy=False, track=large)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            line = self._lines.get(client)
            if line:
                line.waiting.clear()
                line.held = 0
            return True
        if sent is not None:
            line = self._lines.setdefault(client, _Line())
            line.flying.append((sent, size))
            line.size += size
            self._size += size
        return True
