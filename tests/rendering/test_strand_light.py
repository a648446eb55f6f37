"""Light between strands of hair: as much as rays among cylinders say, all of it for a strand alone."""

import numpy as np
import pytest

from ani3d_formats.hair_ribbons import ribbon_faces, ribbons
from ani3dhuman.rendering.light_sources import Lighting, emitters
from ani3dhuman.rendering.strand_light import Hung, Strands
from ani3dhuman.rendering.surface_lighting import Surface, illuminate

POINTS = 6
THICK = 0.003
WAYS = np.array([[0.36, 0.48, 0.8], [0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.6, -0.64, 0.48], [0.0, 0.28, 0.96]])


def bed(count: int, spread: float, seed: int = 0) -> np.ndarray:
    """(count,POINTS,3) strands of 12 cm in a bundle 5 cm wide, along x but for a random `spread`."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-0.025, 0.025, (count, 1, 3)) * [0.2, 1, 1]
    along = np.array([1.0, 0, 0]) + spread * rng.normal(size=(count, 1, 3))
    along /= np.linalg.norm(along, axis=2, keepdims=True)
    return place + np.linspace(-0.06, 0.06, POINTS)[None, :, None] * along


def of(points: np.ndarray, thickness: float = THICK) -> tuple[Strands, np.ndarray, np.ndarray]:
    vertices, faces = ribbons(points, np.full(points.shape[:2], thickness))
    strands = Strands.among(faces, len(vertices), np.array([0]))
    assert strands is not None
    return strands, vertices.astype(np.float32), faces


def seen(point: np.ndarray, way: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> float:
    """1 where a ray meets none of the cylinders between `starts` and `ends` (N,3), else 0; no number within one."""
    along, off = ends - starts, starts - point
    length, back = (along * along).sum(1), (along * off).sum(1)
    aside = off + np.clip(-back / length, 0, 1)[:, None] * along
    if (np.linalg.norm(aside, axis=1) < THICK / 2).any():
        return float("nan")
    b, d = along @ way, off @ way
    t = np.clip((b * d - back) / np.maximum(length - b * b, 1e-12), 0, 1)
    away = off + t[:, None] * along - np.maximum(d + t * b, 0)[:, None] * way
    return float((np.linalg.norm(away, axis=1) >= THICK / 2).all())


def counted(points: np.ndarray, strand: int, node: int) -> np.ndarray:
    """(S,2) the share of light along and against each way that comes to the surface of a strand, by cylinders."""
    others = np.delete(points, strand, 0)
    starts, ends = others[:, :-1].reshape(-1, 3), others[:, 1:].reshape(-1, 3)
    place = points[strand, node]
    return np.array([[seen(place + s * way * THICK / 2, s * way, starts, ends) for s in (1, -1)] for way in WAYS])


@pytest.mark.parametrize(("count", "spread"), [(40, 0.0), (120, 0.0), (120, 0.4), (250, 0.2)])
def test_strands_leave_each_other_as_much_light_as_rays_find(count, spread):
    true, ours = [], []
    for seed in range(3):
        points = bed(count, spread, seed)
        strands, vertices, _ = of(points)
        found = strands.density(vertices).from_around(WAYS).reshape(count, POINTS, len(WAYS), 2)
        chosen = range(0, count, max(count // 30, 1))
        true.append([[counted(points, s, node) for node in (2, 3)] for s in chosen])
        ours.append(np.where(np.isnan(true[-1]), np.nan, found[list(chosen)][:, [2, 3]]))
    assert np.nanmean(ours) == pytest.approx(np.nanmean(true), abs=0.06)
    # what lies outside sees more than what lies inside
    told = ~np.isnan(true).all((2, 3, 4))
    each, own = (np.nanmean(np.array(values)[told], (1, 2, 3)) for values in (true, ours))
    assert np.corrcoef(each, own)[0, 1] > 0.6


def test_the_outermost_strands_of_a_dense_sheet_see_the_sky():
    """A sheet 4 mm thick lies in one layer of voxels, 6 mm wide: where in it a strand lies decides what it sees."""
    rng = np.random.default_rng(2)
    place = np.stack([np.zeros(250), rng.uniform(-0.025, 0.025, 250), rng.uniform(0, 0.004, 250)], 1)
    points = place[:, None] + np.linspace(-0.06, 0.06, POINTS)[None, :, None] * [1.0, 0, 0]
    strands, vertices, _ = of(points)
    up = np.array([[0.0, 0.0, 1.0]])
    found = strands.density(vertices).from_around(up).reshape(250, POINTS, 2)[:, 2]
    order = np.argsort(place[:, 2])
    lowest, highest = order[:25], order[-25:]
    assert found[highest, 0].mean() > 0.45 and found[lowest, 1].mean() > 0.45
    assert found[highest, 1].mean() < 0.02 and found[lowest, 0].mean() < 0.02


def test_a_strand_alone_sees_all_light():
    curl = np.stack([0.02 * np.cos(np.arange(POINTS)), 0.02 * np.sin(np.arange(POINTS)), 0.02 * np.arange(POINTS)], 1)
    strands, vertices, _ = of(curl[None])
    density = strands.density(vertices)
    np.testing.assert_allclose(density.from_around(WAYS), 1, atol=1e-4)
    sun = emitters(
        Lighting(np.array([[0.0, 0, -1]]), np.ones((1, 3)), np.zeros(3), np.array([[0.0, 1.0]])), np.zeros(3)
    )
    np.testing.assert_allclose(density.from_light(sun[0]), 1, atol=1e-4)


def test_parallel_strands_hide_no_more_where_one_looks_along_them():
    """The way through them is longer, but they turn their ends; it leads out of the bundle's ends too."""
    strands, vertices, _ = of(bed(120, 0.0))
    across, along = np.array([[0.0, 0.6, 0.8], [0.96, 0.28, 0.0]])
    through = strands.density(vertices).from_around(np.array([across, along]))
    assert 0.1 < through[:, 0].mean() < through[:, 1].mean() < 0.5


