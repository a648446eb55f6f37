"""Materials of a glTF file as a shot has them: one flat colour or one texture each, and what they mirror."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ani3d_formats.color import linear_to_srgb, srgb_to_linear
from ani3d_formats.shot_meta import Material

from .document import Document, read_uri

DIELECTRIC = 0.5  # Blender's specular level of a surface that mirrors 4 %, as glTF's plain ones do
LARGEST = 8192  # pixels along a texture's side
PLAIN = Material("plain", (0.8, 0.8, 0.8))


class Materials:
    """Collects the materials that primitives use, and their textures (H,W,4) uint8."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._numbers: dict[int, int] = {}
        self.rows: list[Material] = []
        self.textures: list[np.ndarray] = []

    def number(self, index: int | None) -> int:
        """The row of a material of the document, None for the default one."""
        key = -1 if index is None else index
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(PLAIN if index is None else self._read(index))
        return self._numbers[key]

    def _read(self, index: int) -> Material:
        entry = self._document.data["materials"][index]
        surface: dict[str, Any] = entry.get("pbrMetallicRoughness", {})
        factor = np.clip(np.array(surface.get("baseColorFactor", (1, 1, 1, 1)), float), 0, 1)
        texture = gloss = -1
        mode, cut = entry.get("alphaMode", "OPAQUE"), float(entry.get("alphaCutoff", 0.5))
        picture = self._picture(surface.get("baseColorTexture"))
        if picture is not None or (mode == "BLEND" and factor[3] < 1):
            picture = np.full((2, 2, 4), 255, np.uint8) if picture is None else picture
            texture = self._add(_tinted(picture, factor, mode, cut))
        roughness, metallic = (float(surface.get(f"{name}Factor", 1)) for name in ("roughness", "metallic"))
        mirrored = self._picture(surface.get("metallicRoughnessTexture"))
        if mirrored is not None:
            values = np.full(mirrored.shape, 255, np.uint8)
            values[..., 0] = np.rint(mirrored[..., 1] * roughness)
            values[..., 1] = np.rint(mirrored[..., 2] * metallic)
            values[..., 2] = round(255 * DIELECTRIC)
            gloss = self._add(values)
        name = str(entry.get("name", f"material {index}"))
        color = (float(factor[0]), float(factor[1]), float(factor[2]))
        roughness, metallic = min(max(roughness, 0.0), 1.0), min(max(metallic, 0.0), 1.0)
        return Material(name, color, texture, roughness, metallic, DIELECTRIC, gloss)

    def _add(self, texture: np.ndarray) -> int:
        self.textures.append(np.ascontiguousarray(texture))
        return len(self.textures) - 1

    def _picture(self, info: dict[str, Any] | None) -> np.ndarray | None:
        """(H,W,4) uint8 of a texture, RGBA."""
        if info is None:
            return None
        source = self._document.data["textures"][info["index"]].get("source")
        if source is None:
            return None
        image = self._document.data["images"][source]
        data = (
            read_uri(self._document.path, image["uri"]) if "uri" in image else self._document.view(image["bufferView"])
        )
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        if decoded is None or max(decoded.shape[:2]) > LARGEST:
            raise ValueError(f"its image {source} is no PNG or JPEG of at most {LARGEST} pixels")
        if decoded.dtype == np.uint16:
            decoded = (decoded // 257).astype(np.uint8)
        code = {2: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
        return cv2.cvtColor(decoded, code[decoded.shape[2] if decoded.ndim == 3 else 2])


def _tinted(picture: np.ndarray, factor: np.ndarray, mode: str, cut: float) -> np.ndarray:
    """A texture times a linear colour; its opacity as the material uses it."""
    out = picture.copy()
    for channel in range(3):
        if factor[channel] < 1:
            levels = linear_to_srgb(srgb_to_linear(np.arange(256) / 255.0) * factor[channel])
            out[..., channel] = np.rint(255 * levels).astype(np.uint8)[picture[..., channel]]
    opacity = picture[..., 3] * factor[3]
    if mode == "BLEND":
        out[..., 3] = np.rint(opacity)
    else:
        out[..., 3] = np.where(opacity >= 255 * cut, 255, 0) if mode == "MASK" else 255
    return out
