"""Whether the person stays the same: the face seen by the perceptual net, and CLIP's image similarity.

Neither is a face recogniser: the first notices any change of the face's pixels, the second judges the picture as a
whole.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from ani3d_formats.errors import Ani3DError

from .perceptual import chosen_frames, perceptual_map
from .pictures import box_of

FACE_SIDE = 96  # pixels of the shorter side at which the nets see a face
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of all CLIP models
CLIP_MODEL = "openai/clip-vit-large-patch14"


def face_distance(pictures: np.ndarray, truth: np.ndarray, face: np.ndarray, every: int = 1) -> float:
    """Mean perceptual distance of the face; 0 is equal, NaN where no judged frame shows it.

    Args:
        pictures, truth: (T,H,W,3) sRGB 0..1.
        face: (T,H,W) bool, where the truth shows the face. Its box and a quarter more on every side is enlarged to
            `FACE_SIDE` pixels where it is smaller; the mean is over the face's own pixels.
        every: every how many frames.

    Raises:
        Ani3DError: ``metrics.weights``.
    """
    values = []
    for t in chosen_frames(len(pictures), every):
        tight = box_of(face[t], 0, 1)
        if tight is None:
            continue
        box = box_of(face[t], max(2, max(s.stop - s.start for s in tight) // 4), 8)
        assert box is not None
        side = min(s.stop - s.start for s in box)
        grown = max(1.0, FACE_SIDE / side)
        a, b = (_enlarged(x[t][box], grown, cv2.INTER_CUBIC) for x in (pictures, truth))
        mask = _enlarged(face[t][box].astype(np.uint8), grown, cv2.INTER_NEAREST).astype(bool)
        values.append(float(perceptual_map(a, b)[mask].mean()))
    return float(np.mean(values)) if values else float("nan")


def _enlarged(image: np.ndarray, times: float, interpolation: int) -> np.ndarray:
    return cv2.resize(image, None, fx=times, fy=times, interpolation=interpolation)


@cache
def load_clip(folder: Path) -> Any:
    """A CLIP model of `transformers` from a local folder.

    Raises:
        Ani3DError: ``metrics.weights`` where the folder holds no CLIP model with safetensors weights.
    """
    from transformers import CLIPModel

    try:
        return CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise Ani3DError(
            "metrics.weights",
            f"CLIP identity cannot be measured: {folder} holds no CLIP model ({str(error).splitlines()[0]}).",
            f"Fetch one with: hf download {CLIP_MODEL} --local-dir {folder}",
        ) from error


def clip_embeddings(pictures: np.ndarray, folder: Path) -> np.ndarray:
    """Unit CLIP embeddings (T,D) of pictures (T,H,W,3) sRGB 0..1.

    The shorter side is scaled to the model's size, the longer one padded with its border so that nothing is cut off:
    the middle square that CLIP takes by default loses the head and feet of a standing person.

    Raises:
        Ani3DError: ``metrics.weights``.
    """
    model = load_clip(Path(folder))
    side = model.config.vision_config.image_size
    x = torch.from_numpy(np.ascontiguousarray(pictures, np.float32)).permute(0, 3, 1, 2)
    height, width = x.shape[2:]
    tall, wide = (max(height, width) - n for n in (height, width))
    x = functional.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2), mode="replicate")
    x = functional.interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    mean, std = (x.new_tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    with torch.inference_mode():
        seen = model.vision_model(pixel_values=(x - mean) / std).pooler_output
        return functional.normalize(model.visual_projection(seen), dim=-1).numpy()


def clip_identity(pictures: np.ndarray, reference: np.ndarray, folder: Path, every: int = 1) -> float:
    """CLIP-I: mean cosine similarity of pictures to a reference; 1 is the same picture.

    Args:
        pictures: (T,H,W,3) sRGB 0..1.
        reference: (T,H,W,3) the true frames, compared frame by frame, or (1,H,W,3) one portrait for all.
        folder: a CLIP model in transformers' layout.
        every: every how many frames.

    Raises:
        Ani3DError: ``metrics.weights``.
    """
    chosen = list(chosen_frames(len(pictures), every))
    seen = clip_embeddings(pictures[chosen], folder)
    wanted = clip_embeddings(reference if len(reference) == 1 else reference[chosen], folder)
    return float((seen * wanted).sum(-1).mean())
