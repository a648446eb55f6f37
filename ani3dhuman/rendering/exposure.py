"""How a film camera exposes a frame: when the shutter is open, where the lens lets light in, and what is sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError

ShutterPosition = Literal["start", "center", "end"]
SENSOR_WIDTH = 36.0  # mm, Blender's default, on the longer side of the picture
_PLASTIC = 1.32471795724474602596  # real root of x^3 = x + 1


@dataclass(frozen=True)
class Exposure:
    """Film settings of a camera.

    The lens is ideal and thin: it blurs what is out of focus to a disk, and changes nothing else. It is given by
    `fstop` or by `aperture_radius`; without either the camera is a pinhole.

    Attributes:
        samples: pictures averaged per frame.
        shutter: how long the shutter is open, in frames; 0 is an instant, 0.5 film's 180 degrees.
        shutter_position: ``"start"``, ``"center"`` or ``"end"`` of the open time lies on the frame, as in Blender.
        fstop: focal length over the diameter of the aperture.
        focal_length: in mm; None takes it from the camera's K with a sensor of 36 mm on the longer side.
        aperture_radius: in metres, instead of `fstop`.
        focus_distance: in metres along the viewing axis, to the plane that is sharp.
        seed: of the jitter.

    Raises:
        Ani3DError: ``film.value`` for a number out of range, ``film.lens`` for a lens without focus distance, a focus
            distance or focal length without the lens, or a lens given twice.
    """

    samples: int = 32
    shutter: float = 0.5
    shutter_position: ShutterPosition = "center"
    fstop: float | None = None
    focal_length: float | None = None
    aperture_radius: float | None = None
    focus_distance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        def good(value: float | None) -> bool:
            return value is None or 0 < value < math.inf

        checks = (
            ("samples", 1 <= self.samples <= 4096, "1 to 4096"),
            ("shutter", 0 <= self.shutter <= 10, "0 to 10 frames"),
            ("shutter_position", self.shutter_position in get_args(ShutterPosition), "start, center, end"),
            ("fstop", good(self.fstop), "above 0"),
            ("focal_length", good(self.focal_length), "above 0, in mm"),
            ("aperture_radius", good(self.aperture_radius), "above 0, in metres"),
            ("focus_distance", good(self.focus_distance), "above 0, in metres"),
            ("seed", self.seed >= 0, "0 and above"),
        )
        for name, fine, allowed in checks:
            if not fine:
                raise Ani3DError("film.value", f"{name} is {getattr(self, name)!r}.", f"Allowed for {name}: {allowed}.")
        if self.fstop is not None and self.aperture_radius is not None:
            raise Ani3DError("film.lens", "The lens has both an f-stop and an aperture radius.", "Give one of the two.")
        if self.has_lens != (self.focus_distance is not None):
            raise Ani3DError(
                "film.lens",
                "Depth of field needs the size of the aperture and a focus distance, and only one of them is given.",
                "Give both, or neither for a pinhole camera.",
            )
        if self.focal_length is not None and self.fstop is None:
            raise Ani3DError(
                "film.lens",
                "A focal length is given without an f-stop; alone it changes nothing.",
                "Give the f-stop as well, or leave the focal length out.",
            )

    @property
    def has_lens(self) -> bool:
        """Whether there is depth of field."""
        return self.fstop is not None or self.aperture_radius is not None

    @property
    def passes(self) -> int:
        """Drawings a frame: `samples`, but 1 where neither shutter nor lens makes them differ."""
        return self.samples if self.shutter > 0 or self.has_lens else 1

    def interval(self, frame: int) -> tuple[float, float]:
        """When the shutter opens and closes for a frame, in frames."""
        opens = frame - {"start": 0.0, "center": 0.5, "end": 1.0}[self.shutter_position] * self.shutter
        return opens, opens + self.shutter

    def lens_radius(self, cameras: CameraPath, index: int = 0) -> float:
        """Radius of the aperture in metres for the camera at `index`; 0 for a pinhole.

        Raises:
            Ani3DError: ``film.orthographic``, because parallel rays do not meet in a lens.
        """
        if not self.has_lens:
            return 0.0
        if cameras.camera_type == "orthographic":
            raise Ani3DError(
                "film.orthographic",
                "An orthographic camera has no depth of field.",
                "Leave the f-stop and the focus distance out, or use a perspective camera.",
            )
        if self.aperture_radius is not None:
            return self.aperture_radius
        assert self.fstop is not None
        focal = self.focal_length
        if focal is None:
            focal = float(cameras.Ks[index, 0, 0]) / max(cameras.width, cameras.height) * SENSOR_WIDTH
        return focal / 1000 / (2 * self.fstop)

    def scaled(self, factor: float) -> Exposure:
        """The same exposure of a world `factor` times as large."""
        return replace(
            self,
            fstop=None if self.fstop is None else self.fstop / factor,
            aperture_radius=None if self.aperture_radius is None else self.aperture_radius * factor,
            focus_distance=None if self.focus_distance is None else self.focus_distance * factor,
        )

    def sample(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Points in time and on the lens, the same for the same seed and frame.

        Times are stratified and jittered. Lens points run along the R2 sequence (Roberts 2018), shifted by a random
        offset per frame (Cranley and Patterson 1976), in the order of the times: together they fill the space of
        time and lens evenly, so that no part of the lens sees one part of the shutter only.

        Args:
            frame: scene frame.

        Returns:
            Times (S,) in frames, ascending, and points (S,2) in the unit disk; S is `passes`.
        """
        rng = np.random.default_rng([self.seed, frame % 2**32])  # frames may be negative, entropy may not
        count = np.arange(self.passes)
        opens, _ = self.interval(frame)
        times = opens + self.shutter * (count + rng.random(self.passes)) / self.passes
        square = (np.outer(count, [1 / _PLASTIC, 1 / _PLASTIC**2]) + rng.random(2)) % 1
        return times, concentric_disk(square)


def concentric_disk(square: np.ndarray) -> np.ndarray:
    """Points (S,2) of the unit square as points of the unit disk; areas keep their size (Shirley and Chiu 1997)."""
    x, y = (2 * square - 1).T
    wide = np.abs(x) > np.abs(y)
    radius = np.where(wide, x, y)
    over = np.where(radius == 0, 1, radius)
    angle = np.pi / 4 * np.where(wide, y / over, 2 - x / over)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
