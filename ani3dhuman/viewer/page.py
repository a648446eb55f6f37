"""A result as one HTML file that plays without a network: Gaussians, meshes, skeleton and what bones alone miss.

Numbers are packed small: places as 16-bit steps in the box that holds all of them, each frame as the difference from
the one before, and all of it compressed. `assets/viewer/viewer.js` draws them with three.js.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.color import linear_to_srgb
from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import SH_C0
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin

from ..pose.skeleton import bone_ends

ASSETS = Path(__file__).parents[1] / "assets" / "viewer"
STEPS = 65535
EVERY = 12  # vertices for one line of what bones alone miss
_KINDS = {"uint8": "u1", "int8": "i1", "uint16": "u2", "uint32": "u4", "float32": "f4"}


@dataclass
class _Packed:
    """Arrays one behind the other, each at a multiple of four bytes."""

    parts: list[bytes] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    length: int = 0

    def add(self, name: str, values: np.ndarray, *, change: bool = False) -> None:
        """Store `values`; with `change` frames (T,...) after the first as differences that wrap around."""
        frame = int(np.prod(values.shape[1:])) if change else 0
        kind = _KINDS[str(values.dtype)]
        if change:
            values = np.concatenate([values[:1], np.diff(values, axis=0)])
        data = np.ascontiguousarray(values).tobytes()
        self.entries.append({"name": name, "kind": kind, "start": self.length, "length": values.size, "change": frame})
        data += b"\0" * (-len(data) % 4)
        self.parts.append(data)
        self.length += len(data)


def write_page(path: Path, cache: FrameCache, frames: range, shot: Shot | None = None) -> None:
    """Write the page of scene frames of a result.

    Args:
        shot: gives faces, colours, regions, skeleton, and the mesh that bones alone move; None shows Gaussians alone.

    Raises:
        Ani3DError: ``cache.*``; ``disk.full``, ``file.unwritable``.
    """
    first = cache.manifest.frame_start
    rows = slice(frames[0] - first, frames[-1] - first + 1)
    points = _places(cache, rows, shot, frames)
    low = np.min([each.min((0, 1)) for each in points.values()], axis=0).astype(np.float64)
    high = np.max([each.max((0, 1)) for each in points.values()], axis=0).astype(np.float64)
    step = max(float((high - low).max()), 1e-6) / STEPS
    middle = points["result" if "result" in points else "position"]
    size = np.ptp(middle[0], axis=0)
    head: dict[str, Any] = {
        "name": cache.path.stem,
        "fps": cache.manifest.fps,
        "start": frames[0],
        "frames": len(frames),
        "low": low.tolist(),
        "step": step,
        "size": float(max(size[2], size[:2].max())) or 1.0,
        "apart": float(1.15 * max(size[0], 0.4 * size[2])) or 1.0,
        "aim": middle.reshape(-1, 3).mean(0, dtype=np.float64).tolist(),
        "ground": float(low[2]),
        "splats": 0,
        "vertices": 0,
        "every": EVERY,
    }
    blobs = {}
    for blob, count in (("early", 1), ("arrays", len(frames))):  # the first frame alone, which is shown at once; all
        packed = _Packed()
        for name, values in points.items():
            packed.add(name, np.rint((values[:count] - low) / step).astype(np.uint16), change=True)
        if "position" in points:
            head |= _gaussians(packed, cache, frames[:count], points["position"].shape[1])
        if shot is not None:
            head |= _mesh(packed, shot, frames[:count])
        head[blob] = packed.entries
        blobs[blob] = base64.b64encode(gzip.compress(b"".join(packed.parts), 6)).decode()
    text = (ASSETS / "page.html").read_text(encoding="utf-8")
    said = json.dumps(head).replace("<", "\\u003c")
    pieces = {"TITLE": html.escape(head["name"]), "HEAD": said, "EARLY": blobs["early"], "DATA": blobs["arrays"]}
    pieces |= {"THREE": _script("three.min.js"), "VIEWER": _script("viewer.js")}
    for name, piece in pieces.items():
        before, _, after = text.partition(f"@{name}@")
        text = before + piece + after
    write_bytes(path, text.encode())


def _script(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8").replace("</script", "<\\/script")


def _places(cache: FrameCache, rows: slice, shot: Shot | None, frames: range) -> dict[str, np.ndarray]:
    """What moves, (T,N,3) by name: `position` of Gaussians, vertices of the `result` and the `rigid` mesh."""
    found: dict[str, np.ndarray] = {}
    if "position" in cache.arrays:
        found["position"] = np.asarray(cache.arrays["position"][rows])
    if shot is None:
        return found
    apart = np.subtract(shot.meta.origin, cache.manifest.origin).astype(np.float32)
    held = cache.meshes()
    parts = [held[o.name].vertices[rows] for o in shot.meta.objects if o.name in held]
    if sum(part.shape[1] for part in parts) == len(shot["vertices"]):
        found["result"] = np.concatenate(parts, axis=1)
    during = np.clip(np.array(frames) - shot.meta.frame_start, 0, shot.frames - 1)
    transforms = shot.skinning_transforms()[during]
    moved = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms, shot.preserve_volume)
    found["rigid"] = moved + apart
    return found


def _gaussians(packed: _Packed, cache: FrameCache, frames: range, count: int) -> dict[str, Any]:
    """Turns, sizes and colours."""
    cache.check_gaussians()
    turns, colors = [], []
    for frame in frames:
        values = cache.frame(frame)
        quats = values["rotation"] / np.maximum(np.linalg.norm(values["rotation"], axis=1, keepdims=True), 1e-9)
        turns.append(np.rint(127 * quats).astype(np.int8))
        radiance = values["radiance:base"]
        seen = np.concatenate([radiance[:, :3] * SH_C0 + 0.5, radiance[:, 3:4]], axis=1)
        colors.append(np.rint(255 * np.clip(seen, 0, 1)).astype(np.uint8))
    still = all(np.array_equal(colors[0], other) for other in colors[1:])
    packed.add("rotation", np.stack(turns), change=True)
    packed.add("color", np.stack(colors[:1] if still else colors), change=not still)
    packed.add("scale", np.asarray(cache.frame(frames[0])["scale"], np.float32))
    return {"splats": count, "still": still}


def _mesh(packed: _Packed, shot: Shot, frames: range) -> dict[str, Any]:
    """Faces, colours, regions and bones."""
    packed.add("faces", shot["faces"].astype(np.uint32).reshape(-1))
    packed.add("region", shot["region_ids"].astype(np.uint8))
    color = np.full((len(shot["vertices"]), 3), 0.6, np.float32)
    for number, material in enumerate(shot.meta.materials):
        own = np.unique(shot["faces"][shot["face_materials"] == number])
        if material.texture >= 0:
            picture = shot.textures[material.texture].reshape(-1, 4).astype(np.float32) / 255
            shown = picture[:, :3].T @ picture[:, 3] / max(float(picture[:, 3].sum()), 1e-6)
        else:
            shown = linear_to_srgb(np.array(material.base_color))
        color[own] = shown
    packed.add("vertex_color", np.rint(255 * np.clip(color, 0, 1)).astype(np.uint8))
    during = np.clip(np.array(frames) - shot.meta.frame_start, 0, shot.frames - 1)
    bones = list(shot.meta.skeleton)
    ends = [np.stack(bone_ends(shot["bone_pose"][t][bones], shot["bone_lengths"][bones]), axis=1) for t in during]
    packed.add("bones", np.stack(ends).astype(np.float32).reshape(-1))
    return {"vertices": len(shot["vertices"]), "bones": len(bones)}
