"""How good a fit is: its weighted picture terms on frames that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..device import to_numpy
from ..side_by_side import Workers
from .config import RefinementConfig
from .fitted_fields import FittedFields
from .objective import picture_terms
from .scene import FitScene
from .schedule import Pair

PREVIEW_SIDE = 128


def validate(
    scene: FitScene, fields: FittedFields, held_out: Sequence[Pair], config: RefinementConfig, workers: Workers
) -> tuple[float, np.ndarray]:
    """The mean over `held_out` pairs of view and frame, and a preview of the middle one, drawn beside its target."""

    @torch.no_grad()
    def validate_pair(pair: Pair) -> tuple[float, np.ndarray]:
        number, frame = pair
        active = scene.active_vertices(frame, fields.motion(scene.points, scene.time(frame), scene.gates))
        image, alpha = scene.draw(number, frame, active, fields.open_appearance(scene, frame))
        view = scene.views[number]
        value = float(sum(picture_terms(view, frame, image, alpha, config).values()))
        beside = torch.cat([image[0], view.target(frame)[0]], 2).permute(1, 2, 0)
        thin = max(1, -(-max(beside.shape[:2]) // PREVIEW_SIDE))
        return value, to_numpy((beside[::thin, ::thin].clamp(0, 1) * 255 + 0.5).to(torch.uint8))

    results = list(workers(validate_pair, held_out))
    return sum(value for value, _ in results) / len(results), results[len(results) // 2][1]
