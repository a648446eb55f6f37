"""Fabrics: how garments and hair behave. No solver in here, so that settings load at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        apart: share of it that is kept from other cloth.
        friction: share of the sliding over the body that is lost in 1/720 s, 0..1.
        hold: how strongly half-pinned vertices return to the skin in 1/720 s, 0..1.
        shape: how strongly even free vertices return to where the skin has them in 1/720 s (hair keeps its style).
        style: the same next to what is held; it fades to `shape` over some 7 cm.
        jolt: m/s^2, the most at which the body, other cloth and its own lengths may make a particle faster.
        substeps: solver steps in 1/24 s at walking speed; slow frames take down to 0.6 times as many, fast ones up to
            4 times.
        exact: whether stretch and bend are what cloth shows on any mesh; else each constraint's own, to which comes
            what a pass of the solver adds (see `compliance`).
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
    apart: float = 0.5
    friction: float = 0.1
    hold: float = 0.06
    shape: float = 0.0
    style: float = 0.0
    jolt: float = float("inf")
    substeps: int = 30
    exact: bool = False
    preroll: int = 24


# Measured fabrics: density and bend from the literature (docs/benchmarks/fabrics.md). Their stretch stands for the
# shear that cloth drapes by. Stiffer than the generic one for their mass, they take more steps.
MEASURED = ClothSettings(stretch=16, substeps=120, exact=True)

# generic and hair are fitted to the statistics of Blender's cloth on training and validation clips (docs/physics.md)
FABRICS = {
    "generic": ClothSettings(),
    "chiffon": replace(MEASURED, density=0.045, bend=5e-7, damping=3e-4, air=0.04, friction=0.05, thickness=0.005),
    "tulle": replace(MEASURED, density=0.025, bend=1.5e-6, damping=2e-4, air=0.03, friction=0.1, thickness=0.005),
    "silk": replace(MEASURED, density=0.07, bend=1.5e-6, damping=4e-4, air=0.03, friction=0.05, thickness=0.005),
    "satin": replace(MEASURED, density=0.12, bend=3.5e-6, damping=8e-4, air=0.04, friction=0.05, thickness=0.005),
    "jersey": replace(MEASURED, density=0.18, stretch=14, bend=1.8e-6, damping=2e-3, air=0.06),
    "cotton": replace(MEASURED, density=0.13, bend=1.4e-5, damping=1e-3, air=0.04),
    "linen": replace(MEASURED, density=0.19, bend=2.5e-5, damping=1.5e-3, air=0.05),
    "wool": replace(MEASURED, density=0.22, bend=1e-5, damping=3e-3, air=0.08, friction=0.2, thickness=0.008),
    "velvet": replace(MEASURED, density=0.3, bend=2e-5, damping=4e-3, air=0.1, friction=0.2, thickness=0.008),
    "denim": replace(MEASURED, density=0.4, bend=1e-4, damping=5e-3, air=0.1, friction=0.2, thickness=0.007),
    "felt": replace(MEASURED, density=0.35, bend=1.2e-4, damping=6e-3, air=0.12, friction=0.3, thickness=0.008),
    "leather": replace(MEASURED, density=0.6, bend=6e-5, damping=8e-3, air=0.1, friction=0.2, thickness=0.008),
    # sheets of hair: they hang from where they are held, and fold
    "hair": ClothSettings(
        density=0.1,
        stretch=2000,
        bend=1e-9,
        damping=6e-4,
        air=0.3,
        thickness=0.003,
        apart=1 / 3,
        friction=0.03,
        hold=0.02,
        shape=2e-5,
        style=5e-4,
        jolt=150,
        substeps=120,
    ),
}

# other hair, what is round or short and strands, keeps the curves that it was given
LOCK = ClothSettings(
    density=0.1,
    stretch=400,
    bend=2.6e-7,
    damping=2.4e-3,
    air=0.1,
    thickness=0.005,
    hold=0.05,
    shape=5e-4,
    substeps=40,
)
