"""Who may talk to the engine: whoever shows its token, or, where CURVE keys are given, a key of the allow-list.

ZeroMQ asks the gate (its ZAP protocol) while a connection is made. Whoever is refused never gets to send a message, and
learns nothing, not even the version.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.utils.z85

from ani3d_formats.errors import Ani3DError

from .private_files import write_private
from .wire.credentials import PLAIN_USER, TOKEN_VARIABLE, Access

log = logging.getLogger("engine")

_ZAP = "inproc://zeromq.zap.01"
_DOMAIN = b"ani3dhuman"
SERVER_KEY = "server.json"  # in a folder of keys; the allowed clients are CLIENTS/NAME.pub
CLIENTS = "clients"


@dataclass(frozen=True)
class Keys:
    """The CURVE keys of an engine: its own pair (Z85 text), and the folder of the public keys it lets in."""

    public: str
    secret: str
    clients: Path

    @classmethod
    def load(cls, folder: Path) -> Keys:
        """Raises Ani3DError `engine.keys` where `folder` holds none."""
        try:
            pair = json.loads((folder / SERVER_KEY).read_text(encoding="utf-8"))
            return cls(str(pair["public_key"]), str(pair["secret_key"]), folder / CLIENTS)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise Ani3DError(
                "engine.keys",
                f"{folder} holds no keys of an engine ({type(error).__name__}).",
                f"Make them with `ani3dhuman-engine keys {folder} NAME`, once for every client.",
            ) from error

    def allows(self, key: bytes) -> bool:
        """Whether the folder has this public key; it is read each time, so that a removed key loses its right."""
        found = False
        for path in self.clients.glob("*.pub"):
            try:
                found |= hmac.compare_digest(path.read_bytes().strip(), key)
            except OSError:
                log.warning("%s cannot be read", path)
        return found


def add_client(folder: Path, name: str, endpoint: str) -> Path:
    """Let a client in: makes the engine's keys where there are none, and `folder`/NAME.json, to be given to the client.

    Raises:
        Ani3DError: `engine.keys` for a name that is no file name or is taken.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise Ani3DError("engine.keys", f"'{name}' is no name for a client.", "Use letters, digits, - and _.")
    if (folder / CLIENTS / f"{name}.pub").exists():
        raise Ani3DError("engine.keys", f"There is a client '{name}' in {folder}.", "Remove it first, or name another.")
    if not (folder / SERVER_KEY).exists():
        public, secret = (part.decode() for part in zmq.curve_keypair())
        write_private(folder / SERVER_KEY, json.dumps({"public_key": public, "secret_key": secret}).encode())
    keys = Keys.load(folder)
    public, secret = (part.decode() for part in zmq.curve_keypair())
    write_private(folder / CLIENTS / f"{name}.pub", public.encode())
    access = Access(endpoint, server_key=keys.public, public_key=public, secret_key=secret)
    write_private(folder / f"{name}.json", json.dumps(access.to_dict()).encode())
    return folder / f"{name}.json"


class Gate:
    """Answers who may enter, on a thread of its own, so that a busy engine still refuses at once.

    Args:
        keys: CURVE keys; without them the token decides.
        token: 256 bits as text; a new one unless given.

    Raises:
        Ani3DError: `engine.config` for a token that could be guessed, or that a client could not show.
    """

    def __init__(self, keys: Keys | None = None, token: str | None = None) -> None:
        self.keys = keys
        if token and not re.fullmatch(r"[!-~]{20,200}", token):
            said = f"{TOKEN_VARIABLE} is no token: it needs 20 to 200 letters, digits or signs, without spaces."
            raise Ani3DError("engine.config", said, "Leave it empty: the engine makes one and writes it down.")
        self._token = "" if keys else token or secrets.token_urlsafe(32)
        self._own = tuple(part.decode() for part in zmq.curve_keypair()) if keys else ("", "")

    def access(self, endpoint: str) -> Access:
        """What the engine's owner needs to talk to it at `endpoint`."""
        server_key = self.keys.public if self.keys else ""
        return Access(endpoint, self._token, server_key, *self._own)

    def guard(self, context: zmq.Context, socket: zmq.Socket) -> None:
        """Let only those in who may; before the socket is bound. Ends with the context."""
        answers = context.socket(zmq.REP)
        answers.setsockopt(zmq.LINGER, 0)
        answers.bind(_ZAP)
        threading.Thread(target=self._answer, args=(answers,), daemon=True).start()
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        if self.keys:
            socket.curve_server = True
            socket.curve_secretkey = self.keys.secret.encode()
        else:
            socket.plain_server = True

    def _answer(self, answers: zmq.Socket) -> None:
        try:
            while True:
                version, request, _domain, _address, _identity, *credentials = answers.recv_multipart()
                status = b"200" if self._lets_in(credentials) else b"400"
                answers.send_multipart([version, request, status, b"", b"", b""])
        except zmq.ZMQError:  # the context ends
            answers.close()

    def _lets_in(self, credentials: list[bytes]) -> bool:
        try:
            match credentials:
                case [b"PLAIN", user, token] if self.keys is None:
                    return hmac.compare_digest(token, self._token.encode()) and user == PLAIN_USER
                case [b"CURVE", key] if self.keys is not None:
                    text = zmq.utils.z85.encode(key)
                    return hmac.compare_digest(text, self._own[0].encode()) or self.keys.allows(text)
        except Exception:  # whatever was shown, the gate goes on answering
            log.exception("what a client showed cannot be read")
        return False
