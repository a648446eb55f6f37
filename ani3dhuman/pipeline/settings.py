"""What a user can choose for a job, with presets; checked where it enters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import Ani3DError
from ..motion.fabrics import FABRICS

PRIORS = ("compact", "none")


@dataclass(frozen=True)
class Settings:
    """Choices of one job.

    Attributes:
        gaussians: Gaussians of the avatar.
        render_scale: picture size relative to the shot's.
        physics: simulate garment and hair before rendering the coarse layer.
        fabric: name of the garment's fabric, see `ani3dhuman.motion.fabrics.FABRICS`.
        prior: what restores the coarse video; ``"none"`` leaves it as it is.
        strength: how far restoration may leave the coarse video, 0..1 (METHOD: strength).
        sampling_steps: steps of the full noise schedule; strength takes its share of them.
        guidance: self-guidance scale s.
        refine_steps: optimisation steps of the residual field; 0 leaves it at zero.
        refine_height: picture height used for fitting, pixels.
        seed: of every random choice.
    """

    gaussians: int = 80_000
    render_scale: float = 1.0
    physics: bool = True
    fabric: str = "cotton"
    prior: str = "compact"
    strength: float = 0.7
    sampling_steps: int = 10
    guidance: float = 0.05
    refine_steps: int = 400
    refine_height: int = 416
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            ("gaussians", 100 <= self.gaussians <= 5_000_000, "100 to 5,000,000"),
            ("render_scale", 0.05 <= self.render_scale <= 4, "0.05 to 4"),
            ("fabric", self.fabric in FABRICS, ", ".join(FABRICS)),
            ("prior", self.prior in PRIORS, ", ".join(PRIORS)),
            ("strength", 0 < self.strength <= 1, "above 0, at most 1"),
            ("sampling_steps", 1 <= self.sampling_steps <= 1000, "1 to 1000"),
            ("guidance", 0 <= self.guidance <= 1, "0 to 1"),
            ("refine_steps", 0 <= self.refine_steps <= 100_000, "0 to 100,000"),
            ("refine_height", 32 <= self.refine_height <= 4096, "32 to 4096"),
        )
        for name, good, allowed in checks:
            if not good:
                raise Ani3DError(
                    "settings.value", f"{name} is {getattr(self, name)!r}.", f"Allowed for {name}: {allowed}."
                )

    def to_dict(self) -> dict[str, Any]:
        """All choices as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """Settings from a dict; ``preset`` names a starting point, other entries override it.

        Raises:
            Ani3DError: ``settings.unknown``, ``settings.type`` or ``settings.value``.
        """
        rest = dict(values)
        preset = rest.pop("preset", "preview")
        if preset not in PRESETS:
            raise Ani3DError(
                "settings.value", f"There is no preset {preset!r}.", f"Known presets: {', '.join(PRESETS)}."
            )
        known = {f.name: f.default for f in fields(cls)}
        for name, value in rest.items():
            if name not in known:
                raise Ani3DError(
                    "settings.unknown", f"There is no setting {name!r}.", f"Known settings: {', '.join(known)}."
                )
            rest[name] = _as_type(name, value, type(known[name]))
        return cls(**{**PRESETS[preset], **rest})


def _as_type(name: str, value: Any, wanted: type) -> Any:
    """The value as the setting's type; an integer serves as a float, nothing else is converted."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise Ani3DError("settings.type", f"{name} is {value!r}.", f"Give {name} as {wanted.__name__}.")
    return value


PRESETS: dict[str, dict[str, Any]] = {
    "draft": {"gaussians": 20_000, "render_scale": 0.5, "sampling_steps": 4, "refine_steps": 40, "refine_height": 160},
    "preview": {},
    "final": {"gaussians": 150_000, "refine_steps": 1200, "refine_height": 832},
}
