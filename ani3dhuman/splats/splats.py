"""Gaussians of one moment as files of other programs hold them: with all degrees of colour that depends on the view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.gaussians import SH_C0

from .harmonics import matrices, rotated

OWN_COLORS = "radiance:own"  # attribute of a cache: `sh` in each Gaussian's own axes, which turn with it
COEFFICIENTS = (1, 4, 9, 16)  # of each channel, by degree
# of a file, one after the other; where that is long work made as they are taken, some empty, so that it can be stopped
Parts = Iterable[bytes | memoryview]
MOST = 100_000_000  # Gaussians in a file; more is a damaged header
LARGE, TIGHTEST = 1 << 26, 50  # bytes unpacked, from which on no real file is packed so many times smaller


@dataclass(frozen=True)
class Splats:
    """N Gaussians.

    Attributes:
        means: (N,3) metres.
        quats: (N,4) wxyz; files may hold them at any length but zero.
        scales: (N,3) linear standard deviations, metres.
        opacities: (N,) 0..1.
        sh: (N,K,3) spherical harmonics of sRGB-encoded colour less one half, K = 1, 4, 9 or 16, in the order and with
            the signs of 3DGS (Kerbl et al. 2023); the first is the colour from all sides.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    sh: np.ndarray

    @classmethod
    def of_frame(cls, attributes: dict[str, np.ndarray]) -> Splats:
        """A frame of a cache: `position`, `rotation`, `scale`, `radiance:base`, and `radiance:own` if it is there."""
        radiance, quats = attributes["radiance:base"], attributes["rotation"]
        sh = radiance[:, None, :3]
        if OWN_COLORS in attributes:
            sh = rotated(attributes[OWN_COLORS].reshape(len(quats), -1, 3), matrices(quats))
        return cls(attributes["position"], quats, attributes["scale"], radiance[:, 3], sh)

    @classmethod
    def joined(cls, parts: Sequence[Splats]) -> Splats:
        """All of some, at the highest degree among them; nothing of nothing."""
        if not parts:
            three = np.zeros((0, 3), np.float32)
            return cls(three, np.zeros((0, 4), np.float32), three, np.zeros(0, np.float32), three[:, None])
        most = max(part.sh.shape[1] for part in parts)
        return cls(
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.quats for part in parts]),
            np.concatenate([part.scales for part in parts]),
            np.concatenate([part.opacities for part in parts]),
            np.concatenate([np.pad(part.sh, ((0, 0), (0, most - part.sh.shape[1]), (0, 0))) for part in parts]),
        )

    @property
    def count(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        return COEFFICIENTS.index(self.sh.shape[1])

    @property
    def colors(self) -> np.ndarray:
        """(N,3) sRGB-encoded, 0..1 where nothing is too bright or dark, without what depends on the view."""
        return self.sh[:, 0] * np.float32(SH_C0) + np.float32(0.5)

    def turned(self, R: np.ndarray, scale: float = 1.0) -> Splats:
        """The same Gaussians in axes turned by R (3,3), a rotation, and `scale` times as large."""
        if scale == 1 and np.array_equal(R, np.eye(3)):
            return self
        means = _matrix_product(self.means, R) * np.float32(scale)
        quats = _after(quat_of(R), self.quats)
        return replace(self, means=means, quats=quats, scales=self.scales * np.float32(scale), sh=rotated(self.sh, R))

    def turned_each(self, R: np.ndarray) -> Splats:
        """Gaussians that stay in their places, each turned by a rotation of its own (N,3,3)."""
        from scipy.spatial.transform import Rotation

        x, y, z, w = Rotation.from_matrix(R).as_quat().T
        return replace(self, quats=_after((w, x, y, z), self.quats), sh=rotated(self.sh, R))

    def _sound(self) -> bool:
        """Whether nothing is wrong at a look at whole arrays, which is ten times as fast as one at rows."""
        whole = (self.means, self.quats, self.scales, self.opacities, self.sh)
        if not all(np.isfinite(array).all() for array in whole):
            return False
        turned = np.einsum("nk,nk->n", self.quats, self.quats).min(initial=1) > 0
        low, high = self.opacities.min(initial=0), self.opacities.max(initial=0)
        return bool(turned and self.scales.min(initial=0) >= 0 and low >= 0 and high <= 1)

    def with_degree(self, degree: int) -> Splats:
        """The same Gaussians with colours of at most a degree 0..3; what is cut is lost."""
        return replace(self, sh=self.sh[:, : COEFFICIENTS[min(degree, self.degree)]])

    def chosen(self, which: np.ndarray) -> Splats:
        """Those that `which`, (N,) bool or indices, names."""
        return Splats(self.means[which], self.quats[which], self.scales[which], self.opacities[which], self.sh[which])

    def checked(self, path: Path) -> Splats:
        """Itself. Raises `Ani3DError` ``splats.values`` where a number is not finite, a turn or a size is zero."""
        if self._sound():
            return self
        rules = (
            ("a position that is not finite", ~np.isfinite(self.means).all(1)),
            ("a rotation of no length", ~(np.square(self.quats, dtype=np.float64).sum(1) > 0)),
            ("a size that is not a positive number", ~(np.isfinite(self.scales) & (self.scales >= 0)).all(1)),
            ("an opacity outside 0 to 1", ~((self.opacities >= 0) & (self.opacities <= 1))),
            ("a colour that is not finite", ~np.isfinite(self.sh).all((1, 2))),
        )
        for what, wrong in rules:
            if wrong.any():
                raise Ani3DError(
                    "splats.values",
                    f"{path.name}: {int(wrong.sum()):,} of {self.count:,} Gaussians have {what}, the first is number "
                    f"{int(wrong.argmax()):,}.",
                    "Remove them where the file was made (SuperSplat does), or export it again.",
                )
        return self


def _after(turn: Sequence[np.ndarray | float], quats: np.ndarray) -> np.ndarray:
    """(N,4) `quats` and then a turn; all wxyz, the turn's parts numbers or (N,)."""
    (w, x, y, z), p = turn, quats
    parts = [
        w * p[:, 0] - x * p[:, 1] - y * p[:, 2] - z * p[:, 3],
        w * p[:, 1] + x * p[:, 0] + y * p[:, 3] - z * p[:, 2],
        w * p[:, 2] - x * p[:, 3] + y * p[:, 0] + z * p[:, 1],
        w * p[:, 3] + x * p[:, 2] - y * p[:, 1] + z * p[:, 0],
    ]
    return np.stack(parts, axis=1).astype(np.float32)


def quat_of(R: np.ndarray) -> tuple[float, float, float, float]:
    """The unit quaternion wxyz of one rotation matrix (3,3)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return float(w), float(x), float(y), float(z)


def _matrix_product(vectors: np.ndarray, R: np.ndarray) -> np.ndarray:
    """R v for vectors (N,3); exact to the bit where R only exchanges axes and signs."""
    if np.isin(R, (-1, 0, 1)).all():
        taken = np.abs(R).argmax(1)
        return np.ascontiguousarray(vectors[:, taken]) * R[np.arange(3), taken].astype(np.float32)
    return (vectors.astype(np.float64) @ R.T).astype(np.float32)


def check_unpacked(path: Path, packed: int, whole: int, form: str) -> None:
    """Raise ``splats.malformed`` where `packed` bytes say that they unpack to so many that only a trap would."""
    if whole > max(LARGE, TIGHTEST * packed):
        raise damaged_error(path, f"its {packed:,} bytes say that they unpack to {whole:,}", form)


def damaged_error(path: Path, what: str, form: str) -> Ani3DError:
    """The error for a file that is not what its name says."""
    return Ani3DError("splats.malformed", f"{path.name} is not a sound {form} file: {what}.", "Export it again.")
