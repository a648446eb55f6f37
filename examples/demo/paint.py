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
HOLLOW = np.array([158, 102, 88.0])  # where skin turns away from light, and is thin
BRIGHT = np.array([240, 198, 172.0])
FRECKLE = np.array([146, 88, 62.0])
LIPS = np.array([186, 84, 84.0])
BROWN = np.array([74, 45, 31.0])
SIZE = 1024
FINE = 2048  # of what is looked at from near
AT_ONCE = 4_000_000  # samples of a texture
FRECKLES, FRECKLE_RADIUS = 220, 0.0009


def spread(part: Part, material: str, values: np.ndarray, size: int = SIZE) -> np.ndarray:
    """(size,size,K) vertex values (V,K) spread over the texture of `material`, bilinear in each quad, edges padded."""
    chosen = part.face_materials == part.materials.index(material)
    corners = part.corner_uvs[chosen] * [size, -size] + [0, size]
    attributes = values[part.quads[chosen]]
    extent = np.ptp(corners, axis=1).max(1)
    picture = np.zeros((size, size, values.shape[1]))
    known = np.zeros((size, size), bool)
    for low in (0, *2 ** np.arange(2, 12)):
        group = np.flatnonzero((extent >= low) & (extent < max(2 * low, 4)))
        if not len(group):
            continue
        steps = int(extent[group].max() * 1.25) + 2
        t = (np.arange(steps) + 0.5) / steps
        a, b = (axis.ravel() for axis in np.meshgrid(t, t))
        blend = np.stack([(1 - a) * (1 - b), a * (1 - b), a * b, (1 - a) * b], axis=1)
        for some in np.array_split(group, -(-len(group) * steps**2 // AT_ONCE)):
            places, found = (
                (blend @ quads[some].transpose(1, 0, 2).reshape(4, -1)).reshape(-1, quads.shape[2])
                for quads in (corners, attributes)
            )
            pixel = np.clip(places, 0, size - 1).astype(int)
            picture[pixel[:, 1], pixel[:, 0]] = found
            known[pixel[:, 1], pixel[:, 0]] = True
    shifts = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
    for _ in range(6):
        near = np.any([np.roll(known, shift, (0, 1)) for shift in shifts], axis=0)
        y, x = np.nonzero(near & ~known)
        total, count = np.zeros((len(y), values.shape[1])), np.zeros((len(y), 1))
        for down, right in shifts:
            beside = (y - down) % size, (x - right) % size
            total += picture[beside] * known[beside][:, None]
            count += known[beside][:, None]
        picture[y, x] = total / count
        known[y, x] = True
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
    """Face, ears, neck and scalp: blush, shade, freckles, lips, brows, lids, and hair roots that end in a hairline."""
    head = measure_head(human)
    points = spread(human.body, "Head", human.body.vertices, FINE)
    colour = _skin(points[::2, ::2]).repeat(2, 0).repeat(2, 1)  # smooth enough
    front = _step(0.0, 0.02, head.centre[1] - 0.03 - points[..., 1])
    face = np.nonzero(front > 0)
    lips = _resized(human.lips, FINE, FINE)[face]
    colour[face] = _painted_face(colour[face], points[face], front[face], lips, human)
    x, z = np.abs(points[..., 0]), points[..., 2] - head.eye_height
    colour = _mix(colour, BLUSH, 0.35 * _step(0.066, 0.078, x) * np.exp(-(((z + 0.02) / 0.035) ** 2)))  # ears

    # Roots run towards the tie, so their raggedness varies only around it.
    grown = hairline_height(head, points)
    near = np.nonzero(grown > -0.015)
    sideways, forwards = points[near][:, 0], (points[near] - head.centre) @ np.cross(head.tie, [1.0, 0, 0])
    comb = np.degrees(np.arctan2(sideways, forwards))[:, None]
    ragged = 0.0022 * _noise(comb, 3.1, 5) + 0.0016 * _noise(comb, 1.3, 6) + 0.0012 * _noise(comb, 0.6, 10)
    roots = BROWN * (0.84 + 0.12 * _noise(comb, 1.7, 7))[:, None]
    colour[near] = _mix(colour[near], roots, _step(-0.005, 0.008, grown[near] + ragged))
    return _opaque(colour)


def _painted_face(
    colour: np.ndarray, points: np.ndarray, front: np.ndarray, lips: np.ndarray, human: Human
) -> np.ndarray:
    """(P,3) skin of `colour` (P,3) at points (P,3) with a face on it; front (P,) 0..1 how far they are on the face's
    side, lips (P,) 0..1 on the lips."""
    x, z = np.abs(points[:, 0]), points[:, 2] - measure_head(human).eye_height
    eye_x = abs(next(iter(human.eyes.values()))[0][0])
    colour = colour + 2.2 * _noise(points, 0.0045, 8)[:, None] * [0.6, 1.0, 1.0]
    for tone, depth, at_x, at_z, wide, high in (
        (BLUSH, 0.46, 0.046, -0.038, 0.020, 0.016),  # cheeks
        (BLUSH, 0.30, 0.0, -0.042, 0.013, 0.011),  # tip of the nose
        (BLUSH, 0.12, 0.0, -0.098, 0.018, 0.012),  # chin
        (BLUSH, 0.16, eye_x, -0.012, 0.020, 0.007),
        (HOLLOW, 0.42, 0.0125, 0.002, 0.0055, 0.016),  # beside the bridge of the nose
        (HOLLOW, 0.32, 0.0180, -0.044, 0.004, 0.007),  # wings of the nose
        (HOLLOW, 0.62, eye_x, 0.0100, 0.018, 0.0055),  # lids
        (HOLLOW, 0.30, eye_x * 1.45, 0.004, 0.008, 0.006),  # their outer corners
        (HOLLOW, 0.16, eye_x * 0.92, -0.0135, 0.015, 0.0045),  # under the eyes
        (HOLLOW, 0.36, 0.0, -0.0865, 0.011, 0.0045),  # below the lip
        (HOLLOW, 0.12, 0.062, -0.052, 0.010, 0.022),  # below the cheekbone
        (BRIGHT, 0.30, 0.0, -0.020, 0.0038, 0.020),  # bridge
        (BRIGHT, 0.22, 0.044, -0.022, 0.014, 0.006),  # cheekbone
        (BRIGHT, 0.14, 0.0, 0.042, 0.026, 0.016),  # forehead
    ):
        spot = np.exp(-(((x - at_x) / wide) ** 2) - ((z - at_z) / high) ** 2) * front
        colour = _mix(colour, tone, depth * spot)
    colour = _freckled(colour, points[:, 0], z)

    creases = _noise(points[:, :1] * [1, 0, 0] + 0.15 * z[:, None], 0.0028, 9)
    tone = _mix(np.broadcast_to(LIPS, colour.shape), np.array([128, 44, 52.0]), 0.16 + 0.14 * creases)
    colour = _mix(colour, tone, 0.88 * lips)
    colour = _mix(colour, HOLLOW, 0.9 * lips * (1 - lips))  # their edge

    for centre, radius in human.eyes.values():
        lid = np.linalg.norm(points - centre, axis=-1) / radius
        colour = _mix(colour, np.array([60, 36, 32.0]), 0.7 * (1 - _step(1.05, 1.13, lid)) * front)
    return _mix(colour, BROWN, _brows(points[:, 0], z, eye_x) * front)


def _freckled(colour: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """`colour` (P,3) with small dark spots over nose and cheeks; x, z (P,) metres from between the eyes."""
    rng = np.random.default_rng(3)
    order, depth = np.argsort(z), np.zeros(len(x))
    sorted_z = z[order]
    for at_x, at_z, size, dark in zip(
        rng.normal(0, 0.032, FRECKLES),
        rng.normal(-0.030, 0.013, FRECKLES),
        FRECKLE_RADIUS * rng.uniform(0.55, 1.35, FRECKLES),
        rng.uniform(0.08, 0.26, FRECKLES),
        strict=True,
    ):
        first, last = np.searchsorted(sorted_z, at_z + np.array([-3, 3]) * size)
        near = order[first:last]
        depth[near] += dark * np.exp(-((x[near] - at_x) ** 2 + (z[near] - at_z) ** 2) / size**2)
    return _mix(colour, FRECKLE, np.minimum(depth, 0.4))


def _brows(x: np.ndarray, z: np.ndarray, eye_x: float) -> np.ndarray:
    """(...,) 0..1: arched brows of single hairs, that lie down outwards; z metres above the eyes."""
    across = np.abs(x) / eye_x
    arch = np.interp(across, [0.42, 0.9, 1.35, 1.85], [0.0195, 0.0245, 0.0265, 0.0205])
    thick = np.interp(across, [0.38, 0.5, 0.9, 1.4, 1.9], [0.0, 0.0030, 0.0032, 0.0023, 0.0])
    up = (z - arch) / np.maximum(thick, 1e-5)
    lean = np.interp(across, [0.4, 0.7, 1.4], [0.1, 0.9, 2.6])  # hairs that one crosses from edge to edge
    which = np.abs(x) / 0.0010 - lean * up + 0.3 * np.sin(across * 31)
    number = np.floor(which).astype(int)
    reach = 1 + 0.35 * np.random.default_rng(5).normal(size=128)[number % 128]
    hair = (1 - np.abs(2 * (which - number) - 1)) * (1 - _step(0.7, 1.15, np.abs(up) / np.maximum(reach, 0.4)))
    soft = 1 - _step(0.3, 1.25, np.abs(up))
    ends = _step(0.38, 0.52, across) * (1 - _step(1.7, 1.9, across))
    return np.clip(0.42 * soft + 0.62 * hair, 0, 0.9) * ends


def paint_eyes(size: int = 512) -> np.ndarray:
    """One eye seen from in front: white, iris with fibres and a dark rim, pupil, and a small light in it."""
    axis = ((np.arange(size) + 0.5) / size - 0.5) / 0.48
    x, y = np.meshgrid(axis, -axis)
    r, turn = np.hypot(x, y), np.arctan2(y, x)
    colour = _mix(np.full((size, size, 3), [238, 233, 228.0]), np.array([214, 160, 150.0]), _step(0.65, 1.0, r) * 0.6)
    around = np.stack([np.cos(turn), np.sin(turn)], -1)
    fibres = 0.5 + 0.22 * _noise(around, 0.16, 12) + 0.20 * _noise(around + 0.05 * r[..., None], 0.06, 13)
    iris = _mix(np.full((size, size, 3), [62, 92, 88.0]), np.array([128, 152, 126.0]), fibres)
    iris = _mix(
        iris, np.array([164, 132, 78.0]), (0.5 + 0.5 * fibres) * (1 - _step(0.22, 0.36, r + 0.08 * (fibres - 0.5)))
    )
    iris = _mix(iris, np.array([24, 32, 34.0]), _step(0.40, 0.51, r))
    iris = _mix(iris, np.array([30, 36, 36.0]), 0.55 * _step(-0.05, 0.42, y))  # in the lid's shadow
    colour = _mix(colour, iris, 1 - _step(0.47, 0.53, r))
    colour = _mix(colour, np.array([14, 12, 12.0]), 1 - _step(0.18, 0.22, r))
    colour = _mix(colour, np.array([120, 84, 80.0]), 0.5 * _step(0.25, 0.62, y))
    light = 1 - _step(0.06, 0.10, np.hypot(x + 0.16, y - 0.2))
    light += 0.25 * (1 - _step(0.03, 0.10, np.hypot(x - 0.2, y + 0.24)))
    return _opaque(_mix(colour, np.array([255, 255, 255.0]), light))


def paint_hair(height: int = FINE // 4, width: int = FINE) -> np.ndarray:
    """Strands along v: streaks of several widths, darker at the roots, lighter at the tips and in the crown's sheen."""
    rng = np.random.default_rng(11)
    v, u = np.meshgrid(1 - (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    streak = np.zeros((height, width))
    for count, amount in ((31, 0.2), (83, 0.35), (210, 0.5), (520, 0.5)):
        level, drift = rng.normal(size=count), rng.normal(size=count) * 0.5
        at = u * count
        low = at.astype(int) % count
        f = at - np.floor(at)
        f = f * f * (3 - 2 * f)
        wave = np.sin(v * 9 + drift[low] * 6)
        level_here = level[low] * (1 - f) + level[(low + 1) % count] * f
        streak += amount * (level_here + 0.25 * wave * drift[low])
    light = 0.40 + 0.22 * streak + 0.18 * np.exp(-(((v - 0.72) / 0.09) ** 2)) + 0.17 * (1 - _step(0.0, 0.35, v))
    light -= 0.10 * _step(0.90, 0.98, v)
    colour = _mix(np.full((height, width, 3), [46, 26, 18.0]), np.array([118, 72, 44.0]), light / 0.6)
    return _opaque(_mix(colour, np.array([178, 122, 78.0]), (light - 0.6) / 0.6))


GROUND = np.array([28, 74, 92.0])
LEAF = np.array([48, 100, 116.0])
CREAM = np.array([244, 232, 208.0])
CORAL = np.array([226, 98, 78.0])
SEAM = np.array([188, 70, 58.0])
MUSTARD = np.array([232, 176, 72.0])
AROUND = 22  # dots
INK = 0.0006  # metres over which one colour becomes the other, either way


def _band(metres: np.ndarray, low: float, high: float) -> np.ndarray:
    """(...,) 1 from `low` to `high`, 0 outside, with edges as soft as ink in cloth."""
    return _step(low - INK, low + INK, metres) * (1 - _step(high - INK, high + INK, metres))


def paint_dress(waist: float, widths: np.ndarray, length: float, size: int = FINE) -> np.ndarray:
    """Dots on teal that grow with the skirt, lighter sprigs between them, a waistband, bands at the hem, seams.

    v runs from 1 at the upper edge to 0 at the hem, `length` metres in all, the waist at v = waist; widths (N,) are the
    circumferences (metres) at v = linspace(1, 0, N).
    """
    v, u = np.meshgrid(1 - (np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    colour = np.full((size, size, 3), GROUND) + 5 * _noise(np.stack([u * 8, v * 8], -1), 1.0, 4)[..., None]
    # Rows of dots as far apart as the columns are wide at that height, so that dots stay round.
    heights = np.linspace(0, 1, 4000)
    pitch = np.interp(heights, np.linspace(0, 1, len(widths)), widths[::-1]) / AROUND * 0.9
    rows = np.concatenate([[0], np.cumsum(length / pitch[1:] * np.diff(heights))])
    row = np.interp(v, heights, rows) + 0.5
    number = np.floor(row)
    across = (u * AROUND + 0.5 * (number % 2)) % 1.0 - 0.5
    along = row - number - 0.5
    radius = np.hypot(across, along * 0.9)
    beside = np.abs(across) - 0.5
    turn, away = np.arctan2(along * 0.9, beside), np.hypot(beside, along * 0.9)
    petal = 0.105 * (0.42 + 0.58 * np.abs(np.sin(2 * turn)))
    colour = _mix(colour, LEAF, 1 - _step(-0.022, 0.022, away - petal))
    soft = 0.024
    dots = _mix(np.broadcast_to(CREAM, colour.shape), np.array([234, 214, 180.0]), 0.6 * _step(0.1, 0.27, radius))
    colour = _mix(colour, dots, 1 - _step(0.27 - soft, 0.27 + soft, radius))
    # what follows goes around: as high as its rows, and as dark along each
    height, along = v[:, 0], u[0]
    circle = np.stack([np.cos(2 * np.pi * along), np.sin(2 * np.pi * along)], -1)
    gathers = _noise(circle, 0.13, 14) + 0.6 * _noise(circle, 0.05, 15)
    metres, edge, band = height * length, (1 - height) * length, (height - waist) * length
    below = np.exp(np.minimum(band + 0.02, 0) / 0.07) * (band < 0)
    colour *= 1 - 0.055 * (below[:, None] * gathers)[..., None]

    def go_around(shade: np.ndarray, amount: np.ndarray, where: np.ndarray | float = 1.0) -> None:
        rows = np.flatnonzero(amount > 0)
        colour[rows] = _mix(colour[rows], shade, amount[rows, None] * where)

    for low, high, shade in ((-1.0, 0.035, CORAL), (0.047, 0.058, CREAM), (0.07, 0.09, MUSTARD)):
        go_around(shade, _band(metres, low, high))
    go_around(CORAL * (1 + 0.035 * gathers)[:, None], 1 - _step(0.021, 0.024, np.abs(band)))
    go_around(CORAL, _band(edge, -1.0, 0.012))
    stitch = 0.55 * _step(-0.4, 0.2, np.sin(2 * np.pi * along * 160))
    for at in (np.abs(band) - 0.0185, edge - 0.0095, metres - 0.0315, metres - 0.004):
        go_around(SEAM, _band(np.abs(at), -1.0, 0.0004), stitch)
    return _opaque(colour)