def test_a_lamp_within_the_hair_is_hidden_by_what_lies_before_it_alone():
    points = np.zeros((21, POINTS, 3))
    points[..., 0], points[..., 1] = np.linspace(-0.05, 0.05, POINTS), 0.01 * np.arange(21)[:, None]
    strands, vertices, _ = of(points)
    found = []
    for y in (0.025, 0.3):
        lamp = Lighting(
            np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(3), lamp_kinds=np.array([0]),
            lamp_matrices=np.array([[[1, 0, 0, 0], [0, 1, 0, y], [0, 0, 1, 0], [0, 0, 0, 1.0]]]),
            lamp_colors=np.ones((1, 3)), lamp_shapes=np.array([[0.0, 0, 0, 0, 1]]),
        )  # fmt: skip
        found.append(strands.density(vertices).from_light(emitters(lamp, np.zeros(3))[0])[2 * POINTS + 2, 0])
    assert found[0] > found[1] + 0.05


def test_what_is_no_ribbon_is_no_strand():
    _, vertices, faces = of(bed(4, 0.2))
    grid = np.array([[0, 1, 2], [1, 3, 2]])
    both = np.concatenate([grid, faces + 4])
    strands = Strands.among(both, len(vertices) + 4, np.array([5]))
    assert strands is not None
    assert not strands.faces[:2].any() and strands.faces[2:].all() and len(strands.lefts) == 4 * POINTS
    assert (
        Strands.among(grid, 4, np.array([0])) is None
        and Strands.among(both, len(vertices) + 4, np.zeros(0, int)) is None
    )
    assert len(np.unique(strands.strand_of)) == 4 and np.array_equal(faces, ribbon_faces(4, POINTS))


def lit(count: int, lighting: Lighting) -> tuple[np.ndarray, np.ndarray]:
    """Light on the sides of a bed's strands that face up, and on a floor 2 cm below it."""
    _, vertices, faces = of(bed(count, 0.1))
    floor = np.array([[-1.0, -1, -0.05], [1, -1, -0.05], [1, 1, -0.05], [-1, 1, -0.05]], np.float32)
    mesh = np.concatenate([vertices, floor])
    all_faces = np.concatenate([faces, np.array([[0, 1, 2], [0, 2, 3]]) + len(vertices)])
    whole = Strands.among(all_faces, len(mesh), np.array([0]))
    assert whole is not None
    triangles = np.arange(4, len(faces), 2 * (POINTS - 1))
    weights = np.tile([1 / 3, 1 / 3, 1 / 3], (len(triangles), 1))
    points = np.einsum("nc,nck->nk", weights, mesh[all_faces[triangles]])
    under = np.array([[0.0, 0.0, -0.0499]])
    hung = whole.of_points(triangles, weights, all_faces)
    none = Hung(np.full((1, 2), -1, np.int32), np.zeros(1, np.float32), np.zeros(1, np.int64))
    surface = Surface(mesh, all_faces, np.zeros((len(mesh), 3), np.float32), strands=whole)
    up = np.tile([0.0, 0, 1], (len(points) + 1, 1))
    light = illuminate(lighting, surface, np.concatenate([points, under]), up, hung=hung.and_then(none))
    return light.total[:-1, 0], light.total[-1:, 0]


@pytest.mark.parametrize("kind", ["sky", "sun"])
def test_dense_hair_is_darker_and_shades_what_lies_under_it(kind):
    sun = np.array([[0.0, 0, -1]]) if kind == "sun" else np.zeros((0, 3))
    lighting = Lighting(
        sun, np.full((len(sun), 3), np.pi), np.full(3, float(kind == "sky")), np.array([[0.0, 1.0]] * len(sun))
    )
    (sparse, open_floor), (dense, floor) = lit(3, lighting), lit(250, lighting)
    assert sparse.mean() > 0.85 and open_floor > 0.8
    assert dense.mean() < 0.65 and floor < open_floor - 0.2
