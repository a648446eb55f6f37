"""Posed Gaussians of a clip: what the rasteriser draws and the frame cache stores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SH_C0 = 0.28209479177387814  # zeroth real spherical harmonic, the scale of f_dc in 3DGS files


@dataclass(frozen=True)
class GaussianFrames:
    """Gaussians of T frames in world space.

    Attributes:
        means: (T,N,3) metres.
        quats: (T,N,4) wxyz, unit.
        scales: (T,N,3) linear standard deviations, metres; may be a broadcast view when static.
        opacities: (N,) 0..1, or (T,N) where they change.
        colors: (T,N,3) sRGB-encoded, above 1 where they are brighter than white; may be a broadcast view when static.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray

    def opacities_at(self, frame: int) -> np.ndarray:
        """(N,) of one frame."""
        return self.opacities if self.opacities.ndim == 1 else self.opacities[frame]

    def scaled(self, factor: float) -> GaussianFrames:
        """The same Gaussians in a world `factor` times as large; scales that never change stay a broadcast view."""
        size = np.float32(factor)
        static = self.scales.strides[0] == 0
        scales = np.broadcast_to(self.scales[0] * size, self.scales.shape) if static else self.scales * size
        return replace(self, means=self.means * size, scales=scales)

    @property
    def frames(self) -> int:
        return self.means.shape[0]

    @property
    def count(self) -> int:
        return self.means.shape[1]
