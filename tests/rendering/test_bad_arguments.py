"""Bad input gets one clear error that names the argument."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gaussian_scenes import Scene, random_scene

from ani3d_formats.errors import Ani3DError
from ani3dhuman.rendering import rasterize


@pytest.fixture
def scene() -> Scene:
    return random_scene(10, width=20, height=17, size=0.1)


def call(scene: Scene, changes: dict[str, Any]) -> None:
    tensors = {name: getattr(scene, name) for name in scene.__dataclass_fields__}
    rasterize(**{**tensors, **changes})


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("means", (10, 2), "(N,3)"),
        ("quats", (9, 4), "(10,4)"),
        ("scales", (10,), "(10,3)"),
        ("opacities", (10, 1), "(10,)"),
        ("colors", (10, 33), "(10,D)"),
        ("colors", (11, 3), "(10,D)"),
        ("viewmats", (4, 4), "(C,4,4)"),
        ("Ks", (2, 3, 3), "(1,3,3)"),
        ("backgrounds", (1, 4), "(1,3)"),
    ],
)
def test_wrong_shape(scene: Scene, name: str, shape: tuple[int, ...], expected: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        call(scene, {name: torch.rand(shape)})
    assert caught.value.code == "rasterize.shape"
    assert name in caught.value.message and str(shape) in caught.value.message
    assert expected in caught.value.hint


def test_too_few_harmonics(scene: Scene) -> None:
    with pytest.raises(Ani3DError, match=r"colors has shape \(10, 4, 3\).*K >= 9 for sh_degree 2"):
        call(scene, {"colors": torch.rand(10, 4, 3), "sh_degree": 2})


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "colors", "viewmats", "Ks"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite(scene: Scene, name: str, value: float) -> None:
    bad = getattr(scene, name).clone()
    bad.view(-1)[3 if bad.numel() > 3 else 0] = value
    with pytest.raises(Ani3DError, match=f"{name} of shape .* has 1 NaN or infinite") as caught:
        call(scene, {name: bad})
    assert caught.value.code == "rasterize.not_finite"


def test_large_finite_numbers_are_not_called_infinite(scene: Scene) -> None:
    call(scene, {"means": torch.full((10, 3), 3e38)})


def _changed(tensor: torch.Tensor, index: tuple[int, ...], value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("name", "index", "value", "says"),
    [
        ("scales", (2, 1), -0.1, "negative"),
        ("opacities", (4,), 1.5, "outside 0..1"),
        ("opacities", (4,), -0.5, "outside 0..1"),
        ("Ks", (0, 0, 0), 0.0, "focal length"),
        ("Ks", (0, 0, 1), 2.0, "skew"),
        ("viewmats", (0, 3, 0), 1.0, "last row"),
    ],
)
def test_bad_number(scene: Scene, name: str, index: tuple[int, ...], value: float, says: str) -> None:
    with pytest.raises(Ani3DError, match=f"{name} of shape .*{says}") as caught:
        call(scene, {name: _changed(getattr(scene, name), index, value)})
    assert caught.value.code == f"rasterize.{name}" and caught.value.hint


def test_zero_quaternion_and_singular_viewmat(scene: Scene) -> None:
    with pytest.raises(Ani3DError, match=r"quats of shape .* zero quaternion"):
        call(scene, {"quats": scene.quats * 0})
    flat = scene.viewmats.clone()
    flat[0, 1, :3] = flat[0, 0, :3]
    with pytest.raises(Ani3DError, match=r"viewmats of shape .* singular"):
        call(scene, {"viewmats": flat})


def test_mixed_dtypes_and_devices(scene: Scene) -> None:
    with pytest.raises(Ani3DError, match=r"scales is torch.float64 but means is torch.float32"):
        call(scene, {"scales": scene.scales.double()})
    with pytest.raises(Ani3DError, match="colors is on meta but means is on cpu"):
        call(scene, {"colors": scene.colors.to("meta")})
    with pytest.raises(Ani3DError, match=r"colors is torch.uint8"):
        call(scene, {"colors": (scene.colors * 255).byte()})
    with pytest.raises(Ani3DError, match=r"opacities is a list"):
        call(scene, {"opacities": scene.opacities.tolist()})


def test_float64_belongs_to_the_reference(scene: Scene) -> None:
    with pytest.raises(Ani3DError, match=r"means is torch.float64.*backend='reference'"):
        rasterize(*scene.to(torch.float64).arguments(), **scene.to(torch.float64).size)


def test_backend_of_another_device(scene: Scene) -> None:
    with pytest.raises(Ani3DError, match="backend 'cuda' cannot draw tensors on cpu"):
        call(scene, {"backend": "cuda"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 0),
        ("height", 17.0),
        ("render_mode", "RGBD"),
        ("rasterize_mode", "smooth"),
        ("camera_model", "fisheye"),
        ("backend", "metal"),
        ("sh_degree", 4),
        ("eps2d", -1.0),
        ("near_plane", 0.0),
        ("far_plane", 0.001),
    ],
)
def test_bad_option(scene: Scene, name: str, value: Any) -> None:
    with pytest.raises(Ani3DError, match=name):
        call(scene, {name: value})
