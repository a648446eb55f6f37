"""What one frame in one view adds to the loss: difference from the restored picture, and regularisation."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mesh.topology import rows
from . import losses
from .config import RefinementConfig
from .fitted_fields import FittedFields
from .rigidity import rigidity
from .scene import FitScene
from .scene_view import FitView


def picture_terms(
    view: FitView, frame: int, image: Tensor, alpha: Tensor, config: RefinementConfig
) -> dict[str, Tensor]:
    """Weighted differences of one drawn window, as from `FitScene.draw`, from the restored frame."""
    mask, target, weights = view.mask(frame), view.target(frame), config.weights
    difference = losses.photometric(image, target, mask, config.ssim_share, config.pyramid_levels)
    terms = {"photometric": weights.photometric * difference}
    wanted = view.target_alpha(frame)
    if wanted is not None:
        terms["alpha"] = weights.alpha * losses.weighted_mean((alpha - wanted).abs(), mask)
    return terms


def loss_terms(
    scene: FitScene, fields: FittedFields, view: int, frame: int, config: RefinementConfig
) -> dict[str, Tensor]:
    """All weighted terms of one frame in one view; their sum is minimised."""
    weights, count = config.weights, len(scene.points)
    first = min(max(frame - 1, 0), max(scene.frames - 3, 0))
    near = range(first, min(first + 3, scene.frames))
    offsets = fields.motion(scene.points, torch.tensor([scene.time(t) for t in near]), scene.gates)
    now = offsets[frame - first]
    active = scene.active_vertices(frame, now)
    vertex_appearance = fields.open_appearance(scene, frame)
    terms = picture_terms(scene.views[view], frame, *scene.draw(view, frame, active, vertex_appearance), config)

    lengths = losses.edge_lengths(active, scene.edges)
    terms["stretch"] = weights.stretch * losses.stretch(lengths, scene.shortest[frame], scene.longest[frame])
    tail, head = scene.half_edges.T
    before, after = (rows(vertices, head) - rows(vertices, tail) for vertices in (scene.unstrained[frame], active))
    terms["rigidity"] = weights.rigidity * rigidity(before, after, tail, count)
    if len(near) == 3:
        terms["acceleration"] = weights.acceleration * losses.acceleration(offsets)
    terms["magnitude"] = weights.magnitude * now.square().sum(-1).mean()
    terms["planes"] = weights.planes * fields.motion.roughness()
    if fields.appearance is not None and vertex_appearance is not None:
        terms["planes"] = terms["planes"] + weights.planes * fields.appearance.roughness()
        terms["appearance"] = weights.appearance * vertex_appearance.square().mean()
    if scene.proposed is not None:
        moved = active[:count] - scene.coarse[frame, :count]
        far = losses.proposal(moved, scene.proposed[frame], scene.gates, config.proposal_scale)
        terms["proposal"] = weights.proposal * far
    if scene.body is not None:
        heights, body = scene.body.low_heights(frame, active[:count]), scene.body
        entered = losses.penetration(heights, body.wanted[frame], body.weights[frame], config.penetration_scale)
        terms["penetration"] = weights.penetration * entered
    return terms
