"""The manifest of a frame cache: what is in the folder, in which order, and how to know it is whole.

``manifest.json`` is small, readable and strict: a reader that meets something it does not know says so
instead of guessing, because a wrong guess would play as a broken character.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from .errors import Ani3DError
from .names import is_component
from .typed import FILLED, POSITIVE, Refused, Rule, between, from_json, one_of

SCHEMA = "ani3dhuman.cache"
VERSION = 1
MANIFEST = "manifest.json"
DTYPE, HALF = "<f4", "<f2"
# a cache may come from elsewhere: a name with a folder in it could read files outside the cache
FILE = Rule(is_component, "the name of a file in the cache")
AGAIN = "Fetch, copy or make the result again."


@dataclass(frozen=True)
class Attribute:
    """One array: `shape` is (T,N,k), or (N,k) when `static`; `bytes` and `sha256` are of the whole file."""

    name: Annotated[str, FILLED]
    file: Annotated[str, FILE]
    dtype: Annotated[str, one_of(DTYPE, HALF)]
    shape: tuple[int, ...]
    static: bool
    bytes: int
    sha256: str


@dataclass(frozen=True)
class MeshFile:
    """One deformed mesh beside the Gaussians: the object's name in the scene and its PC2 file."""

    object: Annotated[str, FILLED]
    file: Annotated[str, FILE]
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything known about a cache without opening its arrays. Frames are scene frames, both ends included.

    `count`: Gaussians, 0 in a cache of meshes alone. Places in the cache are relative to `origin`, metres:
    world = place + origin.
    """

    fps: Annotated[float, POSITIVE]
    frame_start: int
    frame_end: int
    count: Annotated[int, between(0, 1 << 31)]
    attributes: tuple[Attribute, ...]
    meshes: tuple[MeshFile, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def frames(self) -> int:
        return self.frame_end - self.frame_start + 1

    @property
    def entries(self) -> tuple[Attribute | MeshFile, ...]:
        """All files of the cache but the manifest itself."""
        return (*self.attributes, *self.meshes)

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, "version": VERSION, **asdict(self)}, indent=2)


def malformed_error(where: Path, what: str) -> Ani3DError:
    """The error for a cache that contradicts itself."""
    return Ani3DError(
        "cache.malformed",
        f"The frame cache '{where}' is broken: {what}.",
        AGAIN,
    )


def parse(text: str, where: Path) -> Manifest:
    """Read and check a manifest; `where` is the cache folder, for messages.

    Raises `Ani3DError` ``cache.malformed`` for anything contradictory and ``cache.version`` for a schema
    this library does not write.
    """
    try:
        data = json.loads(text)
        schema, version = data.pop("schema"), data.pop("version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise malformed_error(where, f"{MANIFEST} cannot be read ({error})") from error
    if schema != SCHEMA or version != VERSION:
        raise Ani3DError(
            "cache.version",
            f"The cache '{where}' of schema {schema!r} has version {version!r}, this program reads version {VERSION}.",
            "Use the add-on and the engine of the same release.",
        )
    try:
        manifest = from_json(Manifest, data, "manifest")
    except Refused as refusal:
        raise malformed_error(where, str(refusal)) from refusal
    _check(manifest, where)
    return manifest


def _check(manifest: Manifest, where: Path) -> None:
    if manifest.frames < 1:
        raise malformed_error(where, f"manifest.frame_end is {manifest.frame_end}, before manifest.frame_start")
    for attribute in manifest.attributes:
        lead = (manifest.count,) if attribute.static else (manifest.frames, manifest.count)
        if len(attribute.shape) != len(lead) + 1 or attribute.shape[: len(lead)] != lead:
            raise malformed_error(
                where, f"manifest.attributes: {attribute.name!r} has shape {attribute.shape}, expected {(*lead, 'k')}"
            )
    files = [item.file for item in manifest.entries]
    if len(set(files)) != len(files):
        raise malformed_error(where, "two entries share one file")
