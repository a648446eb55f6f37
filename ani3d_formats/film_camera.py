"""How a film camera goes through a scene, frame by frame: what Blender tells the engine that draws film frames.

A `.npz` of arrays and a JSON `meta`; docs/film.md describes it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from .camera import CameraPath
from .errors import Ani3DError
from .npz import read_npz
from .shot import save_arrays
from .typed import Refused, between, from_json, one_of

SCHEMA, VERSION = "ani3dhuman.film", 1
_SIDE = between(1, 65536)


@dataclass(frozen=True)
class FilmMeta:
    """Words and numbers of a film: picture size, the scene frame of the first camera, shutter in frames, samples."""

    width: Annotated[int, _SIDE]
    height: Annotated[int, _SIDE]
    frame_start: Annotated[int, between(-(1 << 20), 1 << 20)]
    camera_type: Annotated[str, one_of("perspective", "orthographic")] = "perspective"
    samples: Annotated[int, between(1, 4096)] = 32
    shutter: Annotated[float, between(0, 10)] = 0.5
    shutter_position: Annotated[str, one_of("start", "center", "end")] = "center"
    seed: Annotated[int, between(0, 2**31 - 1)] = 0


@dataclass(frozen=True)
class Film:
    """A film camera.

    Attributes:
        meta: words and numbers.
        viewmats: (T,4,4) float64, world to camera, OpenCV axes, metres.
        Ks: (T,3,3) float64 pixel intrinsics, pixel centres at +0.5.
        lenses: (T,2) float64 radius of the aperture and distance of what is sharp, metres; radius 0 for a pinhole.
    """

    meta: FilmMeta
    viewmats: np.ndarray
    Ks: np.ndarray
    lenses: np.ndarray

    @property
    def cameras(self) -> CameraPath:
        """The cameras, in world space."""
        return CameraPath(self.viewmats, self.Ks, self.meta.width, self.meta.height, self.meta.camera_type)

    def save(self, path: Path) -> None:
        """Write a file, in one piece. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        meta = np.array(json.dumps({"schema": SCHEMA, "version": VERSION, **asdict(self.meta)}))
        save_arrays(path, {"meta": meta, "viewmats": self.viewmats, "Ks": self.Ks, "lenses": self.lenses})

    @classmethod
    def load(cls, path: Path) -> Film:
        """Read a file. Raises `Ani3DError` ``film.broken`` that names what is wrong."""
        try:
            arrays = read_npz(path)
            data = json.loads(str(arrays["meta"][()]))
            if not isinstance(data, dict) or (data.pop("schema", ""), data.pop("version", 0)) != (SCHEMA, VERSION):
                raise ValueError(f"its 'meta' has not the schema '{SCHEMA}', version {VERSION}")
            meta = from_json(FilmMeta, data, "meta")
            viewmats, Ks, lenses = (np.asarray(arrays[name], np.float64) for name in ("viewmats", "Ks", "lenses"))
            count = len(viewmats)
            for name, array, shape in (("viewmats", viewmats, (4, 4)), ("Ks", Ks, (3, 3)), ("lenses", lenses, (2,))):
                if not count or array.shape != (count, *shape) or not np.isfinite(array).all():
                    raise ValueError(f"'{name}' is {array.shape}, or not all of it is finite")
            if (lenses < 0).any() or (lenses[lenses[:, 0] > 0, 1] == 0).any():
                raise ValueError("a lens has a negative size, or no distance of what is sharp")
        except (OSError, KeyError, TypeError, ValueError, RecursionError, Refused) as error:
            raise Ani3DError(
                "film.broken", f"'{path}' is no film camera: {error or type(error).__name__}.", "Render the shot again."
            ) from error
        return cls(meta, viewmats, Ks, lenses)
