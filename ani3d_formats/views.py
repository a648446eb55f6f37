"""Views of a character that Blender rendered: what a Gaussian avatar is fitted to.

Like a shot, views are a flat dict of NumPy arrays plus a JSON `meta` array, for the file `NAME.views.npz` and, under
names that begin with `PREFIX`, for the wire. docs/avatar.md describes every array.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from .array_checks import check_array
from .errors import Ani3DError
from .names import is_file_name
from .npz import read_npz
from .shot import save_arrays
from .typed import FILLED, Refused, Rule, between, from_json

SCHEMA = "ani3dhuman.views"
VERSION = 1
SUFFIX = ".views.npz"
PREFIX = "views_"  # of the arrays' names where they travel with a shot's
# name -> (shape with symbolic sizes, dtype); symbols must agree across arrays, H and W with meta's height and width
_ARRAYS: dict[str, tuple[tuple[str | int, ...], type]] = {
    "vertices_at": (("M", "V", 3), np.float32),
    "pose_of": (("N",), np.int32),
    "viewmats": (("N", 4, 4), np.float32),
    "Ks": (("N", 3, 3), np.float32),
    "radiance": (("N", "H", "W", 4), np.float16),
    "albedo": (("N", "H", "W", 4), np.float16),
}
_OPTIONAL: dict[str, tuple[tuple[str | int, ...], type]] = {"normals": (("N", "H", "W", 3), np.float16)}


@dataclass(frozen=True)
class ViewsMeta:
    """What views say in words and numbers.

    Attributes:
        name: of the character's shot; can be the name of a file.
        width, height: of all pictures, pixels.
        character: a hash of the character's rest mesh, weights and surfaces: views fit all shots of the same one.
        origin: world metres; all places are relative to it, as in a shot.
        application: what rendered them, with its version and engine.
        samples: a pixel.
    """

    name: Annotated[str, Rule(is_file_name, "a name that a file can have everywhere")]
    width: Annotated[int, between(1, 65536)]
    height: Annotated[int, between(1, 65536)]
    character: Annotated[str, FILLED]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    application: str = ""
    samples: Annotated[int, between(0, 1 << 24)] = 0

    @classmethod
    def parse(cls, array: np.ndarray) -> ViewsMeta:
        """The meta from its text array. Raises `Ani3DError` ``views.schema``, ``views.version``, ``views.bad_meta``."""
        try:
            data = json.loads(str(np.asarray(array)[()]))
        except (ValueError, IndexError, RecursionError) as error:
            raise _bad("bad_meta", "The views have no readable 'meta' entry.") from error
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise _bad("schema", f"These are no views: 'meta' has not the schema '{SCHEMA}'.")
        if data.get("version") != VERSION:
            found = f"{data.get('version')!r:.80}"
            raise Ani3DError(
                "views.version",
                f"The views have version {found}, this program reads version {VERSION}.",
                "Use the add-on and the engine of the same release.",
            )
        try:
            return from_json(cls, {k: v for k, v in data.items() if k not in ("schema", "version")}, "meta")
        except Refused as refusal:
            raise _bad("bad_meta", f"In the views, {refusal}.") from refusal

    def to_array(self) -> np.ndarray:
        """The text array that `parse` reads."""
        return np.array(json.dumps({"schema": SCHEMA, "version": VERSION, **asdict(self)}))


@dataclass(frozen=True)
class Views:
    """N pictures of a character at M poses, by perspective OpenCV cameras; places in metres from `meta.origin`.

    Attributes:
        meta: size, and which character it is.
        vertices_at: (M,V,3) float32, the shot's vertices at each pose, as Blender showed them when it rendered.
        pose_of: (N,) int32, the pose that each view shows.
        viewmats: (N,4,4) float32, world to camera.
        Ks: (N,3,3) float32, pixel intrinsics; pixel centres at +0.5, row 0 at the top.
        radiance: (N,H,W,4) float16, linear scene light of the whole picture, premultiplied alpha, nothing behind.
        albedo: (N,H,W,4) float16, linear diffuse colour of the surfaces, premultiplied by the same alpha.
        normals: (N,H,W,3) float16, world space, premultiplied; or None.
    """

    meta: ViewsMeta
    vertices_at: np.ndarray
    pose_of: np.ndarray
    viewmats: np.ndarray
    Ks: np.ndarray
    radiance: np.ndarray
    albedo: np.ndarray
    normals: np.ndarray | None = None

    @property
    def count(self) -> int:
        return len(self.pose_of)

    def scaled(self, factor: float) -> Views:
        """The same views of a world `factor` times as large."""
        viewmats = self.viewmats.copy()
        viewmats[:, :3, 3] *= np.float32(factor)
        x, y, z = self.meta.origin
        meta = replace(self.meta, origin=(factor * x, factor * y, factor * z))
        return replace(self, meta=meta, vertices_at=self.vertices_at * np.float32(factor), viewmats=viewmats)

    def check_fits(self, vertices: int, character: str) -> None:
        """Raise `Ani3DError` ``views.other_character`` unless they show the `character` of a shot of so many vertices.

        "" is an unknown character.
        """
        own = self.vertices_at.shape[1]
        if own != vertices:
            raise _bad("other_character", f"The views show a mesh of {own} vertices, the shot has {vertices}.")
        if character and character != self.meta.character:
            what = "The views show the character before its mesh, weights or materials changed."
            raise _bad("other_character", what, "Capture the views again, and export the shot.")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Views:
        """Check a flat dict of arrays and make views of it.

        Raises:
            Ani3DError: codes ``views.*``; the message names the array, what it holds and what was expected.
        """
        if "meta" not in arrays:
            raise _bad("bad_meta", "The views have no 'meta' entry.")
        meta = ViewsMeta.parse(arrays["meta"])
        sizes: dict[str, int] = {"H": meta.height, "W": meta.width}
        checked: dict[str, np.ndarray] = {}
        for name, (shape, dtype) in {**_ARRAYS, **_OPTIONAL}.items():
            if name in arrays:
                checked[name] = _check_array(name, np.asarray(arrays[name]), shape, dtype, sizes)
            elif name not in _OPTIONAL:
                raise _bad("missing_array", f"The views have no array '{name}'.")
        views = cls(meta, **checked)
        if not views.count:
            raise _bad("none", "The views file holds no view.")
        if views.pose_of.min() < 0 or views.pose_of.max() >= len(views.vertices_at):
            raise _bad("bad_index", f"In the views, 'pose_of' points outside 0..{len(views.vertices_at) - 1}.")
        if np.abs(np.linalg.det(views.viewmats[:, :3, :3].astype(np.float64)) - 1).max() > 1e-3:
            raise _bad("bad_camera", "In the views, a camera matrix is not a rotation.")
        if not (views.Ks[:, [0, 1], [0, 1]] > 0).all():
            raise _bad("bad_camera", "In the views, a camera has no focal length.")
        return views

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The flat dict that `from_arrays` reads."""
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_OPTIONAL)}
        return {"meta": self.meta.to_array(), **{k: v for k, v in arrays.items() if v is not None}}

    @classmethod
    def from_shot_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Views | None:
        """The views that travel with a shot's arrays, or None. Raises as `from_arrays` does."""
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        return cls.from_arrays(own) if own else None

    def to_shot_arrays(self) -> dict[str, np.ndarray]:
        """What `from_shot_arrays` reads, to be sent with a shot's arrays."""
        return {PREFIX + name: array for name, array in self.to_arrays().items()}

    @classmethod
    def load(cls, path: Path | str) -> Views:
        """Read a `NAME.views.npz` file. Raises `Ani3DError` when it is missing, cut or holds no views."""
        path = Path(path)
        if not path.is_file():
            raise _bad("file_missing", f"There is no views file at {path}.", "Check the path, or capture views again.")
        try:
            arrays = read_npz(path)
        except (OSError, ValueError) as error:
            raise _bad("file_broken", f"{path} is not a readable views file ({error}).") from error
        return cls.from_arrays(arrays)

    def save(self, path: Path | str) -> None:
        """Write a compressed `.npz`, atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        save_arrays(Path(path), self.to_arrays(), compressed=True)


def _bad(code: str, message: str, hint: str = "Capture the views again.") -> Ani3DError:
    return Ani3DError(f"views.{code}", message, hint)


def _check_array(
    name: str, array: np.ndarray, shape: tuple[str | int, ...], dtype: type, sizes: dict[str, int]
) -> np.ndarray:
    """Check an array against the table; data of the table's type."""
    kind = "f" if np.issubdtype(dtype, np.floating) else "i"
    check_array(name, array, shape, kind, sizes, lambda code, what: _bad(code, f"In the views, {what}"))
    if dtype is np.float16:
        array = np.clip(array, np.finfo(np.float16).min, np.finfo(np.float16).max)
    return np.ascontiguousarray(array, dtype)
