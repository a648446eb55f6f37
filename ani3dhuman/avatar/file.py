"""NAME.avatar: an avatar in a file of its own, and the folder where fitted ones are kept for further shots."""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import save_arrays

from ..mesh.corner_normals import CornerNormals
from ..mesh.raster import OPAQUE, Cutouts
from ..splats.splats import COEFFICIENTS
from ..storage.user_cache import user_cache
from .avatar import Avatar
from .binding import SurfaceBinding

SCHEMA, VERSION = "ani3dhuman.avatar", 2
READ_VERSIONS = (1, VERSION)  # version 2 adds optional entries only
MOST_BYTES = 1 << 30  # of all avatars that are kept


@dataclass(frozen=True)
class AvatarFile:
    """What NAME.avatar holds.

    Attributes:
        avatar: the Gaussians.
        name: of the character's shot.
        character: key of all that the avatar was made from.
        notes: how it was made, JSON values.
    """

    avatar: Avatar
    name: str
    character: str
    notes: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write it atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        meta = {"name": self.name, "character": self.character, "notes": self.notes, "is_lit": self.avatar.is_lit}
        binding = self.avatar.binding
        arrays = {
            "meta": np.array(json.dumps({"schema": SCHEMA, "version": VERSION, **meta})),
            "faces": binding.faces.numpy().astype(np.int32),
            "triangle_ids": binding.triangle_ids.numpy().astype(np.int32),
            "barycentrics": binding.barycentrics.numpy(),
            "local_quats": binding.local_quats.numpy(),
            "scales": self.avatar.scales,
            "opacities": self.avatar.opacities,
            "albedo": self.avatar.albedo,
            "region_ids": self.avatar.region_ids.astype(np.uint8),
        }
        if self.avatar.gloss is not None:
            arrays["gloss"] = self.avatar.gloss
        if self.avatar.tones is not None:
            arrays["tones"] = self.avatar.tones
        if self.avatar.corners is not None:
            arrays |= {"corner_fans": self.avatar.corners.fans, "corner_leans": self.avatar.corners.leans}
        if len(self.avatar.cutouts.texture_of):
            arrays |= {f"cutout_{name}": array for name, array in self.avatar.cutouts._asdict().items()}
        for name in ("harmonics", "lifts"):
            if getattr(self.avatar, name) is not None:
                arrays[name] = getattr(self.avatar, name)
        for name in ("offsets", "rest_shapes", "rest_bends"):
            if getattr(binding, name) is not None:
                arrays[name] = getattr(binding, name).numpy()
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> AvatarFile:
        """Read it. Raises `Ani3DError` ``avatar.file_missing``, ``avatar.file_broken``."""
        if not path.is_file():
            raise Ani3DError("avatar.file_missing", f"There is no avatar file at {path}.", "Check the path.")
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("it is no zip archive, or its end is missing")
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(str(arrays["meta"][()]))
            if meta["schema"] != SCHEMA or meta["version"] not in READ_VERSIONS:
                raise ValueError(f"its schema is {meta['schema']!r}, version {meta['version']!r}")
            avatar = _avatar(arrays, bool(meta.get("is_lit", False)))
            return cls(avatar, str(meta["name"]), str(meta["character"]), dict(meta["notes"]))
        except Exception as error:  # zip, zlib and NumPy have many ways to fail on bytes that changed
            raise Ani3DError(
                "avatar.file_broken", f"{path} is not a readable avatar ({error}).", "Run the job again."
            ) from error


