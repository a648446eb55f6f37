"""Fabrics: how garments and hair behave. No solver in here, so that settings load at once."""

from __future__ import annotations

from dataclasses import dataclass

SUBSTEP = 1 / 720  # seconds that the shares below are given for; the solver converts them to the substep it takes


@dataclass(frozen=True)
class ClothSettings:
    """Fabric and solver.

    Attributes:
        density: kg/m^2.
        stretch: N/m, force a metre of width for each unit of strain.
        bend: N m, moment a metre of width for each 1/m of curvature (KES's B; 1 gf cm^2/cm is 9.8e-5 N m).
        damping: N s/m, of differences of velocity within the cloth.
        air: N s/m^3, drag a square metre for each m/s.
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

    density: float = 0.15
    stretch: float = 120.0
    bend: float = 3.2e-6
    damping: float = 1.8e-3
    air: float = 0.045
    gravity: float = 9.81
    thickness: float = 0.006
    friction: float = 0.1
    hold: float = 0.06
    shape: float = 0.0
    substeps: int = 30
    preroll: int = 24


# generic and hair are fitted to the statistics of Blender's cloth on training and validation clips (docs/physics.md)
FABRICS = {
    "generic": ClothSettings(),
    "cotton": ClothSettings(density=0.13, stretch=400, bend=7e-6, damping=1e-3, air=0.04),
    "silk": ClothSettings(
        density=0.07, stretch=400, bend=1.2e-6, damping=4e-4, air=0.03, friction=0.05, thickness=0.005
    ),
    "wool": ClothSettings(density=0.22, stretch=400, bend=1e-5, damping=3e-3, air=0.1, friction=0.2, thickness=0.008),
    "denim": ClothSettings(density=0.4, stretch=800, bend=8e-5, damping=6e-3, air=0.15, friction=0.2, thickness=0.007),
    "hair": ClothSettings(
        density=0.1, stretch=30, bend=2.6e-7, damping=2.4e-3, air=0.1, thickness=0.005, hold=0.05, shape=5e-4
    ),
}
