"""Behaviour that is the CPU backend's own: threads, memory, partial gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gaussian_scenes import Scene, random_scene
from torch import Tensor

from ani3d_formats.errors import Ani3DError
from ani3dhuman import jit
from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.cpu import composite
from ani3dhuman.rendering.cpu.composite import composite_forward
from ani3dhuman.rendering.cpu.tiles import SORT_CHUNK, order_by_depth

SCENE = {"count": 3000, "width": 120, "height": 90, "size": 0.03, "sh_degree": 3}


@pytest.fixture
def scene() -> Scene:
    return random_scene(**SCENE)


def everything(scene: Scene) -> list[Tensor]:
    own = scene.to(torch.float32)
    tensors = own.differentiable()
    image, alphas, _ = rasterize(*own.arguments(), **own.size, sh_degree=3, render_mode="RGB+ED")
    return [image.detach(), alphas.detach(), *torch.autograd.grad(image.square().sum() + alphas.sum(), tensors)]


def test_same_bits_with_one_and_two_threads() -> None:
    program = """
import numba, torch
from gaussian_scenes import random_scene
from test_cpu_backend import SCENE, everything
results = []
for threads in (1, 2, 2):
    numba.set_num_threads(threads)
    results.append(everything(random_scene(**SCENE)))
print(all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True)))
"""
    place = {**os.environ, "NUMBA_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parent)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=place)
    assert ran.stdout.strip() == "True", ran.stderr


def test_forward_only_gives_the_same_picture_and_keeps_nothing(scene: Scene) -> None:
    with_gradients = everything(scene)
    scene.means.requires_grad_()
    with torch.no_grad():
        image, alphas, _ = rasterize(*scene.arguments(), **scene.size, sh_degree=3, render_mode="RGB+ED")
    assert image.grad_fn is None and alphas.grad_fn is None
    assert torch.equal(image, with_gradients[0]) and torch.equal(alphas, with_gradients[1])


def test_only_what_asks_gets_a_gradient(scene: Scene) -> None:
    full = everything(scene)
    opacities = scene.opacities.clone().requires_grad_()
    image, alphas, _ = rasterize(
        *replace(scene, opacities=opacities).arguments(),
        **replace(scene, opacities=opacities).size,
        sh_degree=3,
        render_mode="RGB+ED",
    )
    (gradient,) = torch.autograd.grad(image.square().sum() + alphas.sum(), [opacities])
    assert torch.equal(gradient, full[2 + 3])


def test_gradients_of_two_cameras_add_up(scene: Scene) -> None:
    other = scene.viewmats.clone()
    other[:, 1, 3] -= 0.1
    both = replace(scene, viewmats=torch.cat([scene.viewmats, other]), Ks=scene.Ks.repeat(2, 1, 1))
    joint = everything(both)[2:]
    first, second = everything(scene)[2:], everything(replace(scene, viewmats=other))[2:]
    for a, b, c in zip(joint[:5], first[:5], second[:5], strict=True):
        assert torch.allclose(a, b + c, rtol=1e-4, atol=1e-5 * float(a.abs().max()))
    assert torch.allclose(joint[5], torch.cat([first[5], second[5]]), rtol=1e-4)


def test_projected_quantities_take_gradients(scene: Scene) -> None:
    tensors = scene.differentiable()
    _, _, meta = rasterize(*scene.arguments(), **scene.size, sh_degree=3)
    (gradient,) = torch.autograd.grad(meta["depths"][meta["radii"][..., 0] > 0].sum(), [tensors[0]])
    seen = (meta["radii"][0, :, 0] > 0).double()
    axis_of_sight = scene.viewmats[0, 2, :3].detach().double()
    assert torch.allclose(gradient.double(), seen[:, None] * axis_of_sight, atol=1e-6)


def test_strided_inputs_are_read_right(scene: Scene) -> None:
    turned = replace(scene, means=scene.means.T.contiguous().T, opacities=scene.opacities.repeat_interleave(2)[::2])
    image, _, _ = rasterize(*turned.arguments(), **turned.size, sh_degree=3)
    assert torch.equal(image, rasterize(*scene.arguments(), **scene.size, sh_degree=3)[0])


@pytest.mark.parametrize("count", [5000, 3 * SORT_CHUNK + 7], ids=["alone", "shared"])
def test_depth_order_is_stable_and_knows_signs(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    depths = (torch.randint(-5, 6, (count,), generator=generator) * 0.37).numpy()
    touched = torch.randint(0, 2, (count,), generator=generator).numpy()
    slot_starts = np.concatenate([[0], touched.cumsum()])
    order = order_by_depth(depths, slot_starts, int(touched.sum()))
    expected = torch.sort(torch.from_numpy(depths), stable=True).indices.numpy()
    assert (order == expected[touched[expected] > 0]).all()


def test_a_second_process_draws_from_the_cache_without_compiling(scene: Scene) -> None:
    everything(scene)  # whatever this process had to compile is now kept
    program = """
import logging, sys
import torch
from numba.core import event
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
seen = []
class Listener(event.Listener):
    def on_start(self, e): seen.append(e.data["dispatcher"])
    def on_end(self, e): pass
