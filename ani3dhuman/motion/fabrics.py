"""Fabrics: how garments and hair behave. No solver in here, so that settings load at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClothSettings:
    """Fabric and solver.

    Attributes:
        stretch, bend: compliances, square metres per newton with unit masses; 0 is rigid.
        damping: loss of velocity to the air, 1/s.
        viscosity: share of the velocity difference along each edge lost in a substep, 0..0.2.
        gravity: m/s^2.
        thickness: distance kept from the body, metres.
        friction: share of the sliding over the body that is lost in a substep, 0..1.
        hold: how strongly half-pinned vertices return to the skin in a substep, 0..1.
        shape: how strongly even free vertices return to where the skin has them in a substep (hair keeps its style).
        substeps: solver steps in a scene frame.
        preroll: frames simulated before the first one, so that the cloth hangs and moves when the shot begins.
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
    "silk": ClothSettings(bend=3e-3, damping=0.8),
    "denim": ClothSettings(bend=1e-4, damping=2.0, viscosity=0.05),
    "hair": ClothSettings(bend=1e-4, damping=3.0, viscosity=0.05, thickness=0.005, friction=0.1, hold=0.1, shape=0.012),
}
