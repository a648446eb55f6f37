"""How to reach an engine, and what it asks for: found in the files that it writes for its owner.

A running engine leaves the same JSON in its store (`engine.json`), in the user's folder of running engines, and where
`--ready-file` says, readable for the owner alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError

TOKEN_VARIABLE = "ANI3D_ENGINE_TOKEN"
READY_NAME = "engine.json"
PLAIN_USER = b"ani3dhuman"


@dataclass(frozen=True)
class Access:
    """An engine's endpoint with its token, or with CURVE keys: its public one, and the client's pair (Z85 text)."""

    endpoint: str
    token: str = ""
    server_key: str = ""
    public_key: str = ""
    secret_key: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is empty is left out."""
        return {name: value for name, value in asdict(self).items() if value}


def default_store() -> Path:
    """The store of an engine that is given none."""
    return Path.home() / ".cache" / "ani3dhuman" / "engine"


def running_file(endpoint: str) -> Path:
    """Where this user's engine at `endpoint` leaves its access."""
    name = "".join(c if c.isalnum() or c in ".-" else "_" for c in endpoint.removeprefix("tcp://"))
    return Path.home() / ".cache" / "ani3dhuman" / "engines" / f"{name[:100]}.json"


def read_access(path: Path) -> Access | None:
    """The access that a file gives, or None where it gives none, or where its engine on this machine is gone."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if "//127." in values["endpoint"] and not _is_ours(values.get("pid")):
            return None
        known = {name: str(values[name]) for name in Access.__dataclass_fields__ if name in values}
        return Access(**known)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def is_folder_of(folder: Path, access: Access) -> bool:
    """Whether `folder` lies in the store of the engine that `access` opens, on this machine and for this user alone.

    A peer may name any folder: one at the end of a tunnel names its own machine's.
    """
    left = read_access(folder.parent / READY_NAME)
    if left is None or not access.token + access.server_key:
        return False
    if (left.token, left.server_key) != (access.token, access.server_key):
        return False
    try:
        found = folder.stat()
    except OSError:
        return False
    return os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o077)


def _is_ours(pid: Any) -> bool:
    """Whether the process runs and is of this user: what a killed engine leaves names a port that others may take."""
    if os.name == "nt" or type(pid) is not int:
        return True
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def find_access(where: str, token: str | None = None) -> Access:
    """How to reach the engine that `where` names.

    Args:
        where: "tcp://HOST:PORT", or the path of an engine's store or of a file with its access.
        token: of an endpoint; else that of the environment (`TOKEN_VARIABLE`), else what the engine left for its owner.

    Raises:
        Ani3DError: `engine.unreachable` for a path at which no engine is named.
    """
    path = Path(where)
    if "://" not in where and path.exists():
        access = read_access(path / READY_NAME if path.is_dir() else path)
        if access is None:
            raise Ani3DError(
                "engine.unreachable", f"{path} names no running engine.", "Start one, or give the file that it wrote."
            )
        return access
    token = token or os.environ.get(TOKEN_VARIABLE)
    found = None if token else read_access(running_file(where))
    return found if found and found.endpoint == where else Access(where, token or "")