def _avatar(arrays: dict[str, np.ndarray], is_lit: bool) -> Avatar:
    faces, triangles = arrays["faces"].astype(np.int64), arrays["triangle_ids"].astype(np.int64)
    count = len(triangles)
    shapes = {"barycentrics": 3, "local_quats": 4, "scales": 3, "albedo": 3}
    gloss, offsets = arrays.get("gloss"), arrays.get("offsets")
    at_rest = {name: arrays[name].astype(np.float32) for name in ("rest_shapes", "rest_bends") if name in arrays}
    shapes |= {name: 3 for name in ("gloss", "offsets") if name in arrays}
    wrong = [name for name, k in shapes.items() if arrays[name].shape != (count, k)]
    wrong += [name for name in ("tones",) if name in arrays and arrays[name].shape != (count, 2)]
    harmonics = arrays.get("harmonics")
    if harmonics is not None and harmonics.shape not in [(count, k, 3) for k in COEFFICIENTS]:
        wrong.append("harmonics")
    wrong += [name for name in ("opacities", "region_ids", "lifts") if arrays.get(name, triangles).shape != (count,)]
    if wrong or faces.ndim != 2 or not 0 <= triangles.min(initial=0) <= triangles.max(initial=0) < len(faces):
        raise ValueError(f"its arrays do not belong together: {', '.join(wrong) or 'triangle_ids'}")
    for name, array in at_rest.items():
        if array.shape != faces.shape or not np.isfinite(array).all():
            raise ValueError(f"its arrays do not belong together: {name}")
    binding = SurfaceBinding(
        torch.from_numpy(faces),
        torch.from_numpy(triangles),
        torch.from_numpy(arrays["barycentrics"]),
        torch.from_numpy(arrays["local_quats"]),
        None if offsets is None else torch.from_numpy(offsets),
        **{name: torch.from_numpy(array) for name, array in at_rest.items()},
    )
    regions = arrays["region_ids"].astype(np.int64)
    looks = (arrays["scales"], arrays["opacities"], arrays["albedo"], regions, gloss, is_lit)
    shape = (_corners(arrays, len(faces)), _cutouts(arrays, len(faces)))
    return Avatar(binding, *looks, arrays.get("tones"), *shape, harmonics, arrays.get("lifts"))


def _corners(arrays: dict[str, np.ndarray], faces: int) -> CornerNormals | None:
    if "corner_fans" not in arrays:
        return None
    fans, leans = arrays["corner_fans"].astype(np.int32), arrays["corner_leans"].astype(np.float32)
    if fans.shape != (faces, 3) or leans.shape != (faces, 3, 3) or not 0 <= fans.min() <= fans.max() < fans.size:
        raise ValueError("its arrays do not belong together: corner_fans, corner_leans")
    return CornerNormals(fans, leans)


def _cutouts(arrays: dict[str, np.ndarray], faces: int) -> Cutouts:
    if "cutout_texture_of" not in arrays:
        return OPAQUE
    kinds = zip(Cutouts._fields, (np.int32, np.float32, np.uint8, np.int64), strict=True)
    found = Cutouts(*(np.ascontiguousarray(arrays[f"cutout_{name}"], kind) for name, kind in kinds))
    ends = found.places[:, 0] + found.places[:, 1] * found.places[:, 2]
    numbers = found.texture_of
    if (
        (numbers.shape, found.uvs.shape, found.alphas.ndim) != ((faces,), (faces, 3, 2), 1)
        or not -1 <= numbers.min() <= numbers.max() < len(found.places)
        or not (found.places.min(initial=0) >= 0 and ends.max(initial=0) <= len(found.alphas))
        or not np.isfinite(found.uvs).all()
    ):
        raise ValueError("its arrays do not belong together: cutout_...")
    return found


def kept_path(character: str) -> Path:
    """Where the avatar with this key is kept, in the user's caches."""
    return user_cache() / "avatars" / f"{character}.avatar"


def find_kept(character: str) -> AvatarFile | None:
    """The kept avatar with this key, or None where there is no whole one."""
    path = kept_path(character)
    try:
        found = AvatarFile.load(path)
        os.utime(path)  # the ones used last are kept longest
    except (Ani3DError, OSError):
        return None
    return found if found.character == character else None


def keep(made: AvatarFile) -> None:
    """Keep an avatar for further shots; old ones go when all of them are too large. A folder that cannot be is none."""
    path = kept_path(made.character)
    with suppress(Ani3DError, OSError):
        made.save(path)
        room = MOST_BYTES
        for old in sorted(path.parent.glob("*.avatar"), key=lambda each: -each.stat().st_mtime):
            room -= old.stat().st_size
            if room < 0 and old != path:
                old.unlink(missing_ok=True)
