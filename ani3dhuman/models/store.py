"""Where fetched models lie, whether they are whole, and whether they are what they should be.

A model is a folder ``ROOT/NAME`` in the hub's own layout. Beside the weights lies `models.lock.json`: the
commit they came from and the SHA-256 of every file. A folder copied from another machine takes it along.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError

from .find import find
from .registry import COMPACT, Model, known_models

ROOT_VARIABLE = "ANI3DHUMAN_MODELS"
LOCK = "models.lock.json"
PARTIAL = ".partial"  # suffix of a file that is still being fetched
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")  # formats that can run code when loaded
CHUNK = 1 << 22  # bytes hashed at once


def default_root() -> Path:
    """Folder of all models: ``ANI3DHUMAN_MODELS``, else the platform's folder for a user's data."""
    chosen = os.environ.get(ROOT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "ani3dhuman" / "models"


def folder_of(model: Model, root: Path | None = None) -> Path:
    """The model's folder, which need not exist."""
    if model.local is not None:
        return model.local
    if model.name == COMPACT:
        return Path(__file__).parent.parent / "assets" / "compact_prior"
    return (root or default_root()) / model.name


def local_path(name: str, root: Path | None = None) -> Path:
    """Folder of a model that is there and whole, in the layout that ``from_pretrained`` reads.

    Args:
        name: entry of the registry.
        root: folder of all models; None takes `default_root`.

    Raises:
        Ani3DError: ``models.unknown``, ``models.missing`` (names the files and the command that fetches
            them) or ``models.pickle``.
    """
    model = find(name)
    folder = folder_of(model, root)
    missing = missing_files(model, folder)
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        where = f" --root {root}" if root else ""
        hint = f"Fetch it with: ani3dhuman models fetch {name}{where}"
        if model.ships:
            hint = "Install the package again, with its data files."
        whole = "is not there" if not folder.is_dir() else "is incomplete"
        raise Ani3DError("models.missing", f"{name} {whole}: {folder} lacks {shown}.", hint)
    refuse_pickles(model, [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()])
    return folder


def installed_priors(root: Path | None = None) -> list[str]:
    """Names of the registry's priors that are there and whole."""
    known = [model for model in known_models().values() if model.kind == "prior"]
    return [model.name for model in known if state(model, root) == "installed"]


def state(model: Model, root: Path | None = None) -> str:
    """One word: installed, partial, damaged or no."""
    folder = folder_of(model, root)
    if not folder.is_dir():
        return "no"
    try:
        return "partial" if missing_files(model, folder) else "installed"
    except Ani3DError:  # the lock cannot be read; fetching and verifying say so
        return "damaged"


def missing_files(model: Model, folder: Path) -> list[str]:
    """What the folder lacks of the registry's files, of the lock's, and of those that its weight indices name."""
    wanted = {file.path for file in model.files} | set(read_lock(folder).get("files", {}))
    for index in folder.glob("*/*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            wanted.add(index.relative_to(folder).as_posix() + " (unreadable)")
            continue
        wanted |= {f"{index.parent.name}/{shard}" for shard in shards}
    return sorted(path for path in wanted if not (folder / path).is_file())


def refuse_pickles(model: Model, paths: list[str]) -> None:
    """Raise ``models.pickle`` where a component's weights exist as a pickle only: loading one can run any code."""
    safe = {path.rpartition("/")[0] for path in paths if path.endswith(".safetensors")}
    for path in paths:
        if path.endswith(PICKLES) and path.rpartition("/")[0] not in safe:
            raise Ani3DError(
                "models.pickle",
                f"{model.name} has {path}, a pickle, and no safetensors beside it.",
                "Pickles are never loaded, for they can run code; use weights saved as .safetensors.",
            )


def read_lock(folder: Path) -> dict[str, Any]:
    """The lock of a model's folder, or {} where there is none. Raises ``models.lock`` where it cannot be read."""
    path = folder / LOCK
    if not path.is_file():
        return {}
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        return {"revision": str(lock["revision"]), "files": {str(k): str(v) for k, v in lock["files"].items()}}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Ani3DError("models.lock", f"{path} cannot be read.", "Delete it and fetch the model again.") from error


def write_lock(folder: Path, revision: str, hashes: dict[str, str]) -> None:
    """Publish the commit and the hashes (hex SHA-256 by path) of a fetched folder."""
    text = json.dumps({"revision": revision, "files": dict(sorted(hashes.items()))}, indent=1)
    write_bytes(folder / LOCK, text.encode())


def sha256_of(path: Path, advance: Callable[[int], None] = lambda done: None) -> str:
    """Hex SHA-256 of a file; `advance` is told the bytes of each piece."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()


@dataclass(frozen=True)
class Verified:
    """What `verify` found: numbers of files by what their hash was held against, and the pinned commit or ""."""

    registry: int
    lock: int
    unknown: int
    revision: str

    def __str__(self) -> str:
        parts = [f"{self.registry} files as the registry says"] if self.registry else []
        parts += [f"{self.lock} as the lock says"] if self.lock else []
        parts += [f"{self.unknown} present, no hash known"] if self.unknown else []
        return ", ".join(parts) + (f"; commit {self.revision[:12]}" if self.revision else "; not pinned")


def verify(name: str, root: Path | None = None, advance: Callable[[int], None] = lambda done: None) -> Verified:
    """Hold every file of a model against the registry's hash, else the lock's.

    Raises:
        Ani3DError: as `local_path`, or ``models.wrong_hash`` naming the file.
    """
    model = find(name)
    folder = local_path(name, root)
    lock = read_lock(folder)
    pinned = {file.path: file.sha256 for file in model.files if file.sha256}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
    paths = sorted({file.path for file in model.files} | set(lock.get("files", {})) | present)
    counts = {"registry": 0, "lock": 0, "unknown": 0}
    for path in paths:
        wanted = pinned.get(path) or lock.get("files", {}).get(path, "")
        counts["registry" if path in pinned else "lock" if wanted else "unknown"] += 1
        found = sha256_of(folder / path, advance)
        if wanted and found != wanted:
            raise wrong_hash_error(name, folder / path, wanted, found)
    return Verified(**counts, revision=lock.get("revision", ""))


def wrong_hash_error(name: str, path: Path, wanted: str, found: str) -> Ani3DError:
    """The error for a file that is not what it should be."""
    return Ani3DError(
        "models.wrong_hash",
        f"{path} is damaged or another file: SHA-256 {found[:16]}.. instead of {wanted[:16]}..",
        f"Delete it and fetch it again: ani3dhuman models fetch {name}",
    )
