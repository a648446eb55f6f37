"""Colours of the characters: computed pattern tiles, palettes, skin and hair tones; no photograph, no scan."""

from __future__ import annotations

import numpy as np

from ani3d_formats.color import srgb_to_linear

from .bodies import Body

SIZE = 64  # pixels of a tile
PATTERNS = (
    "plain", "rings", "columns", "checks", "dots", "gingham", "hatched",
    "zigzag", "plaid", "diamonds",
)  # fmt: skip
# ground, figure, accent; sRGB
PALETTES = np.array(
    [
        [[28, 74, 92], [244, 232, 208], [226, 98, 78]],
        [[168, 40, 52], [245, 238, 228], [60, 30, 34]],
        [[236, 226, 204], [52, 84, 140], [200, 74, 60]],
        [[72, 104, 76], [232, 214, 150], [40, 52, 44]],
        [[230, 170, 176], [140, 46, 84], [250, 244, 236]],
        [[40, 44, 62], [216, 178, 84], [150, 160, 190]],
        [[214, 132, 58], [250, 236, 206], [96, 48, 30]],
        [[120, 150, 190], [248, 248, 244], [36, 58, 110]],
        [[94, 62, 120], [226, 206, 236], [236, 176, 92]],
        [[222, 220, 216], [70, 70, 76], [180, 60, 60]],
        [[44, 120, 114], [250, 214, 120], [20, 62, 66]],
        [[192, 96, 110], [252, 226, 190], [96, 60, 110]],
    ],
    float,
)
SKINS = np.array([[236, 192, 168], [222, 171, 146], [198, 144, 112], [158, 106, 78], [112, 72, 54]], float)
HAIRS = np.array([[40, 28, 24], [74, 45, 31], [120, 74, 44], [176, 130, 78], [132, 58, 36], [96, 92, 92]], float)


def pattern_tile(name: str, palette: np.ndarray) -> np.ndarray:
    """One tile (SIZE,SIZE,4) uint8 sRGB that repeats seamlessly; `palette` (3,3) is ground, figure, accent."""
    v, u = np.meshgrid(1 - (np.arange(SIZE) + 0.5) / SIZE, (np.arange(SIZE) + 0.5) / SIZE, indexing="ij")
    figure, accent = np.zeros_like(u), np.zeros_like(u)
    if name == "rings":
        figure, accent = _band(v, 0.25, 0.2), _band(v, 0.62, 0.05)
    elif name == "columns":
        figure, accent = _band(u, 0.25, 0.18), _band(u, 0.66, 0.05)
    elif name == "checks":
        figure = np.abs((u > 0.5).astype(float) - (v > 0.5))
    elif name == "dots":
        figure = np.maximum(_disc(u, v, 0.25, 0.25, 0.17), _disc(u, v, 0.75, 0.75, 0.17))
    elif name == "gingham":
        figure = 0.5 * _band(u, 0.5, 0.25) + 0.5 * _band(v, 0.5, 0.25)
    elif name == "hatched":
        figure = _band((u + v) % 1, 0.5, 0.2)
    elif name == "zigzag":
        figure = _band((v + 0.3 * np.abs(2 * u - 1)) % 1, 0.5, 0.18)
        accent = _band((v + 0.3 * np.abs(2 * u - 1)) % 1, 0.9, 0.05)
    elif name == "plaid":
        figure = 0.55 * np.maximum(_band(u, 0.3, 0.2), _band(v, 0.3, 0.2))
        accent = np.maximum(_band(u, 0.75, 0.04), _band(v, 0.75, 0.04))
    elif name == "diamonds":
        figure = 1 - _edge(0.36 - np.abs(u - 0.5) - np.abs(v - 0.5), inside=False)
        accent = _disc(u, v, 0.0, 0.0, 0.12)
    elif name != "plain":
        raise ValueError(f"unknown pattern {name}")
    color = palette[0] + figure[..., None] * (palette[1] - palette[0])
    color = color + accent[..., None] * (palette[2] - color)
    tile = np.full((SIZE, SIZE, 4), 255, np.uint8)
    tile[..., :3] = np.clip(color + 0.5, 0, 255)
    return tile


