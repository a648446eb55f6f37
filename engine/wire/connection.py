"""One DEALER socket that knows whether its peer is there, and so fails at once instead of waiting.

ZeroMQ by itself reconnects for ever and in silence, and keeps requests for an engine that may come one day. Here
the socket's monitor tells when the peer refuses or leaves; the socket is then dropped with all it holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

from ani3d_formats.errors import Ani3DError

from .credentials import PLAIN_USER, TOKEN_VARIABLE, Access, find_access
from .messages import MAX_MESSAGE_BYTES

# A refused connection shows as CLOSED, a peer that is no ZeroMQ or hangs up early as a failed handshake.
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_WELCOME = zmq.EVENT_HANDSHAKE_SUCCEEDED
_LOST = zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED | _REFUSED
# A context that is collected as garbage waits for its sockets, for ever where they are garbage too: these are not.
_OPEN: set[zmq.Context] = set()
_EVENTS, _READABLE = int(zmq.EVENTS), int(zmq.POLLIN)
_LAST_WORDS = 50  # milliseconds for an answer that was under way when the peer left


class Connection:
    """Frames to and from one engine; opened by the first `send`, and again by the next one after a loss.

    Args:
        where, token: as `find_access` takes them, at every opening: an engine that started again has a new token.
    """

    def __init__(self, where: str, token: str | None = None) -> None:
        self.endpoint = where
        self.access = Access(where)  # as it was opened last
        self._where = where
        self._token = token
        self._welcome = self._refused = False
        self._context = zmq.Context()
        _OPEN.add(self._context)
        self._socket: zmq.Socket | None = None
        self._monitor: zmq.Socket | None = None
        self._poller = zmq.Poller()  # of both

    def close(self) -> None:
        """Drop the connection for good."""
        self._drop()
        self._context.term()
        _OPEN.discard(self._context)

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Hand the frames to the socket, without a copy. Raises Ani3DError `engine.unreachable`."""
        if self._socket is not None and self._lost():
            self._drop()
        if self._socket is None:
            self._open()
        assert self._socket is not None
        self._socket.send_multipart(frames, copy=False)

    def receive(self, seconds: float) -> list[memoryview] | None:
        """The next message's frames, or None when none came within `seconds`.

        Raises:
            Ani3DError: `engine.unreachable` as soon as the peer is gone.
        """
        if self._socket is None or self._monitor is None:
            raise self._unreachable_error()
        deadline = time.monotonic() + seconds
        while ready := dict(self._poller.poll(max(0, int((deadline - time.monotonic()) * 1000)))):
            gone = self._socket not in ready and self._lost()
            if self._socket in ready or (gone and self._socket.poll(_LAST_WORDS)):
                return [frame.buffer for frame in self._socket.recv_multipart(copy=False)]
            if gone:
                self._drop()
                raise self._unreachable_error()
        return None

    def _open(self) -> None:
        access = self.access = find_access(self._where, self._token)
        self.endpoint, self._welcome, self._refused = access.endpoint, False, False
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._monitor = self._socket.get_monitor_socket(_LOST | _WELCOME)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            if access.server_key:
                self._socket.curve_serverkey = access.server_key.encode()
                self._socket.curve_publickey = access.public_key.encode()
                self._socket.curve_secretkey = access.secret_key.encode()
            elif access.token:
                self._socket.plain_username = PLAIN_USER
                self._socket.plain_password = access.token.encode()
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self._drop()
            raise self._unreachable_error(f" ({error.strerror})") from None

    def _lost(self) -> bool:
        """Whether the monitor has reported a loss since the last call."""
        assert self._monitor is not None
        lost = False
        while int(self._monitor.getsockopt(_EVENTS)) & _READABLE:
            event = recv_monitor_message(self._monitor)["event"]
            if event == _WELCOME:
                self._welcome = True
                continue
            # A peer that hangs up before it has shaken hands refuses, whichever event tells of it first.
            self._refused |= bool(event & (_REFUSED | zmq.EVENT_DISCONNECTED)) and not self._welcome
            lost = True
        return lost

    def _drop(self) -> None:
        if self._monitor is not None and self._socket is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
        if self._socket is not None:
            self._socket.close()
        self._socket = self._monitor = None

    def _unreachable_error(self, detail: str = "") -> Ani3DError:
        if self._refused:
            return Ani3DError(
                "engine.refused",
                f"What listens at {self.endpoint} does not let this client in.",
                f"Give the token that the engine wrote into its ready file ({TOKEN_VARIABLE}), or that file itself "
                "as the endpoint.",
            )
        return Ani3DError(
            "engine.unreachable",
            f"No engine at {self.endpoint}{detail}.",
            "Start it with `ani3dhuman-engine`, or check the endpoint in the preferences.",
        )
