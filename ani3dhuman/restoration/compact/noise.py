"""Noise that is correlated over the map and over time, as displacements of cloth are.

White noise leaves the broad swing of a skirt readable even at high levels (it averages out over a
thousand cells) and crumples hems; noise with a falling spectrum hides broad and fine motion alike.
"""

from __future__ import annotations

import torch

SPACE_CORNER = 1 / 32  # cycles a cell below which the spectrum is flat
TIME_CORNER = 1 / 16  # cycles a frame
FLOOR = 1e-4  # share of white noise in power, relative to the flat part


def colour(white: torch.Tensor) -> torch.Tensor:
    """Filter white noise (...,T,C,h,w) to power (1 + f^2)^-1.5 in space and time; unit variance, periodic, linear."""
    frames, rows, columns = white.shape[-4], white.shape[-2], white.shape[-1]
    t = torch.fft.fftfreq(frames, device=white.device)[:, None, None, None]
    y = torch.fft.fftfreq(rows, device=white.device)[None, None, :, None]
    x = torch.fft.fftfreq(columns, device=white.device)[None, None, None, :]
    power = FLOOR + ((1 + (y**2 + x**2) / SPACE_CORNER**2) * (1 + t**2 / TIME_CORNER**2)) ** -1.5
    gain = (power / power.mean()).sqrt()
    return torch.fft.ifftn(torch.fft.fftn(white, dim=(-4, -2, -1)) * gain, dim=(-4, -2, -1)).real
