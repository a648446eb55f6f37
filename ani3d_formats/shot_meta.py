"""What a shot says in words and numbers beside its arrays: names, frame range, picture size, objects, materials."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from .errors import Ani3DError
from .names import is_file_name
from .regions import REGIONS
from .shot_scene import Collider, ForceField
from .typed import FILLED, POSITIVE, Refused, Rule, between, from_json, one_of

SCHEMA = "ani3dhuman.shot"
VERSION = 2
READ_VERSIONS = (1, VERSION)  # version 2 adds optional entries only
OBJECT_ROW = "object:"  # begins the names of rows of `bones` that are whole objects
_FRAME = between(-(1 << 20), 1 << 20)  # Blender's own limit
_MOST = 1 << 31
SKINNED, RECORDED = "skinned", "recorded"
STRAND = Rule(lambda points: points == 0 or 2 <= points <= _MOST, "0, or 2 and more")


@dataclass(frozen=True)
class ObjectRange:
    """One mesh object: its vertices are `vertex_start` .. `vertex_start + vertex_count - 1` of the shot's.

    Attributes:
        preserve_volume: its Armature modifier blends dual quaternions.
        motion: "skinned": the bones move it; "recorded": its vertices of every frame are in `recorded_vertices`.
        strands: points of each hair strand, 2 or more, where the object is hair stored as ribbons: vertex
            2*(s*strands + p) + side is the left (0) or right (1) edge of point p of strand s, root first, the ribbon's
            width is the strand's thickness, and each segment has two triangles. 0 for a mesh.
        fabric: of its cloth, a name of `ani3dhuman.cloth.fabrics`; "" leaves it to the job.
        fabric_changes: numbers of that fabric that are others here, by their names.
        layer: its place among garments, 1 next to the skin; 0 leaves it to the distance from the body.
        thickness: metres that its cloth keeps from what it meets; 0 for the fabric's.
    """

    name: Annotated[str, FILLED]
    vertex_start: Annotated[int, between(0, _MOST)]
    vertex_count: Annotated[int, between(1, _MOST)]
    preserve_volume: bool = False
    motion: Annotated[str, one_of(SKINNED, RECORDED)] = SKINNED
    strands: Annotated[int, STRAND] = 0
    fabric: str = ""
    fabric_changes: dict[str, Any] = field(default_factory=dict)
    layer: Annotated[int, between(0, 1000)] = 0
    thickness: Annotated[float, between(0, 1e6)] = 0.0

    @property
    def rows(self) -> slice:
        """The object's rows in arrays of the shot's vertices."""
        return slice(self.vertex_start, self.vertex_start + self.vertex_count)


@dataclass(frozen=True)
class Material:
    """A surface: `base_color` linear RGB, and the number of its texture, -1 for none; and what it mirrors.

    `roughness`, `metallic` and `specular` are Blender's: a surface of specular level .5 mirrors 4 % where it is faced.
    `gloss` is the number of a texture whose red, green and blue are the three, without sRGB encoding; -1 for none. A
    matte surface has the defaults. `toon_size` and `toon_smooth` are those of Blender's Toon shader, which scatters
    light that comes from around the normal alone, as much from everywhere there; of size 0 a surface is no toon.
    """

    name: str
    base_color: tuple[float, float, float]
    texture: Annotated[int, between(-1, _MOST)] = -1
    roughness: Annotated[float, between(0, 1)] = 1.0
    metallic: Annotated[float, between(0, 1)] = 0.0
    specular: Annotated[float, between(0, 12.5)] = 0.0
    gloss: Annotated[int, between(-1, _MOST)] = -1
    toon_size: Annotated[float, between(0, 1)] = 0.0
    toon_smooth: Annotated[float, between(0, 1)] = 0.0


@dataclass(frozen=True)
class Source:
    """What wrote the shot."""

    application: str = ""
    version: str = ""
    file: str = ""


@dataclass(frozen=True)
class ShotMeta:
    """The checked meta of a shot; docs/conventions.md describes the entries. `fps` is frames a second, sizes in pixels.

    Scene frames `frame_start` .. `frame_end`, both included. `name` can be the name of a file. `origin` is the place
    in the world, metres, that all places in the shot are relative to: world = place + origin. `character` is a hash of
    meshes, weights and materials, the same in all shots of a character; "" where nobody said it. `colliders` and
    `forces` are the scene's, whose arrays are in `shot_scene`.
    """

    name: Annotated[str, Rule(is_file_name, "a name that a file can have everywhere")]
    fps: Annotated[float, POSITIVE, between(0, 100_000)]
    frame_start: Annotated[int, _FRAME]
    frame_end: Annotated[int, _FRAME]
    width: Annotated[int, between(1, 65536)]
    height: Annotated[int, between(1, 65536)]
    objects: Annotated[tuple[ObjectRange, ...], FILLED]
    bones: Annotated[tuple[str, ...], FILLED]
    materials: tuple[Material, ...]
    camera_type: Annotated[str, one_of("perspective", "orthographic")] = "perspective"
    regions: Annotated[tuple[str, ...], one_of(REGIONS)] = REGIONS
    source: Source = Source()
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    character: str = ""
    colliders: tuple[Collider, ...] = ()
    forces: tuple[ForceField, ...] = ()

    def scaled(self, factor: float) -> ShotMeta:
        """The same of a scene that is `factor` times as large."""
        objects = tuple(replace(item, thickness=item.thickness * factor) for item in self.objects)
        colliders = tuple(replace(item, thickness=item.thickness * factor) for item in self.colliders)
        x, y, z = self.origin
        origin = (factor * x, factor * y, factor * z)
        return replace(self, origin=origin, objects=objects, colliders=colliders)

    @property
    def frames(self) -> int:
        return self.frame_end - self.frame_start + 1

    @property
    def skeleton(self) -> tuple[int, ...]:
        """The rows of `bones` that are bones; the others are objects that move as a whole."""
        return tuple(row for row, name in enumerate(self.bones) if not name.startswith(OBJECT_ROW))

    @classmethod
    def read(cls, data: Any) -> ShotMeta:
        """The meta from a map as JSON has it.

        Raises:
            Ani3DError: ``shot.schema``, ``shot.version``, ``shot.no_frames``; ``shot.bad_meta`` for any entry that is
                missing, unknown or wrong, with the entry's place, such as ``meta.objects[2].vertex_count``.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise bad("schema", f"This is not a shot: schema is {data!r:.80}.", f"Expected schema '{SCHEMA}'.")
        if data.get("version") not in READ_VERSIONS:
            raise bad(
                "version",
                f"The shot has version {data.get('version')!r:.80}, this program reads version {VERSION}.",
                "Use the add-on and the engine of the same release.",
            )
        try:
            meta = from_json(cls, {k: v for k, v in data.items() if k not in ("schema", "version")}, "meta")
        except Refused as refusal:
            raise bad("bad_meta", f"In the shot, {refusal}.") from refusal
        if meta.frames < 1:
            raise bad(
                "no_frames",
                f"meta.frame_end: the frame range {meta.frame_start}..{meta.frame_end} holds no frame.",
                "Set the end frame after the start frame.",
            )
        start, names = 0, set()
        for number, item in enumerate(meta.objects):
            if item.vertex_start != start:
                what = f"{item.vertex_start}; expected {start}, where the object before it ends"
                raise bad("bad_meta", f"In the shot, meta.objects[{number}].vertex_start is {what}.")
            if item.name in names:
                raise bad("bad_meta", f"In the shot, meta.objects[{number}].name {item.name!r} comes twice.")
            if item.strands and item.vertex_count % (2 * item.strands):
                what = f"{item.vertex_count}; expected a multiple of {2 * item.strands}, for strands of {item.strands}"
                raise bad("bad_meta", f"In the shot, meta.objects[{number}].vertex_count is {what}.")
            for name, value in item.fabric_changes.items():
                if type(value) not in (int, float) or not abs(value) < 1e30:
                    what = (
                        f"meta.objects[{number}].fabric_changes.{name:.40} is {value!r:.40}; expected a finite number"
                    )
                    raise bad("bad_meta", f"In the shot, {what}.")
            start += item.vertex_count
            names.add(item.name)
        return meta

    @classmethod
    def parse(cls, array: np.ndarray) -> ShotMeta:
        """The meta from the text array of a shot. Raises `Ani3DError` ``shot.no_meta``, or as `read` does."""
        try:
            return cls.read(json.loads(str(np.asarray(array)[()])))
        except (ValueError, IndexError, RecursionError) as error:
            raise bad("no_meta", "The shot has no readable 'meta' entry.") from error

    def to_array(self) -> np.ndarray:
        """The text array that `parse` reads."""
        return np.array(json.dumps({"schema": SCHEMA, "version": VERSION, **asdict(self)}))


def bad(code: str, message: str, hint: str = "Export the shot again.") -> Ani3DError:
    """The error ``shot.CODE``."""
    return Ani3DError(f"shot.{code}", message, hint)
