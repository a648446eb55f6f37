"""The engine's socket: one ROUTER behind a gate, and a bound on what waits for clients that read slowly.

A client that does not read fills its pipe of `PIPE` answers. From then on its requests wait, not their answers: what it
costs is a few requests, whatever it asked for. It may leave at any time.
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
_FRAME = 2  # bytes at least that a frame has on the wire beside its content
_BLOCKED_POLL = 1  # milliseconds between tries while a client's pipe is full

Reply = Callable[[], m.Message | None]  # makes an answer; None when it comes later


@dataclass
class _Slow:
    """A client whose pipe is full: the answer that did not fit, and what it has asked for since."""

    frames: list[codec.Part]
    waiting: deque[tuple[int, Reply, int]] = field(default_factory=deque)  # request, answer to make, bytes of request
    held: int = 0  # bytes of the requests that wait


class Front:
    """Where requests come in and answers go out.

    Args:
        gate: who may talk to the engine.
        host, port: where to listen; port 0 takes any free one. Beyond loopback only behind CURVE keys.

    Raises:
        Ani3DError: `engine.address`.
    """

    def __init__(self, gate: Gate, host: str, port: int) -> None:
        self._context = zmq.Context()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, m.MAX_ARRAY_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, PIPE)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)  # milliseconds until a peer has to have shown its token
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)  # a peer that vanished is forgotten
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        self._slow: dict[bytes, _Slow] = {}
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
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        ready = dict(poller.poll(min(milliseconds, _BLOCKED_POLL) if self._slow else milliseconds))
        if self._woken.fileno() in ready:
            with suppress(BlockingIOError):
                self._woken.recv(1 << 16)
        return self._socket in ready

    def receive(self) -> tuple[bytes, list[memoryview]] | None:
        """The next message's sender and frames, or None."""
        try:
            client, *frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        if frames:
            size = sum(len(frame.buffer) + _FRAME for frame in frames)
            self._guard.handed_over(int(frames[0].get(zmq.SRCFD)), size)
        return client.bytes, [frame.buffer for frame in frames]

    def answer(self, client: bytes, request: int, reply: Reply, size: int = 0) -> None:
        """Answer now, or, where the client has not read earlier answers, when it has.

        Args:
            reply: makes the answer, and raises nothing.
            size: bytes of the request, which are held meanwhile.
        """
        slow = self._slow.get(client)
        if slow is None:
            self._send(client, request, reply())
        elif len(slow.waiting) < m.MAX_OPEN and slow.held + size <= m.MAX_OPEN_BYTES:
            slow.waiting.append((request, reply, size))
            slow.held += size
        else:
            log.warning("a client that reads no answers asks too much: a request is dropped")

    def go_on(self) -> None:
        """Send what clients have room for now."""
        for client, slow in list(self._slow.items()):
            if self._pass_on(client, slow.frames):
                del self._slow[client]
                while slow.waiting and client not in self._slow:
                    request, reply, _size = slow.waiting.popleft()
                    self._send(client, request, reply())
                if client in self._slow:
                    self._slow[client].waiting = slow.waiting
                    self._slow[client].held = sum(size for _, _, size in slow.waiting)

    def _send(self, client: bytes, request: int, reply: m.Message | None) -> None:
        if reply is None:
            return
        try:
            frames = codec.encode(reply, request)
        except Ani3DError as error:  # an answer that is too large to travel
            frames = codec.encode(m.Error(error.code, error.message, error.hint), request)
        if not self._pass_on(client, frames):
            self._slow[client] = _Slow(frames)

    def _pass_on(self, client: bytes, frames: list[codec.Part]) -> bool:
        """Hand an answer to ZeroMQ; False when the client's pipe is full. For a client that left it is dropped."""
        try:
            self._socket.send_multipart([client, *frames], zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            slow = self._slow.get(client)
            if slow:
                slow.waiting.clear()
        return True