def _edge(depth: np.ndarray, inside: bool = True) -> np.ndarray:
    """1 where depth > 0 with an edge two pixels soft; the reverse when not `inside`."""
    value = np.clip(0.5 + depth * SIZE / 2, 0, 1)
    return value if inside else 1 - value


def _band(x: np.ndarray, middle: float, half: float) -> np.ndarray:
    return _edge(half - np.abs((x - middle + 0.5) % 1 - 0.5))


def _disc(u: np.ndarray, v: np.ndarray, x: float, y: float, radius: float) -> np.ndarray:
    return _edge(radius - np.hypot((u - x + 0.5) % 1 - 0.5, (v - y + 0.5) % 1 - 0.5))


def hair_tile(rng: np.random.Generator, tone: np.ndarray) -> np.ndarray:
    """(SIZE,SIZE,4) uint8 sRGB: strands along v around the colour `tone` (3,)."""
    streak = np.sum([np.repeat(rng.normal(size=SIZE // step), step) for step in (8, 4, 2, 1)], axis=0) / 2
    light = 1 + 0.22 * streak
    tile = np.full((SIZE, SIZE, 4), 255, np.uint8)
    tile[..., :3] = np.clip(tone * light[None, :, None], 0, 255)
    return tile


def body_colors(
    body: Body, skin: np.ndarray, hair: np.ndarray, cloth: np.ndarray, shoes: np.ndarray, low: float, high: float
) -> np.ndarray:
    """(V,3) linear colours of the body: skin, face, scalp, shoes, and an underdress.

    Args:
        body: in bind pose.
        skin, hair, cloth, shoes: (3,) sRGB 0..255.
        low, high: heights between which the trunk wears `cloth`, metres.
    """
    points, tall = body.vertices, body.height
    color = np.tile(skin, (len(points), 1)).astype(float)
    z = points[:, 2]
    dressed = body.trunk & (z > low) & (z < high)
    color[dressed] = cloth
    color[body.feet & (z < 0.045 * tall)] = shoes

    eyes = body.eye_centres
    eye_x, eye_z = np.abs(eyes[:, 0]).mean(), eyes[:, 2].mean()
    head = body.head & ~body.eyes
    x, up = np.abs(points[:, 0]), z - eye_z
    front = head & (points[:, 1] < eyes[:, 1].mean() + 0.03)
    cheeks = np.exp(-(((x - 0.046) / 0.02) ** 2) - ((up + 0.038) / 0.016) ** 2) * front
    color += (0.35 * cheeks)[:, None] * (np.array([206, 96, 90.0]) - color)
    color += (0.85 * body.lips * head)[:, None] * (np.array([178, 72, 76.0]) - color)
    brow = np.exp(-(((up - 0.024) / 0.0045) ** 2)) * (np.abs(x - 1.1 * eye_x) < 0.65 * eye_x) * front
    color += (0.8 * brow)[:, None] * (0.7 * hair - color)
    lid = np.exp(-((np.linalg.norm(np.stack([x - eye_x, up - 0.011], 1) / [0.016, 0.005], axis=1)) ** 2)) * front
    color += (0.45 * lid)[:, None] * (np.array([80, 50, 44.0]) - color)
    middle = (points[head].max(0) + points[head].min(0)) / 2
    around = np.degrees(np.abs(np.arctan2(points[:, 0] - middle[0], middle[1] + 0.01 - points[:, 1])))
    hairline = np.interp(around, [0, 25, 42, 55, 68, 80, 92, 108, 125, 150, 180],
                         np.array([66, 64, 55, 38, 12, 0, 10, -10, -48, -72, -80]) / 1000)  # fmt: skip
    grown = head & (up > hairline)
    color[grown] = 0.85 * hair

    color[body.eyes] = [236, 232, 228]
    for centre in eyes:
        out = np.linalg.norm(points[:, [0, 2]] - centre[[0, 2]], axis=1)
        ball = body.eyes & (np.linalg.norm(points - centre, axis=1) < 0.03)
        color[ball & (out < 0.0065)] = [70, 70, 62]
        color[ball & (out < 0.003)] = [16, 14, 14]
    return srgb_to_linear(np.clip(color, 0, 255) / 255).astype(np.float32)
