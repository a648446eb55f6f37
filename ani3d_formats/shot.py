"""The shot: everything the engine needs to know about a scene, and nothing estimated.

A shot is a flat dict of numpy arrays plus a JSON `meta` array, so that one definition serves the
`.npz` file on disk and the raw frames on the wire. docs/conventions.md describes every array.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .array_checks import check_array
from .atomic import atomic_path, cannot_write
from .camera import CameraPath
from .color import linear_to_srgb
from .errors import Ani3DError
from .names import safe_name
from .npz import read_npz
from .shot_checks import check_content
from .shot_lights import OPTIONAL_LIGHTS, REQUIRED_LIGHTS, scaled_lights
from .shot_meta import RECORDED, SKINNED, Material, ObjectRange, ShotMeta, bad
from .shot_scene import FRAMES, SCENE_ARRAYS, scaled_scene

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
    **REQUIRED_LIGHTS,
}
_OPTIONAL: dict[str, tuple[tuple[str | int, ...], str]] = {
    "pin_weights": (("V",), "f"),
    "corner_normals": (("F", 3, 3), "f"),
    "evaluated_vertices": (("T", "V", 3), "f"),
    "recorded_vertices": (("T", "R", 3), "f"),
    **OPTIONAL_LIGHTS,
    **SCENE_ARRAYS,
    "view_table": (("G", "G", "G", 3), "f"),
}


@dataclass(frozen=True)
class Shot:
    """A rigged character, its motion, cameras and lights. World space is Blender's: Z up, metres from `meta.origin`.

    Attributes:
        meta: names, frame range, picture size, objects, materials.
        arrays: the arrays of docs/conventions.md (vertices in bind pose, weights, bone matrices, cameras ...); with
            `evaluated_vertices` (T,V,3) world metres where the artist exported the meshes as Blender shows them, and
            `recorded_vertices` (T,R,3) of the objects that bones alone do not move.
        textures: sRGB pictures (H,W,4) uint8, row 0 at the top, in the order `materials` refer to.
    """

    meta: ShotMeta
    arrays: dict[str, np.ndarray]
    textures: tuple[np.ndarray, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def frames(self) -> int:
        return len(self.arrays["bone_pose"])

    @property
    def cameras(self) -> CameraPath:
        """The camera path of the shot at its own picture size."""
        meta = self.meta
        return CameraPath(self["viewmats"], self["Ks"], meta.width, meta.height, meta.camera_type)

    @property
    def background_srgb(self) -> np.ndarray:
        """The background colour (3,) as displayed, float32 0..1."""
        return linear_to_srgb(self["background"]).astype(np.float32)

    @property
    def preserve_volume(self) -> np.ndarray:
        """(V,) bool: vertices of the objects whose Armature modifier preserves volume (dual quaternion skinning)."""
        chosen = np.zeros(len(self["vertices"]), bool)
        for item in self.meta.objects:
            chosen[item.rows] = item.preserve_volume
        return chosen

    @property
    def recorded(self) -> np.ndarray:
        """(V,) bool: vertices of the objects whose motion is recorded, in the order of `recorded_vertices`."""
        chosen = np.zeros(len(self["vertices"]), bool)
        for item in self.meta.objects:
            chosen[item.rows] = item.motion == RECORDED
        return chosen

    def skinning_transforms(self) -> np.ndarray:
        """(T,B,4,4) float64 world transforms from bind pose to each frame: pose @ inverse(rest)."""
        return self["bone_pose"].astype(np.float64) @ np.linalg.inv(self["bone_rest"].astype(np.float64))

    def scaled(self, factor: float) -> Shot:
        """The same scene `factor` times as large: it looks the same."""
        cameras = self.cameras.scaled(factor)
        arrays = {**self.arrays, "viewmats": cameras.viewmats, "Ks": cameras.Ks}
        for name in ("vertices", "evaluated_vertices", "recorded_vertices", "bone_lengths"):
            if name in arrays:
                arrays[name] = arrays[name] * np.float32(factor)
        for name in ("bone_rest", "bone_pose"):
            arrays[name] = arrays[name].copy()
            arrays[name][..., :3, 3] *= np.float32(factor)
        arrays.update(scaled_lights(arrays, factor) | scaled_scene(arrays, factor))
        return Shot(self.meta.scaled(factor), arrays, self.textures)

    def moved(self, bone_pose: np.ndarray) -> Shot:
        """The same scene with bones (T,B,4,4) that move otherwise, from the same first frame on.

        What else changes from frame to frame (cameras, lights, colliders) keeps its times and is held after its end.
        Recorded and evaluated vertices are those of another motion and left out: all objects follow their bones.
        """
        count = len(bone_pose)
        at = np.minimum(np.arange(count), self.frames - 1)
        arrays = {}
        for name, array in self.arrays.items():
            axes = {**_ARRAYS, **_OPTIONAL}[name][0]
            during = axes[0] == "T" or (axes[0] == FRAMES and array.ndim == len(axes))
            arrays[name] = array[at] if during else array
        arrays["bone_pose"] = np.asarray(bone_pose, np.float32)
        for name in ("evaluated_vertices", "recorded_vertices"):
            arrays.pop(name, None)
        objects = tuple(replace(item, motion=SKINNED) for item in self.meta.objects)
        meta = replace(self.meta, frame_end=self.meta.frame_start + count - 1, objects=objects)
        return Shot(meta, arrays, self.textures)

    def with_mesh(self, name: str, arrays: Mapping[str, np.ndarray], material: Material) -> Shot:
        """The same scene and skeleton, with one mesh in the place of all that the skeleton carries.

        Args:
            name: of the mesh and the shot.
            arrays: `vertices`, `faces`, `weight_indices`, `weight_values`, `region_ids` and `vertex_tints`.

        Raises:
            Ani3DError: ``shot.*`` where they do not belong together.
        """
        tables, own = {**_ARRAYS, **_OPTIONAL}, {"V", "F", "R", "O"}
        kept = {key: array for key, array in self.arrays.items() if not own & set(tables[key][0])}
        count = len(arrays["faces"])
        blank = {"face_uvs": np.zeros((count, 3, 2)), "face_materials": np.zeros(count, int)}
        made = {key: stored(key, array) for key, array in {**blank, **arrays}.items()}
        mesh = (ObjectRange(name, 0, len(arrays["vertices"])),)
        meta = replace(self.meta, name=safe_name(name), objects=mesh, materials=(material,), character="")
        return Shot.from_arrays({"meta": meta.to_array(), **kept, **made})

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Shot:
        """Check a flat dict of arrays and make a shot of it.

        Raises:
            Ani3DError: codes ``shot.*``; the message names the array, what it holds and what was expected.
        """
        if "meta" not in arrays:
            raise bad("no_meta", "The shot has no 'meta' entry.")
        meta = ShotMeta.parse(arrays["meta"])
        checked: dict[str, np.ndarray] = {}
        sizes: dict[str, int] = {}
        for name, (shape, kind) in {**_ARRAYS, **_OPTIONAL}.items():
            if name not in arrays:
                if name in _OPTIONAL:
                    continue
                raise bad("missing_array", f"The shot has no array '{name}'.")
            checked[name] = _check_array(name, np.asarray(arrays[name]), shape, kind, sizes)
        count = sum(name.startswith("texture_") for name in arrays)
        names = [f"texture_{i}" for i in range(count)]
        if missing := [name for name in names if name not in arrays]:
            raise bad("missing_array", f"The shot has {count} textures but no '{missing[0]}'.")
        textures = tuple(np.asarray(arrays[k]) for k in names)
        for name, texture in zip(names, textures, strict=True):
            if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8:
                raise bad("bad_array", f"'{name}' is {texture.dtype} {texture.shape}; expected uint8 (H,W,4).")
        check_content(meta, checked, len(textures))
        return cls(meta, checked, textures)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The flat dict that `from_arrays` reads, as stored in a file or sent over the wire."""
        pictures = {f"texture_{i}": t for i, t in enumerate(self.textures)}
        return {"meta": self.meta.to_array(), **self.arrays, **pictures}

    @classmethod
    def load(cls, path: Path | str) -> Shot:
        """Read a `.npz` shot file. Raises `Ani3DError` when it is missing, cut or not a shot."""
        path = Path(path)
        if not path.is_file():
            raise bad("file_missing", f"There is no shot file at {path}.", "Check the path or export the shot again.")
        try:
            arrays = read_npz(path)
        except (OSError, ValueError) as error:
            raise bad(
                "file_broken", f"{path} is not a readable shot file ({error}).", "It may be cut: export it again."
            ) from error
        return cls.from_arrays(arrays)

    def save(self, path: Path | str) -> None:
        """Write the shot as `.npz`, atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        save_arrays(Path(path), self.to_arrays())


def stored(name: str, array: np.ndarray) -> np.ndarray:
    """The array `name` in the type that a shot file has it in: float32 or int32, and uint8 for `region_ids`."""
    whole = np.uint8 if name == "region_ids" else np.int32
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else whole)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Write named arrays as `.npz`, atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
    try:
        with atomic_path(path) as partial, open(partial, "wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise cannot_write(path, error) from error


def _check_array(
    name: str, array: np.ndarray, shape: tuple[str | int, ...], kind: str, sizes: dict[str, int]
) -> np.ndarray:
    """Check an array against the table; float32 or int32."""
    if shape[0] == FRAMES:
        shape = ("T", *shape[1:]) if array.ndim == len(shape) else shape[1:]
    check_array(name, array, shape, kind, sizes, _array_error)
    return np.ascontiguousarray(array, np.float32 if kind == "f" else np.int32)


def _array_error(code: str, what: str) -> Ani3DError:
    if code == "not_finite":
        return bad(code, what, "Check the rig for broken drivers and simulations.")
    return bad(code, what)
