"""Smooth pictures whose distribution is known: a Gaussian mixture with its exact velocity, and a distance to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

MODES = 6
BETWEEN = 0.6  # share of a pixel's variance that lies between modes


def cosine_basis(size: int) -> torch.Tensor:
    """(size,size) float64 orthonormal DCT-II, a wave a row."""
    wave = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / size * wave[:, None] * (wave + 0.5)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


@dataclass(frozen=True)
class Mixture:
    """Smooth pictures in MODES kinds; every mode is a Gaussian, diagonal in the cosine basis.

    Attributes:
        means: (K,D) of the modes, cosine coefficients.
        stds: (K,D).
        shares: (K,) that sum to 1.
        basis: (side,side), pixels to coefficients.
    """

    means: torch.Tensor
    stds: torch.Tensor
    shares: torch.Tensor
    basis: torch.Tensor

    @classmethod
    def random(cls, side: int, generator: torch.Generator) -> Mixture:
        """Power falls with frequency; a pixel's variance over the whole mixture is 1 on average."""
        f = torch.arange(side, dtype=torch.float64)
        power = ((1 + (f[:, None] ** 2 + f[None] ** 2) / 2) ** -2).flatten()

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        weights = torch.rand(MODES, generator=generator, dtype=torch.float64) + 0.5
        shares = weights / weights.sum()
        means = draw(MODES, side**2) * power.sqrt()
        means -= shares @ means
        means *= (BETWEEN * side**2 / (shares @ means.square().sum(1))).sqrt()
        variances = power * (0.5 * draw(MODES, side**2)).exp() + 1e-3 * power.sum() / side**2
        variances *= (1 - BETWEEN) * side**2 / (shares @ variances.sum(1))
        return cls(means, variances.sqrt(), shares, cosine_basis(side))

    def coefficients(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N,1,1,side,side) to (N,D)."""
        return (self.basis @ pictures.double()[:, 0, 0] @ self.basis.T).flatten(1)

    def pictures(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(N,D) to (N,1,1,side,side) float32."""
        return (self.basis.T @ coefficients.unflatten(1, self.basis.shape) @ self.basis).float()[:, None, None]

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """(N,1,1,side,side)."""
        mode = torch.multinomial(self.shares, count, True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        return self.pictures(self.means[mode] + self.stds[mode] * noise)

    def velocity(self, z: torch.Tensor, sigma: float) -> torch.Tensor:
        """E[eps - x0 | z], exact, of z's shape."""
        w, a = self.coefficients(z), 1 - sigma
        variance = (a * self.stds) ** 2 + sigma**2
        quadratic = w.square() @ (1 / variance).T - 2 * w @ (a * self.means / variance).T
        constant = (((a * self.means) ** 2) / variance + variance.log()).sum(1)
        posterior = (self.shares.log() - 0.5 * (quadratic + constant)).softmax(1)
        gain = a * self.stds**2 / variance
        x0 = posterior @ (self.means * (1 - a * gain)) + w * (posterior @ gain)
        return self.pictures((w - x0) / sigma)

    def nearest_mode(self, pictures: torch.Tensor, waves: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Which mode is nearest (N,), and the squared Mahalanobis distance to it over D, about 1 for true samples.

        `waves` leaves only the coarsest waves along each axis.
        """
        coarse = torch.zeros(self.basis.shape, dtype=torch.bool)
        coarse[:waves, :waves] = True
        chosen = coarse.flatten()
        w, means, inverse = self.coefficients(pictures)[:, chosen], self.means[:, chosen], self.stds[:, chosen] ** -2
        squared = w.square() @ inverse.T - 2 * w @ (means * inverse).T + (means**2 * inverse).sum(1)
        nearest = squared.min(1)
        return nearest.values / w.shape[1], nearest.indices


def degraded(pictures: torch.Tensor, kind: str, distance: float) -> torch.Tensor:
    """The right half displaced by `distance` pixel standard deviations (RMS of each picture)."""
    out = pictures.clone()
    half = out[..., out.shape[-1] // 2 :]
    if kind == "offset":
        half += distance
    elif kind == "contrast":
        middle = half - half.mean((-2, -1), keepdim=True)
        half += distance * middle / middle.square().mean((-2, -1), keepdim=True).sqrt()
    else:
        y, x = torch.meshgrid(*map(torch.arange, half.shape[-2:]), indexing="ij")
        half += distance * (1 - 2 * ((y + x) % 2))
    return out


@dataclass(frozen=True)
class Yardstick:
    """Sliced 2-Wasserstein distance to one set of true samples, along fixed random directions.

    Attributes:
        directions: (D',P) unit columns over the pixels that count.
        true: (P,N) sorted projections of the true samples.
        first_column: pixels left of it do not count.
    """

    directions: torch.Tensor
    true: torch.Tensor
    first_column: int

    @classmethod
    def to(cls, pictures: torch.Tensor, generator: torch.Generator, first_column: int, count: int) -> Yardstick:
        flat = pictures[..., first_column:].flatten(1)
        directions = torch.nn.functional.normalize(torch.randn(flat.shape[1], count, generator=generator), dim=0)
        return cls(directions, (flat @ directions).T.sort(1).values, first_column)

    def distance(self, pictures: torch.Tensor) -> float:
        """In pixel standard deviations."""
        projected = (pictures[..., self.first_column :].flatten(1) @ self.directions).T.sort(1).values
        return float((projected - self.true).square().mean().sqrt())
