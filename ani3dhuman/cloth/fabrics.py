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
    bend: float = 2e-2
    damping: float = 0.3
    viscosity: float = 0.02
    gravity: float = 9.81
    thickness: float = 0.006
    friction: float = 0.1
    hold: float = 0.06
    shape: float = 0.0
    substeps: int = 30
    preroll: int = 24


# cotton and hair are fitted to the statistics of Blender's cloth on training and validation clips (docs/physics.md)
FABRICS = {
    "cotton": ClothSettings(),
    "silk": ClothSettings(bend=6e-2, viscosity=0.015, friction=0.05, thickness=0.005),
    "wool": ClothSettings(bend=1e-2, damping=0.6, viscosity=0.035, friction=0.2, thickness=0.008),
    "denim": ClothSettings(bend=4e-3, damping=0.8, viscosity=0.05, friction=0.2, thickness=0.007),
    "hair": ClothSettings(bend=1e-2, damping=1.0, viscosity=0.1, thickness=0.005, friction=0.1, hold=0.05, shape=5e-4),
}
