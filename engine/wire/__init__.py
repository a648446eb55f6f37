"""What both ends of the wire share: messages, their encoding, and a client. See docs/protocol.md.

Imports numpy, pyzmq, msgpack and the standard library only, since Blender's Python loads it.
"""

from .aio import AsyncClient
from .client import DEFAULT_ENDPOINT, Client
from .errors import ERROR_CODES
from .messages import PROTOCOL_VERSION, Event, FileInfo, JobStatus, Welcome

__all__ = [
    "DEFAULT_ENDPOINT",
    "ERROR_CODES",
    "PROTOCOL_VERSION",
    "AsyncClient",
    "Client",
    "Event",
    "FileInfo",
    "JobStatus",
    "Welcome",
]
