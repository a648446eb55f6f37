"""Pictures of the coarse layer that Blender rendered, in the place of those of Gaussians."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ani3d_formats.coarse_pictures import AGAIN, CoarsePictures
from ani3d_formats.errors import Ani3DError

from ..clip import CoarseClip
from ..rendering.layers import LayerRender
from ..storage.frames_on_disk import Computed

NEAR = 0.02  # metres by which the mesh in the pictures may lie elsewhere than the coarse layer, in the mean


def in_blender(pictures: CoarsePictures, clip: CoarseClip, drawn: LayerRender, scale: float) -> LayerRender:
    """`drawn` with the colours of `pictures` over the clip's background; coverage, depth and regions stay.

    `scale` is how many times as large as the scene the clip is.

    Raises:
        Ani3DError: ``pictures.other_motion`` where they show the mesh elsewhere than it is in the clip.
    """
    apart = clip.vertices[:, pictures.shown] / scale - pictures.places
    distance = float(np.linalg.norm(apart, axis=-1).mean()) if apart.size else 0.0
    if distance > NEAR:
        raise Ani3DError(
            "pictures.other_motion",
            f"The pictures show the character {100 * distance:.0f} cm away from where this job's coarse layer has it.",
            AGAIN,
        )
    height, width = drawn.rgb.shape[1:3]

    def colors(t: int) -> np.ndarray:
        straight = pictures.colors[t].astype(np.float32) / 255
        premultiplied = np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], axis=2)
        fitted = cv2.resize(premultiplied, (width, height), interpolation=cv2.INTER_AREA)
        rgb = np.clip(fitted[..., :3] + (1 - fitted[..., 3:]) * clip.background, 0, 1) * 255 + 0.5
        return rgb.astype(np.uint8)

    return replace(drawn, rgb=Computed(drawn.rgb.shape, np.uint8, colors))
