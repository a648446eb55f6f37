"""The residual fields there are, by name: "hexplane" and "dct" (trajectories of cosines)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ani3d_formats.errors import Ani3DError

from .dct import DctConfig, DctField, check_points, config_error
from .hexplane import FieldConfig, ResidualField

AnyFieldConfig = FieldConfig | DctConfig
FIELDS: dict[str, type[AnyFieldConfig]] = {"hexplane": FieldConfig, "dct": DctConfig}
ROOM = 0.02  # metres around the points: a flat garment's box gets some depth


class MotionField(Protocol):
    """What refinement needs from a field. Its parameters start so that all offsets are exactly zero."""

    def __call__(self, points: Tensor, times: Tensor | float, gates: Tensor | None = None) -> Tensor:
        """Offsets (P,C) at one time or (T,P,C) at many, of motion in bone-local metres; see `ResidualField.forward`."""
        ...

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters with Adam's learning rate for them."""
        ...

    def roughness(self) -> Tensor:
        """A scalar without unit, 0 at rest for fields of cosines, that grows as neighbours or moments differ."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything training changes."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take the state of a field made of the same arguments."""
        ...


def build_field(
    kind: str,
    points: Tensor,
    edges: Tensor,
    frames: int,
    seed: int = 0,
    config: AnyFieldConfig | None = None,
    channels: int = 3,
) -> MotionField:
    """A new field, zero everywhere.

    Args:
        kind: a key of `FIELDS`.
        points: (P,3) bind pose of the points it moves, world metres.
        edges: (E,2) mesh edges; those with an end beyond P, at vertices that stay, are passed over.
        frames: of the clip.
        seed: of what starts at random.
        config: size of the field, of the class `FIELDS` names for the kind; None for its default.
        channels: C numbers of an offset: 3 of motion, `appearance.CHANNELS` of appearance.

    Raises:
        Ani3DError: ``field.kind``, ``field.config``, ``field.points`` or ``field.edges``.
    """
    if kind not in FIELDS:
        raise Ani3DError(
            "field.kind", f"There is no residual field {kind!r}.", f"Choose one of {', '.join(sorted(FIELDS))}."
        )
    config = config or FIELDS[kind]()
    if not isinstance(config, FIELDS[kind]):
        raise Ani3DError(
            "field.config",
            f"A field {kind!r} cannot have the size of a {type(config).__name__}.",
            f"Give a {FIELDS[kind].__name__}, or none.",
        )
    check_points(points)
    if channels < 1:
        raise config_error(f"of {channels} channels")
    if isinstance(config, DctConfig):
        return DctField(points, edges[(edges < len(points)).all(-1)], frames, config, channels)
    low, high = torch.aminmax(points, dim=0)
    return ResidualField(low - ROOM, high + ROOM, config, seed, channels)
