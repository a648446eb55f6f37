"""The fields that a fit trains: of motion, and where it is asked for of appearance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn

from ..avatar.appearance import CHANNELS
from ..fields.build import FIELDS, MotionField, build_field
from ..storage.checkpoint import without_prefix
from .config import RefinementConfig
from .scene import FitScene

APPEARANCE_REACH = 0.3  # of appearance per unit of a field's coefficients, where motion has metres


def _placed(field: MotionField, scene: FitScene) -> MotionField:
    """The field on the scene's device."""
    cast(nn.Module, field).to(scene.points.device)
    return field


@dataclass(frozen=True)
class FittedFields:
    """A field of motion, and one of appearance of the same kind and size, or None."""

    motion: MotionField
    appearance: MotionField | None

    @classmethod
    def of(cls, scene: FitScene, config: RefinementConfig) -> FittedFields:
        """New ones for the open vertices of `scene`, zero everywhere."""
        kind, given = config.field_kind, (scene.points, scene.edges, scene.frames, config.seed)
        motion = _placed(build_field(kind, *given, config.field), scene)
        if not config.appearance:
            return cls(motion, None)
        size = replace(config.field or FIELDS[kind](), reach=APPEARANCE_REACH)
        return cls(motion, _placed(build_field(kind, *given, size, CHANNELS), scene))

    @property
    def _named(self) -> dict[str, MotionField]:
        return {"field": self.motion, **({"appearance": self.appearance} if self.appearance else {})}

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters of all fields with their learning rates."""
        return [group for part in self._named.values() for group in part.parameter_groups()]

    def state(self) -> dict[str, Tensor]:
        """A copy of everything training changes."""
        return {
            f"{name}.{key}": value.detach().clone()
            for name, part in self._named.items()
            for key, value in part.state_dict().items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        for name, part in self._named.items():
            part.load_state_dict(without_prefix(name, state))

    def open_appearance(self, scene: FitScene, frame: int) -> Tensor | None:
        """Appearance (P,5) of the open vertices, that of the scene included; None where there is neither."""
        offsets = self.appearance(scene.points, scene.time(frame), scene.gates) if self.appearance else None
        return scene.open_appearance(frame, offsets)
