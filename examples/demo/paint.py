"""Paint her textures: every picture is computed, none is a photograph. Pictures are (H,W,4) u1 sRGB, row 0 at the top.

Skin is painted in space, not in the texture's plane: `spread` carries positions into the texture, and blush, brows and
hair roots are drawn as functions of where a point lies on the head.
"""

from __future__ import annotations

import numpy as np
from character import Human, Part
from hair import hairline_height, measure_head

SKIN = np.array([222, 171, 146.0])
BLUSH = np.array([206, 116, 100.0])
LIPS = np.array([178, 82, 82.0])
BROWN = np.array([74, 45, 31.0])
SIZE = 1024


def spread(part: Part, material: str, values: np.ndarray, size: int = SIZE) -> np.ndarray:
    """(size,size,K) vertex values (V,K) spread over the texture of `material`, bilinear in each quad, edges padded."""
    chosen = part.face_materials == part.materials.index(material)
    corners = part.corner_uvs[chosen] * [size, -size] + [0, size]
    attributes = values[part.quads[chosen]]
    extent = np.ptp(corners, axis=1).max(1)
    picture = np.zeros((size, size, values.shape[1]))
    weight = np.zeros((size, size))
    for low, high in ((0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, size)):
        group = (extent >= low) & (extent < high)
        t = (np.arange(high * 5 // 4) + 0.5) / (high * 5 // 4)
        a, b = (axis.ravel() for axis in np.meshgrid(t, t))
        blend = np.stack([(1 - a) * (1 - b), a * (1 - b), a * b, (1 - a) * b], axis=1)

        def sample(quads: np.ndarray, blend: np.ndarray = blend) -> np.ndarray:
            """(samples * F, K) from the corners (F,4,K)."""
            by_corner = quads.transpose(1, 0, 2).reshape(4, -1)
            return (blend @ by_corner).reshape(-1, quads.shape[2])

        pixel = np.clip(sample(corners[group]), 0, size - 1).astype(int)
        picture[pixel[:, 1], pixel[:, 0]] = sample(attributes[group])
        weight[pixel[:, 1], pixel[:, 0]] = 1
    for _ in range(6):
        total, count = np.zeros_like(picture), np.zeros_like(weight)
        for shift in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            total += np.roll(picture * weight[..., None], shift, (0, 1))
            count += np.roll(weight, shift, (0, 1))
        gaps = (weight == 0) & (count > 0)
        picture[gaps] = total[gaps] / count[gaps][:, None]
        weight[gaps] = 1
    return picture


def _noise(points: np.ndarray, scale: float, seed: int) -> np.ndarray:
    """(...,) smooth noise about -1..1 over points (...,D): a few random waves of wavelength about `scale`."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(6, points.shape[-1])) * 2 * np.pi / scale
    return sum(np.sin(points @ wave + shift) for wave, shift in zip(waves, rng.random(6) * 6.3, strict=True)) / 3


def _mix(colour: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    amount = np.clip(amount, 0, 1)[..., None]
    return colour * (1 - amount) + other * amount


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _opaque(colour: np.ndarray) -> np.ndarray:
    picture = np.full((*colour.shape[:2], 4), 255, np.uint8)
    picture[..., :3] = np.clip(colour + 0.5, 0, 255)
    return picture


def _resized(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resize of (h,w) to (height,width)."""
    y = np.clip((np.arange(height) + 0.5) / height * mask.shape[0] - 0.5, 0, mask.shape[0] - 1)
    x = np.clip((np.arange(width) + 0.5) / width * mask.shape[1] - 0.5, 0, mask.shape[1] - 1)
    rows = np.stack([np.interp(x, np.arange(mask.shape[1]), row) for row in mask])
    y0 = np.minimum(y.astype(int), mask.shape[0] - 2)
    return rows[y0] * (1 - (y - y0))[:, None] + rows[y0 + 1] * (y - y0)[:, None]


def _skin(points: np.ndarray) -> np.ndarray:
    """(...,3) the plain skin colour at points: the same function on head and body, so no seam shows at the neck."""
    tone = SKIN + 3.5 * _noise(points, 0.12, 1)[..., None] + 2.0 * _noise(points, 0.02, 2)[..., None]
    return _mix(tone, BLUSH, 0.05 + 0.05 * _noise(points, 0.2, 3))


def paint_skin(human: Human, covered: np.ndarray, cloth: np.ndarray) -> np.ndarray:
    """Body, hands and feet; `covered` (V,) 0..1 wears the colour `cloth` (an underdress the cloth may uncover)."""
    body, skeleton = human.body, human.skeleton
    fields = spread(body, "Skin", np.concatenate([body.vertices, covered[:, None]], axis=1))
    points = fields[..., :3]
    colour = _skin(points)
    for name, radius, amount in (
        ("lowerleg", 0.06, 0.22),
        ("lowerarm", 0.05, 0.2),
        ("toes", 0.05, 0.25),
        ("hand", 0.1, 0.12),
    ):
        for side in "LR":
            joint = skeleton.heads[skeleton.index(f"{name}.{side}")]
            colour = _mix(colour, BLUSH, amount * np.exp(-((points - joint) ** 2).sum(-1) / radius**2))
    nails = np.zeros((SIZE, SIZE))
    nails[SIZE * 3 // 4 :] = _resized(human.nails, SIZE // 4, SIZE)
    colour = _mix(colour, np.array([196, 96, 98.0]), nails)
    v, u = np.meshgrid(1 - (np.arange(SIZE) + 0.5) / SIZE, (np.arange(SIZE) + 0.5) / SIZE, indexing="ij")
    mouth = (u > 0.75) & (u < 0.95) & (v < 0.15)
    socket = (u < 0.158) & (v > 0.53) & (v < 0.65)
    colour[mouth] = [120, 50, 50]
    colour[socket] = [196, 134, 120]
    return _opaque(_mix(colour, cloth, fields[..., 3]))


def paint_head(human: Human) -> np.ndarray:
    """Face, ears, neck and scalp: blush, lips, brows, lids, and hair roots that end in a soft hairline."""
    head = measure_head(human)
    points = spread(human.body, "Head", human.body.vertices)
    x, z = np.abs(points[..., 0]), points[..., 2] - head.eye_height
    front = _step(0.0, 0.02, head.centre[1] - 0.03 - points[..., 1])
    eye_x = abs(next(iter(human.eyes.values()))[0][0])
    colour = _skin(points)

    def spot(at_x: float, at_z: float, wide: float, high: float) -> np.ndarray:
        return np.exp(-(((x - at_x) / wide) ** 2) - ((z - at_z) / high) ** 2) * front

    colour = _mix(colour, BLUSH, 0.50 * spot(0.046, -0.038, 0.020, 0.016))
    colour = _mix(colour, BLUSH, 0.25 * spot(0.0, -0.042, 0.014, 0.012))
    colour = _mix(colour, BLUSH, 0.12 * spot(0.0, -0.098, 0.018, 0.012))
    colour = _mix(colour, np.array([150, 96, 84.0]), 0.38 * spot(eye_x, 0.010, 0.019, 0.007))
    colour = _mix(colour, LIPS, 0.9 * _resized(human.lips, SIZE, SIZE))

    for centre, radius in human.eyes.values():
        lid = np.linalg.norm(points - centre, axis=-1) / radius
        colour = _mix(colour, np.array([60, 36, 32.0]), 0.7 * (1 - _step(1.05, 1.13, lid)) * front)
    colour = _mix(colour, BROWN, _brows(x / eye_x, z) * front)

    # Roots run towards the tie, so their raggedness varies only around it.
    comb = np.degrees(np.arctan2(points[..., 0], (points - head.centre) @ np.cross(head.tie, [1.0, 0, 0])))[..., None]
    ragged = 0.0022 * _noise(comb, 3.1, 5) + 0.0016 * _noise(comb, 1.3, 6)
    grown = hairline_height(head, points) + ragged
    roots = BROWN * (0.84 + 0.12 * _noise(comb, 1.7, 7))[..., None]
    return _opaque(_mix(colour, roots, _step(-0.005, 0.008, grown)))


def _brows(across: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(...,) 0..1: arched brows; `across` is |x| over the eye's |x|, z metres above the eyes."""
    arch = np.interp(across, [0.42, 0.9, 1.35, 1.85], [0.0195, 0.0245, 0.0265, 0.0205])
    thick = np.interp(across, [0.38, 0.5, 0.9, 1.4, 1.9], [0.0, 0.0032, 0.0034, 0.0024, 0.0])
    hairs = 0.88 + 0.12 * np.sin(across * 90 + z * 900)
    brow = 1 - _step(0.4, 1.2, np.abs(z - arch) / np.maximum(thick, 1e-5))
    return 0.8 * hairs * brow * ((across > 0.38) & (across < 1.9))


def paint_eyes(size: int = 256) -> np.ndarray:
    """One eye seen from in front: white, iris with fibres and a dark rim, pupil, and a small light in it."""
    axis = ((np.arange(size) + 0.5) / size - 0.5) / 0.48
    x, y = np.meshgrid(axis, -axis)
    r, turn = np.hypot(x, y), np.arctan2(y, x)
    colour = _mix(np.full((size, size, 3), [238, 233, 228.0]), np.array([214, 160, 150.0]), _step(0.65, 1.0, r) * 0.6)
    fibres = 0.5 + 0.3 * np.sin(23 * turn + 2 * np.sin(7 * turn)) + 0.2 * np.sin(51 * turn)
    iris = _mix(
        np.full((size, size, 3), [70, 98, 92.0]),
        np.array([148, 150, 108.0]),
        fibres * (1 - _step(0.2, 0.5, r)),
    )
    iris = _mix(iris, np.array([30, 38, 38.0]), _step(0.38, 0.50, r))
    colour = _mix(colour, iris, 1 - _step(0.47, 0.53, r))
    colour = _mix(colour, np.array([14, 12, 12.0]), 1 - _step(0.19, 0.24, r))
    light = 1 - _step(0.06, 0.11, np.hypot(x + 0.16, y - 0.2))
    return _opaque(_mix(colour, np.array([255, 255, 255.0]), light))


def paint_hair(size: int = SIZE) -> np.ndarray:
    """Strands along v: many thin streaks of brown, lighter towards the tips and along the crown's sheen."""
    rng = np.random.default_rng(11)
    v, u = np.meshgrid(1 - (np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    streak = np.zeros((size, size))
    for count, amount in ((24, 0.5), (61, 0.5), (140, 0.45), (310, 0.35)):
        level, drift = rng.normal(size=count), rng.normal(size=count) * 0.5
        at = u * count
        low = at.astype(int) % count
        f = at - np.floor(at)
        f = f * f * (3 - 2 * f)
        wave = np.sin(v * 9 + drift[low] * 6)
        level_here = level[low] * (1 - f) + level[(low + 1) % count] * f
        streak += amount * (level_here + 0.25 * wave * drift[low])
    light = np.clip(
        0.42 + 0.22 * streak + 0.18 * np.exp(-(((v - 0.72) / 0.09) ** 2)) + 0.15 * (1 - _step(0.0, 0.35, v)),
        0,
        1,
    )
    return _opaque(_mix(np.full((size, size, 3), [46, 27, 19.0]), np.array([146, 96, 62.0]), light))


GROUND = np.array([28, 74, 92.0])
CREAM = np.array([244, 232, 208.0])
CORAL = np.array([226, 98, 78.0])
MUSTARD = np.array([232, 176, 72.0])


def paint_dress(waist: float, widths: np.ndarray, length: float, size: int = SIZE) -> np.ndarray:
    """Dots on teal that grow with the skirt, a coral waistband, and three bands at the hem.

    v runs from 1 at the upper edge to 0 at the hem, `length` metres in all, the waist at v = waist; widths (N,) are the
    circumferences (metres) at v = linspace(1, 0, N).
    """
    v, u = np.meshgrid(1 - (np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    around = 22
    colour = np.full((size, size, 3), GROUND) + 5 * _noise(np.stack([u * 8, v * 8], -1), 1.0, 4)[..., None]
    # Rows of dots as far apart as the columns are wide at that height, so that dots stay round.
    heights = np.linspace(0, 1, 4000)
    pitch = np.interp(heights, np.linspace(0, 1, len(widths)), widths[::-1]) / around * 0.9
    rows = np.concatenate([[0], np.cumsum(length / pitch[1:] * np.diff(heights))])
    row = np.interp(v, heights, rows) + 0.5
    number = np.floor(row)
    across = (u * around + 0.5 * (number % 2)) % 1.0 - 0.5
    along = row - number - 0.5
    radius = np.hypot(across, along * 0.9)
    pixel = around * 1.4 / size
    colour = _mix(colour, CREAM, 1 - _step(0.27 - pixel, 0.27 + pixel, radius))
    metres = v * length
    for low, high, shade in ((0.0, 0.035, CORAL), (0.047, 0.058, CREAM), (0.07, 0.09, MUSTARD)):
        colour = _mix(colour, shade, ((metres >= low) & (metres < high)).astype(float))
    band = np.abs(v - waist) * length
    colour = _mix(colour, CORAL, 1 - _step(0.021, 0.024, band))
    edge = (1 - v) * length
    colour = _mix(colour, CORAL, (edge < 0.012).astype(float))
    return _opaque(colour)
