"""What a user of refinement can choose."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..fields.build import AnyFieldConfig


@dataclass(frozen=True)
class LossWeights:
    """How much each term of `losses` counts; 0 leaves it out.

    A term whose data a problem lacks, as `alpha` without a target's coverage, is left out too.
    """

    photometric: float = 1.0
    alpha: float = 0.3
    stretch: float = 10.0
    rigidity: float = 2.0
    acceleration: float = 30.0
    magnitude: float = 1.0
    planes: float = 0.002
    proposal: float = 0.02
    penetration: float = 0.05
    appearance: float = 0.1


@dataclass(frozen=True)
class RefinementConfig:
    """How to optimise the residual field.

    Attributes:
        steps: optimiser steps at most.
        frames_per_step: frames drawn in each step, side by side where there are threads; every frame is drawn equally
            often.
        ssim_share: share of structural similarity in the photometric loss.
        pyramid_levels: halved pictures the L1 term also compares.
        margin: pixels around the garment mask that still count, so that a skirt may swing out of it.
        held_out: every so many-th frame is kept from training and judges the fit.
        validate_every: steps between two validations on the held-out frames.
        cooldown: share of the steps, at the end, over which the learning rates decay; below 1.
        patience: validations without improvement before that decay starts early; the fit then ends early too.
        proposal_scale: metres, see `losses.proposal`.
        penetration_scale: metres, see `losses.penetration`.
        seed: of the field's start and of the order of frames.
        weights: of the loss terms.
        field_kind: which residual field, a key of `fields.build.FIELDS`.
        field: its size and learning rates, of the config class of its kind; None for that kind's default.
        appearance: whether a second field of that kind changes size, opacity and colour of Gaussians, see
            `avatar.appearance`. It is trained from where the learning rates begin to decay, so that motion
            explains first what it can; without a cooldown it is never trained.
    """

    steps: int = 400
    frames_per_step: int = 2
    ssim_share: float = 0.2
    pyramid_levels: int = 3
    margin: int = 16
    held_out: int = 8
    validate_every: int = 40
    cooldown: float = 0.5
    patience: int = 15
    proposal_scale: float = 0.01
    penetration_scale: float = 0.005
    seed: int = 0
    weights: LossWeights = field(default_factory=LossWeights)
    field_kind: str = "dct"
    field: AnyFieldConfig | None = None
    appearance: bool = False