event.register("numba:compile", Listener())
from ani3dhuman.rendering import rasterize
means = torch.tensor([[0.0, 0, 2]], requires_grad=True)
image, alphas, _ = rasterize(means, torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.1), torch.ones(1),
    torch.ones(1, 16, 3), torch.eye(4)[None], torch.tensor([[[60.0, 0, 8], [0, 60, 8], [0, 0, 1]]]),
    width=16, height=16, sh_degree=3, render_mode="RGB+ED")
(image.square().sum() + alphas.sum()).backward()
print(len(seen), float(means.grad.abs().sum()) > 0)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "True"]
    assert "Compiling" not in ran.stderr


def test_the_first_process_says_that_it_compiles(tmp_path: Path) -> None:
    program = """
import numpy as np
from ani3dhuman.rendering.cpu.tiles import assign_slots
for _ in range(2):
    assign_slots(np.zeros((3, 4), np.int32), np.zeros(4, np.int64))
"""
    place = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=place)
    assert ran.stderr.count("Compiling kernels") == 1
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=place)
    assert "Compiling" not in again.stderr


def test_kept_code_is_bound_to_the_whole_folder() -> None:
    stamp = composite_forward._cache._cache_file._source_stamp
    assert stamp == jit.folder_stamp(Path(composite.__file__).parent)


def test_a_changed_helper_makes_kept_code_stale(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("a = 1")
    before = jit.folder_stamp(tmp_path)
    (tmp_path / "helper.py").write_text("a = 2")
    assert jit.folder_stamp(tmp_path) != before


def test_a_changed_kernel_of_another_folder_makes_kept_code_stale(tmp_path: Path) -> None:
    for name, text in {
        "mesh/callee.py": "def add(x): return x + 1",
        "cloth/inner.py": "from mesh.callee import add\n@kernel\ndef inner(x): return add(x)",
        "cloth/outer.py": "from cloth.inner import inner\n@kernel\ndef outer(x): return inner(x)\nprint(outer(1))",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"from ani3dhuman.jit import kernel\n{text}")
    callee = tmp_path / "mesh" / "callee.py"
    command = [sys.executable, "-m", "cloth.outer"]
    place = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}",
    }
    results = []
    for step in (1, 2, 3):
        callee.write_text(f"from ani3dhuman.jit import kernel\n@kernel\ndef add(x): return x + {step}")
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=place)
        results.append(int(ran.stdout))
    assert results == [2, 3, 4]

    # What is kept of the last of them is loaded before it is called; nothing is compiled.
    told = (
        "from cloth.inner import inner; from ani3dhuman import jit; jit.load_kept(); "
        "print(inner.signatures, sum(inner.stats.cache_misses.values()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", told], cwd=tmp_path, capture_output=True, text=True, check=True, env=place
    )
    assert ran.stdout == "[(int64,)] 0\n"


def test_backwards_of_a_loss_that_is_not_finite_says_so(scene: Scene) -> None:
    scene.means.requires_grad_()
    image, _, _ = rasterize(*scene.arguments(), **scene.size, sh_degree=3)
    loss = (image[0, 4, 7, 1] * 0).log() + image.sum()
    with pytest.raises(
        Ani3DError, match=r"gradient of image of shape \(1, 90, 120, 3\).*first at \[0, 4, 7, 1\]"
    ) as caught:
        loss.backward()
    assert caught.value.code == "rasterize.gradient" and "loss" in caught.value.hint
    assert scene.means.grad is None


def test_a_gradient_too_large_for_float32_does_not_reach_the_optimiser(scene: Scene) -> None:
    scene.means.requires_grad_()
    image, _, _ = rasterize(*scene.arguments(), **scene.size, sh_degree=3)
    with pytest.raises(Ani3DError, match=r"gradient of means of shape \(3000, 3\)"):
        (image * 3e37).sum().backward()
    assert scene.means.grad is None


def test_the_picture_is_a_view_of_planes(scene: Scene) -> None:
    image, _, _ = rasterize(*scene.arguments(), **scene.size, sh_degree=3)
    assert image.permute(0, 3, 1, 2).is_contiguous()


def test_gradients_are_the_same_for_packed_and_planar_losses(scene: Scene) -> None:
    results = []
    for change in (Tensor.contiguous, lambda t: t):
        tensors = scene.differentiable()
        image, _, _ = rasterize(*scene.arguments(), **scene.size, sh_degree=3)
        results.append(torch.autograd.grad(change(image).square().sum(), tensors))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_radius_clip_leaves_out_small_gaussians(scene: Scene) -> None:
    _, _, everyone = rasterize(*scene.arguments(), **scene.size, sh_degree=3)
    _, _, meta = rasterize(*scene.arguments(), **scene.size, sh_degree=3, radius_clip=5.0)
    large = everyone["radii"].amax(-1) > 5
    assert 0 < large.sum() < (everyone["radii"] > 0).all(-1).sum()
    assert torch.equal((meta["radii"] > 0).all(-1), large)
