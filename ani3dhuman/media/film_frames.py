"""Film frames on disk: 16-bit PNG and OpenEXR, each declaring what its numbers mean, each published whole."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from ani3d_formats.atomic import write_bytes

from .picture import Picture

REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)  # xy of red, green, blue and white
_AFTER_HEADER = 33  # bytes of PNG signature and IHDR chunk


def write_png16(path: Path, picture: Picture) -> None:
    """Write a 16-bit RGBA PNG: straight alpha, as PNG demands, and sRGB, as its sRGB chunk says.

    Raises `Ani3DError` ``disk.full``.
    """
    rgba = picture.to("straight", "srgb").rgba
    levels = (np.clip(rgba, 0, 1) * 65535 + 0.5).astype(np.uint16)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(levels, cv2.COLOR_RGBA2BGRA))
    data = encoded.tobytes()
    body = b"sRGB\0"  # rendering intent: perceptual
    chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    write_bytes(Path(path), data[:_AFTER_HEADER] + chunk + data[_AFTER_HEADER:])


def write_exr(
    path: Path,
    picture: Picture,
    *,
    full_float: bool = False,
    metadata: Mapping[str, str | int | float] | None = None,
    depth: np.ndarray | None = None,
    packed: bool = True,
) -> None:
    """Write an OpenEXR file: premultiplied alpha and linear light with Rec. 709 primaries.

    Args:
        path: the file.
        picture: in any declaration; it is converted.
        full_float: 32 bits a channel instead of 16.
        metadata: further header attributes.
        depth: (H,W) metres along the view, written in 32 bits as the channel Z.
        packed: compressed; if not, simple programs can read it.

    Raises:
        Ani3DError: ``disk.full``.
    """
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION if packed else OpenEXR.NO_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": REC709,
        "colorInteropID": "lin_rec709_scene",
        "alpha": "premultiplied",
        "transfer": "linear",
        **(metadata or {}),
    }
    rgba = picture.to("premultiplied", "linear").rgba
    # OpenEXR takes the array's memory for rows of pixels, whatever its strides say
    rgba = rgba.astype(np.float32 if full_float else np.float16, order="C")
    channels = {"RGBA": rgba}
    if depth is not None:
        channels["Z"] = depth.astype(np.float32, order="C")
    data = io.BytesIO()
    with OpenEXR.File(header, channels) as file:
        file.write(data)
    write_bytes(Path(path), data.getvalue())
