"""Hangs up on connections that fill memory with a message that never ends.

ZeroMQ limits a frame, not the frames of a message, and hands a message over when it is whole. The guard compares what
the kernel has received on each connection with what came out as messages. On Linux; elsewhere only the limit of a frame
holds. Connections of another user of this machine, who cannot have the token, may send a greeting and no more.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from .wire.messages import MAX_MESSAGE_BYTES

log = logging.getLogger("engine")

GREETING = 1 << 16  # bytes of another user's connection that has not handed over a message
SLACK = 64 << 20  # bytes beyond the largest message
OVERHEAD = 256 << 20  # bytes of memory beyond twice what was received: tiny frames cost many times their size
_WORTH = 1 << 20  # bytes below which a connection is not looked at further
_INTERVAL, _BUSY_INTERVAL = 200, 20  # milliseconds between looks; while a message is not whole
_BUFFERED = 1 << 28  # bytes, more than the kernel keeps of one connection; the buffer for them is not touched
_PATIENCE = 2.0  # seconds for memory to come back, before the next connection is blamed for it
_TCP_INFO, _BYTES_RECEIVED = 11, slice(128, 136)  # of Linux's struct tcp_info
_RESET = struct.pack("ii", 1, 0)  # when ZeroMQ closes it, or a sender that waits for room hears nothing for 102 s
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED


@dataclass
class _Peer:
    address: Any
    foreign: bool  # of another user of this machine
    handed_over: int = 0


class Guard:
    """Watches the connections of one socket, on a thread of its own that ends with the context."""

    def __init__(self, watched: zmq.Socket) -> None:
        self._peers: dict[int, _Peer] = {}  # by file descriptor
        self._baseline = 0
        self._blame_at = 0.0
        if sys.platform == "linux":
            monitor = watched.get_monitor_socket(_EVENTS)
            threading.Thread(target=self._watch, args=(monitor,), daemon=True).start()

    def handed_over(self, descriptor: int, size: int) -> None:
        """Note that a message of `size` bytes came out of the connection."""
        peer = self._peers.get(descriptor)
        if peer is not None:
            peer.handed_over += size

    def _watch(self, monitor: zmq.Socket) -> None:
        interval = _INTERVAL
        try:
            while True:
                if monitor.poll(interval):
                    self._note(recv_monitor_message(monitor))
                    continue
                with suppress(OSError):  # no descriptor is free: at the next look
                    interval = _BUSY_INTERVAL if self._look() else _INTERVAL
        except (zmq.ZMQError, zmq.error.ContextTerminated):
            monitor.close(linger=0)

    def _note(self, event: Mapping[str, Any]) -> None:
        descriptor = event["value"]
        if event["event"] == zmq.EVENT_ACCEPTED:
            address = _asked(descriptor, lambda connection: connection.getpeername())
            if address:
                self._peers[descriptor] = _Peer(address, _owner(address) not in (None, 0, os.getuid()))
        else:
            self._peers.pop(descriptor, None)

    def _look(self) -> bool:
        """Hang up where it must be; whether more has come than messages that came out."""
        pending = {}
        for descriptor, peer in list(self._peers.items()):
            received = _asked(descriptor, _received)
            if received is None:
                continue
            pending[descriptor] = received - peer.handed_over
            if peer.foreign and not peer.handed_over and received > GREETING:
                self._hang_up(descriptor, "it is another user's, and sends more than a greeting")
            elif pending[descriptor] > MAX_MESSAGE_BYTES + SLACK:
                self._hang_up(descriptor, "its message is larger than any may be")
        total = sum(pending.values())
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        if total < _WORTH * max(len(pending), 1):
            self._baseline = memory
            return False
        largest = max(pending, key=pending.__getitem__)
        full = memory - self._baseline > 2 * total + OVERHEAD and pending[largest] > _WORTH
        if full and time.monotonic() >= self._blame_at:
            self._blame_at = time.monotonic() + _PATIENCE
            self._hang_up(largest, "its message of tiny frames fills the memory")
        return True

    def _hang_up(self, descriptor: int, why: str) -> None:
        peer = self._peers.pop(descriptor, None)

        def end(connection: socket.socket) -> None:
            if peer is not None and connection.getpeername() == peer.address:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.shutdown(socket.SHUT_RDWR)
                log.warning("hung up on %s: %s", peer.address, why)
                # What the kernel holds, up to 32 MB of it, would still be read, at many times its size in memory
                connection.recv(_BUFFERED, socket.MSG_DONTWAIT | socket.MSG_TRUNC)

        _asked(descriptor, end)


def _asked(descriptor: int, question: Any) -> Any:
    """What `question(socket)` says of a connection, None where it is gone; ZeroMQ keeps the descriptor."""
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return question(connection)
    except OSError:
        return None
    finally:
        connection.detach()


def _owner(address: tuple[str, int]) -> int | None:
    """The user id of the socket at the other end, where that is on this machine."""
    try:
        host, port = address
        place = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            entries = line.split()
            if entries[1] == place:
                return int(entries[7])
    except (OSError, ValueError, IndexError):
        pass
    return None


def _received(connection: socket.socket) -> int | None:
    info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)[_BYTES_RECEIVED]
    return int.from_bytes(info, sys.byteorder) if len(info) == 8 else None
