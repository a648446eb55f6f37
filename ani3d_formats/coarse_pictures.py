"""Pictures of a shot's coarse layer that Blender rendered: what restoration starts from instead of drawn Gaussians.

A flat dict of NumPy arrays plus a JSON `meta` array, for the file `NAME.pictures.npz` and, under names that begin with
`PREFIX`, for the wire. docs/blender_pictures.md describes every array.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from .errors import Ani3DError
from .names import is_file_name
from .npz import read_npz
from .shot import save_arrays
from .shot_meta import ShotMeta
from .typed import FILLED, Refused, Rule, between, from_json

SCHEMA, VERSION = "ani3dhuman.pictures", 1
SUFFIX = ".pictures.npz"
PREFIX = "pictures_"  # of the arrays' names where they travel with a shot's
SHOWN = 64  # vertices whose places tell which motion the pictures show
AGAIN = "Make the cloth anew, show its mesh in Blender, and render the pictures of that."
_FRAME = between(-(1 << 20), 1 << 20)


@dataclass(frozen=True)
class PicturesMeta:
    """What pictures say in words: `name` of the shot, its first frame, the hash of its character, what drew them."""

    name: Annotated[str, Rule(is_file_name, "a name that a file can have everywhere")]
    frame_start: Annotated[int, _FRAME]
    character: str = ""
    application: Annotated[str, FILLED] = "Blender"


@dataclass(frozen=True)
class CoarsePictures:
    """Pictures along a shot's camera, one a frame.

    Attributes:
        meta: words.
        colors: (T,H,W,4) uint8, sRGB-encoded as displayed, straight alpha, nothing behind the character.
        places: (T,P,3) float32 where vertices `shown` were, metres relative to the shot's origin.
        shown: (P,) int32 numbers of vertices of the shot.
    """

    meta: PicturesMeta
    colors: np.ndarray
    places: np.ndarray
    shown: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.colors)

    def check_fits(self, meta: ShotMeta, vertices: int) -> None:
        """Raise `Ani3DError` ``pictures.other_shot`` unless they are of the frames and the character of a shot."""
        said = self.meta.character, meta.character
        other = all(said) and said[0] != said[1]
        if other or (self.frames, self.meta.frame_start) != (meta.frames, meta.frame_start):
            raise Ani3DError(
                "pictures.other_shot",
                f"The pictures show {self.frames} frames from {self.meta.frame_start} on"
                f"{' of another character' if other else ''}; the shot has {meta.frames} from {meta.frame_start} on.",
                AGAIN,
            )
        if self.shown.size and not 0 <= self.shown.min() <= self.shown.max() < vertices:
            raise _broken(f"'shown' points outside 0..{vertices - 1}")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CoarsePictures:
        """Check a flat dict of arrays. Raises `Ani3DError` ``pictures.broken`` that names what is wrong."""
        try:
            data = json.loads(str(np.asarray(arrays["meta"])[()]))
            if not isinstance(data, dict) or (data.pop("schema", ""), data.pop("version", 0)) != (SCHEMA, VERSION):
                raise ValueError(f"their 'meta' has not the schema '{SCHEMA}', version {VERSION}")
            meta = from_json(PicturesMeta, data, "meta")
            colors, places, shown = (np.asarray(arrays[name]) for name in ("colors", "places", "shown"))
        except (KeyError, IndexError, ValueError, RecursionError, Refused) as error:
            raise _broken(str(error) or type(error).__name__) from error
        if colors.ndim != 4 or colors.shape[3] != 4 or colors.dtype != np.uint8 or not colors.size:
            raise _broken(f"'colors' is {colors.dtype} {colors.shape}; expected uint8 (T,H,W,4)")
        good = shown.ndim == 1 and shown.dtype.kind in "iu" and places.dtype.kind == "f"
        if not good or places.shape != (len(colors), len(shown), 3) or not np.isfinite(places).all():
            raise _broken(f"'places' is {places.dtype} {places.shape}; expected numbers (T,P,3) of 'shown' (P,)")
        return cls(meta, colors, places.astype(np.float32), shown.astype(np.int32))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The flat dict that `from_arrays` reads."""
        meta = np.array(json.dumps({"schema": SCHEMA, "version": VERSION, **asdict(self.meta)}))
        return {"meta": meta, "colors": self.colors, "places": self.places, "shown": self.shown}

    @classmethod
    def from_shot_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CoarsePictures | None:
        """The pictures that travel with a shot's arrays, or None. Raises as `from_arrays` does."""
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        return cls.from_arrays(own) if own else None

    def to_shot_arrays(self) -> dict[str, np.ndarray]:
        """What `from_shot_arrays` reads, to be sent with a shot's arrays."""
        return {PREFIX + name: array for name, array in self.to_arrays().items()}

    @classmethod
    def load(cls, path: Path | str) -> CoarsePictures:
        """Read a `NAME.pictures.npz` file. Raises `Ani3DError` ``pictures.file_missing``, ``pictures.broken``."""
        path = Path(path)
        if not path.is_file():
            raise Ani3DError("pictures.file_missing", f"There is no file of pictures at {path}.", "Render them again.")
        try:
            arrays: dict[str, Any] = read_npz(path)
        except (OSError, ValueError) as error:
            raise _broken(f"{path} is not readable ({error})") from error
        return cls.from_arrays(arrays)

    def save(self, path: Path | str) -> None:
        """Write a compressed `.npz`, atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        save_arrays(Path(path), self.to_arrays(), compressed=True)


def missing() -> Ani3DError:
    """What is said where a job wants pictures and there are none."""
    return Ani3DError(
        "pictures.missing",
        "The job asks for coarse pictures of Blender's, and none came with the shot.",
        "Render them in Blender (Render Coarse Pictures), or choose pictures='gaussians'.",
    )


def _broken(what: str) -> Ani3DError:
    text = f"The pictures that came with the shot are broken: {what}."
    return Ani3DError("pictures.broken", text, "Render them again.")
