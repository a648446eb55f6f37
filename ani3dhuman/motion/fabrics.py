"""Fabrics: how garments and hair behave. No solver in here, so that settings load at once."""

from __future__ import annotations

from dataclasses import dataclass

SUBSTEP = 1 / 720  # seconds that the shares below are given for; the solver converts them to the substep it takes


@dataclass(frozen=True)
class ClothSettings:
    """Fabric and solver.

    Attributes:
        stretch, bend: compliances, square metres per newton with unit masses; 0 is rigid.
        damping: loss of velocity to the air, 1/s.
        viscosity: share of the velocity difference along each edge lost in 1/720 s, 0..0.2.
        gravity: m/s^2.
        thickness: distance kept from the body, metres.
        friction: share of the sliding over the body that is lost in 1/720 s, 0..1.
        hold: how strongly half-pinned vertices return to the skin in 1/720 s, 0..1.
        shape: how strongly even free vertices return to where the skin has them in 1/720 s (hair keeps its style).
        substeps: solver steps in 1/24 s at walking speed; slow frames take down to 0.6 times as many, fast ones up to
            4 times.
        preroll: frames simulated before the first one, in which cloth and body come from the rest pose into the first
            frame, so that the cloth hangs and moves when the shot begins.
    """

    stretch: float = 1e-6
    bend: float = 3e-4
    damping: float = 1.2
    viscosity: float = 0.02
    gravity: float = 9.81
    thickness: float = 0.006
    friction: float = 0.25
    hold: float = 0.06
    shape: float = 0.0
    substeps: int = 30
    preroll: int = 24


FABRICS = {
    "cotton": ClothSettings(),
    "silk": ClothSettings(bend=3e-3, damping=0.8, viscosity=0.01, friction=0.1, thickness=0.005),
    "wool": ClothSettings(bend=1.2e-4, damping=1.8, viscosity=0.06, friction=0.4, thickness=0.008),
    "denim": ClothSettings(bend=2e-5, damping=2.0, viscosity=0.08, friction=0.35, thickness=0.007),
    "hair": ClothSettings(bend=1e-4, damping=3.0, viscosity=0.05, thickness=0.005, friction=0.1, hold=0.1, shape=0.012),
}
