"""The shot: everything the engine needs to know about a scene, and nothing estimated.

A shot is a flat dict of numpy arrays plus a JSON `meta` array, so that one definition serves the
`.npz` file on disk and the raw frames on the wire. docs/conventions.md describes every array.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .atomic import atomic_path, cannot_write
from .camera import CameraPath
from .color import linear_to_srgb
from .errors import Ani3DError
from .regions import REGIONS

SCHEMA = "ani3dhuman.shot"
VERSION = 1

# name -> (shape with symbolic sizes, kind); symbols must agree across arrays
_ARRAYS: dict[str, tuple[tuple[str | int, ...], str]] = {
    "vertices": (("V", 3), "f"),
    "faces": (("F", 3), "i"),
    "face_uvs": (("F", 3, 2), "f"),
    "face_materials": (("F",), "i"),
    "vertex_tints": (("V", 3), "f"),
    "weight_indices": (("V", "K"), "i"),
    "weight_values": (("V", "K"), "f"),
    "region_ids": (("V",), "i"),
    "bone_parents": (("B",), "i"),
    "bone_rest": (("B", 4, 4), "f"),
    "bone_lengths": (("B",), "f"),
    "bone_pose": (("T", "B", 4, 4), "f"),
    "viewmats": (("T", 4, 4), "f"),
    "Ks": (("T", 3, 3), "f"),
    "sun_directions": (("L", 3), "f"),
    "sun_colors": (("L", 3), "f"),
    "ambient": ((3,), "f"),
    "background": ((3,), "f"),
}
_OPTIONAL: dict[str, tuple[tuple[str | int, ...], str]] = {
    "pin_weights": (("V",), "f"),
    "evaluated_vertices": (("T", "V", 3), "f"),
}
_REQUIRED_META = (
    "name",
    "fps",
    "frame_start",
    "frame_end",
    "width",
    "height",
    "objects",
    "bones",
    "materials",
)


def _bad(code: str, message: str, hint: str) -> Ani3DError:
    return Ani3DError(f"shot.{code}", message, hint)


@dataclass(frozen=True)
class Shot:
    """A rigged character, its motion, cameras and lights. World space is Blender's: Z up, metres.

    Attributes:
        meta: names, frame range, picture size, objects, materials (JSON values only).
        arrays: the arrays of docs/conventions.md (vertices in bind pose, weights, bone matrices, cameras ...); with
            `evaluated_vertices` (T,V,3) world metres where the artist exported the meshes as Blender shows them.
        textures: sRGB pictures (H,W,4) uint8, row 0 at the top, in the order `materials` refer to.
    """

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]
    textures: tuple[np.ndarray, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def frames(self) -> int:
        return len(self.arrays["bone_pose"])

    @property
    def cameras(self) -> CameraPath:
        """The camera path of the shot at its own picture size."""
        return CameraPath(
            self["viewmats"],
            self["Ks"],
            int(self.meta["width"]),
            int(self.meta["height"]),
            str(self.meta.get("camera_type", "perspective")),
        )

    @property
    def background_srgb(self) -> np.ndarray:
        """The background colour (3,) as displayed, float32 0..1."""
        return linear_to_srgb(self["background"]).astype(np.float32)

    @property
    def preserve_volume(self) -> np.ndarray:
        """(V,) bool: vertices of the objects whose Armature modifier preserves volume (dual quaternion skinning)."""
        chosen = np.zeros(len(self["vertices"]), bool)
        for entry in self.meta["objects"]:
            if entry.get("preserve_volume", False):
                chosen[entry["vertex_start"] : entry["vertex_start"] + entry["vertex_count"]] = True
        return chosen

    def skinning_transforms(self) -> np.ndarray:
        """(T,B,4,4) world transforms from bind pose to each frame: pose @ inverse(rest)."""
        return self["bone_pose"] @ np.linalg.inv(self["bone_rest"])

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Shot:
        """Check a flat dict of arrays and make a shot of it.

        Raises:
            Ani3DError: codes ``shot.*``; the message names the array, what it holds and what was expected.
        """
        meta = _read_meta(arrays)
        checked: dict[str, np.ndarray] = {}
        sizes: dict[str, int] = {}
        for name, (shape, kind) in {**_ARRAYS, **_OPTIONAL}.items():
            if name not in arrays:
                if name in _OPTIONAL:
                    continue
                raise _bad("missing_array", f"The shot has no array '{name}'.", "Export the shot again.")
            checked[name] = _check_array(name, np.asarray(arrays[name]), shape, kind, sizes)
        count = sum(name.startswith("texture_") for name in arrays)
        names = [f"texture_{i}" for i in range(count)]
        if missing := [name for name in names if name not in arrays]:
            raise _bad("missing_array", f"The shot has {count} textures but no '{missing[0]}'.", "Export it again.")
        textures = tuple(np.asarray(arrays[k]) for k in names)
        for name, texture in zip(names, textures, strict=True):
            if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8:
                raise _bad(
                    "bad_array",
                    f"'{name}' is {texture.dtype} {texture.shape}; expected uint8 (H,W,4).",
                    "Export the shot again.",
                )
        _check_content(meta, checked, len(textures))
        return cls(meta, checked, textures)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The flat dict that `from_arrays` reads, as stored in a file or sent over the wire."""
        pictures = {f"texture_{i}": t for i, t in enumerate(self.textures)}
        return {"meta": np.array(json.dumps(self.meta)), **self.arrays, **pictures}

    @classmethod
    def load(cls, path: Path | str) -> Shot:
        """Read a `.npz` shot file. Raises `Ani3DError` when it is missing, cut or not a shot."""
        path = Path(path)
        if not path.is_file():
            raise _bad(
                "file_missing",
                f"There is no shot file at {path}.",
                "Check the path or export the shot again.",
            )
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {k: file[k] for k in file.files}
        except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
            raise _bad(
                "file_broken",
                f"{path} is not a readable shot file ({error}).",
                "It may be cut: export it again.",
            ) from error
        return cls.from_arrays(arrays)

    def save(self, path: Path | str) -> None:
        """Write the shot as `.npz`, atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        save_arrays(Path(path), self.to_arrays())


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as `.npz`, atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
    try:
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise cannot_write(path, error) from error


def _read_meta(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        meta = json.loads(str(np.asarray(arrays["meta"])[()]))
    except (KeyError, ValueError) as error:
        raise _bad("no_meta", "The shot has no readable 'meta' entry.", "Export the shot again.") from error
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise _bad("schema", f"This is not a shot: schema is {meta!r:.80}.", f"Expected schema '{SCHEMA}'.")
    if meta.get("version") != VERSION:
        raise _bad(
            "version",
            f"The shot has version {meta.get('version')}, this program reads version {VERSION}.",
            "Use the add-on and the engine of the same release.",
        )
    missing = [k for k in _REQUIRED_META if k not in meta]
    if missing:
        raise _bad("no_meta", f"The shot's meta lacks {', '.join(missing)}.", "Export the shot again.")
    return meta


def _check_array(
    name: str, array: np.ndarray, shape: tuple[str | int, ...], kind: str, sizes: dict[str, int]
) -> np.ndarray:
    """Check shape and kind against the table, remember symbolic sizes, return float32 / int32 data."""
    want = "(" + ",".join(map(str, shape)) + ")"
    fits = array.ndim == len(shape) and (array.dtype.kind == "f" if kind == "f" else array.dtype.kind in "iu")
    for size, symbol in zip(array.shape, shape, strict=False):
        expected = symbol if isinstance(symbol, int) else sizes.setdefault(symbol, size)
        fits = fits and size == expected
    if not fits:
        known = ", ".join(f"{k}={v}" for k, v in sizes.items())
        wanted_kind = "float" if kind == "f" else "integer"
        raise _bad(
            "bad_array",
            f"'{name}' is {array.dtype} {array.shape}; expected {wanted_kind} {want} with {known}.",
            "Export the shot again.",
        )
    if kind == "f":
        if not np.isfinite(array).all():
            raise _bad(
                "not_finite",
                f"'{name}' holds NaN or infinite values.",
                "Check the rig for broken drivers and simulations.",
            )
        return np.ascontiguousarray(array, np.float32)
    return np.ascontiguousarray(array, np.int32)


def _check_content(meta: dict[str, Any], arrays: dict[str, np.ndarray], textures: int) -> None:
    """The checks that need several arrays at once."""
    frames = int(meta["frame_end"]) - int(meta["frame_start"]) + 1
    if frames < 1 or len(arrays["bone_pose"]) == 0:
        raise _bad(
            "no_frames",
            f"The frame range {meta['frame_start']}..{meta['frame_end']} holds no frame.",
            "Set the end frame after the start frame.",
        )
    if frames != len(arrays["bone_pose"]):
        raise _bad(
            "bad_array",
            f"'bone_pose' has {len(arrays['bone_pose'])} frames, the frame range {frames}.",
            "Export the shot again.",
        )
    if len(arrays["faces"]) == 0:
        raise _bad("no_faces", "The character's meshes have no faces.", "Bind a mesh with faces.")
    limits = (
        ("faces", len(arrays["vertices"])),
        ("weight_indices", len(arrays["bone_rest"])),
        ("face_materials", len(meta["materials"])),
        ("region_ids", len(meta.get("regions", REGIONS))),
    )
    for name, limit in limits:
        if arrays[name].size and not (arrays[name].min() >= 0 and arrays[name].max() < limit):
            raise _bad("bad_index", f"'{name}' points outside 0..{limit - 1}.", "Export the shot again.")
    for material in meta["materials"]:
        if not -1 <= int(material.get("texture", -1)) < textures:
            raise _bad("bad_index", f"Material '{material.get('name')}' names a missing texture.", "Export again.")
    unweighted = np.flatnonzero(np.abs(arrays["weight_values"].sum(1) - 1) > 1e-3)
    if len(unweighted):
        where = next(
            (o["name"] for o in meta["objects"] if 0 <= unweighted[0] - o["vertex_start"] < o["vertex_count"]),
            "?",
        )
        raise _bad(
            "unweighted_vertices",
            f"{len(unweighted)} vertices have no bone weights, the first is vertex {unweighted[0]} in '{where}'.",
            "Paint weights for them or run Normalize All, then export again.",
        )
    linear = arrays["bone_pose"][..., :3, :3]
    lengths = np.linalg.norm(linear, axis=-2)
    uneven = lengths.max(-1) > lengths.min(-1) * 1.001 + 1e-9
    if uneven.any():
        frame, bone = np.argwhere(uneven)[0]
        raise _bad(
            "non_uniform_bone_scale",
            f"Bone '{meta['bones'][bone]}' is scaled unevenly at frame {int(meta['frame_start']) + frame}.",
            "Use the same scale on all three axes of the bone.",
        )
    _check_preserve_volume(meta, arrays)
    if np.abs(np.linalg.det(arrays["viewmats"][:, :3, :3]) - 1).max() > 1e-3:
        raise _bad(
            "bad_camera",
            "A camera matrix is not a rotation.",
            "Remove scale from the camera and its parents.",
        )


def _check_preserve_volume(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """What dual quaternion skinning needs, where objects ask for it."""
    for entry in meta["objects"]:
        wanted = entry.get("preserve_volume", False)
        if not isinstance(wanted, bool):
            raise _bad(
                "bad_meta",
                f"'preserve_volume' of '{entry['name']}' is {wanted!r}; expected true or false.",
                "Export the shot again.",
            )
        if not wanted:
            continue
        rows = slice(entry["vertex_start"], entry["vertex_start"] + entry["vertex_count"])
        bones = np.unique(arrays["weight_indices"][rows][arrays["weight_values"][rows] > 0])
        pose, rest = (np.linalg.det(arrays[k][..., bones, :3, :3]) for k in ("bone_pose", "bone_rest"))
        if (pose * rest < 0).any():
            frame, column = np.argwhere(pose * rest < 0)[0]
            bone = bones[column]
            raise _bad(
                "mirrored_bone",
                f"Bone '{meta['bones'][bone]}' is mirrored at frame {int(meta['frame_start']) + frame}, and "
                f"'{entry['name']}' preserves volume.",
                "Scale the bone by a positive number, or turn Preserve Volume off in the Armature modifier.",
            )
