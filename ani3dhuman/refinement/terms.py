"""What one frame in one view adds to the loss: difference from the restored picture, and regularisation."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fields.build import MotionField
from ..mesh.topology import rows
from . import losses
from .config import RefinementConfig
from .rigidity import rigidity
from .scene import FitScene
from .scene_view import FitView


def picture_terms(
    view: FitView, frame: int, image: Tensor, alpha: Tensor, depth: Tensor | None, config: RefinementConfig
) -> dict[str, Tensor]:
    """Weighted differences of one drawn window, as from `FitScene.draw`, from the restored frame."""
    mask, target, weights = view.mask(frame), view.target(frame), config.weights
    difference = losses.photometric(image, target, mask, config.ssim_share, config.pyramid_levels)
    terms = {"photometric": weights.photometric * difference}
    wanted = view.target_alpha(frame)
    if wanted is not None:
        terms["alpha"] = weights.alpha * losses.weighted_mean((alpha - wanted).abs(), mask)
    measured = view.target_depth(frame)
    if measured is not None and depth is not None:
        covered = mask * alpha.detach()  # what is not drawn has no depth
        terms["depth"] = weights.depth * losses.depth(depth, measured, covered, config.depth_scale)
    if weights.perceptual:
        unlike = losses.perceptual(image, target, mask, config.perceptual_side)
        terms["perceptual"] = weights.perceptual * unlike
    return terms


def loss_terms(
    scene: FitScene,
    residual: MotionField,
    view: int,
    frame: int,
    config: RefinementConfig,
    appearance: MotionField | None = None,
) -> dict[str, Tensor]:
    """All weighted terms of one frame in one view; their sum is minimised. No `appearance`: none is learned."""
    weights, count = config.weights, len(scene.points)
    first = min(max(frame - 1, 0), max(scene.frames - 3, 0))
    near = range(first, min(first + 3, scene.frames))
    times = torch.tensor([scene.time(t) for t in near])
    offsets = residual(scene.points, times, scene.gates)
    now = offsets[frame - first]
    active = scene.active_vertices(frame, now)
    vertex_appearance = scene.open_appearance(
        frame, appearance(scene.points, times[frame - first], scene.gates) if appearance else None
    )
    terms = picture_terms(scene.views[view], frame, *scene.draw(view, frame, active, vertex_appearance), config)

    lengths = losses.edge_lengths(active, scene.edges)
    terms["stretch"] = weights.stretch * losses.stretch(lengths, scene.shortest[frame], scene.longest[frame])
    tail, head = scene.half_edges.T
    before, after = (rows(vertices, head) - rows(vertices, tail) for vertices in (scene.unstrained[frame], active))
    terms["rigidity"] = weights.rigidity * rigidity(before, after, tail, count)
    if len(near) == 3:
        terms["acceleration"] = weights.acceleration * losses.acceleration(offsets)
    terms["magnitude"] = weights.magnitude * now.square().sum(-1).mean()
    terms["planes"] = weights.planes * residual.roughness()
    if appearance is not None and vertex_appearance is not None:
        terms["planes"] = terms["planes"] + weights.planes * appearance.roughness()
        terms["appearance"] = weights.appearance * vertex_appearance.square().mean()
    if scene.proposed is not None and scene.confidence is not None:
        moved = active[:count] - scene.coarse[frame, :count]
        far = losses.proposal(moved, scene.proposed[frame], scene.confidence[frame], config.proposal_scale)
        terms["proposal"] = weights.proposal * far
    if scene.body is not None:
        heights, body = scene.body.low_heights(frame, active[:count]), scene.body
        entered = losses.penetration(heights, body.wanted[frame], body.weights[frame], config.penetration_scale)
        terms["penetration"] = weights.penetration * entered
    return terms
