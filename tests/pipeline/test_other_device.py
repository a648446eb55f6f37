"""Whole jobs on a device that is not the CPU: the CPU's result, and no number leaves it but where that is listed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standin
import torch
from pictures_only import pictures_only
from synthetic import make_shot, result_of

from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Progress
from ani3dhuman import device
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.fitting import cameras, fitted
from ani3dhuman.avatar.fitting.fit import Descent
from ani3dhuman.avatar.fitting.on_device import DeviceDescent
from ani3dhuman.avatar.fitting.shown import Shown
from ani3dhuman.avatar.fitting.surfels import Posed, Surfels
from ani3dhuman.avatar.fitting.targets import surface_targets
from ani3dhuman.device import CPU, Compute, choose
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.mesh.surface_tensors import SurfaceTensors
from ani3dhuman.models.machine import Machine
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.refinement.rigidity import rigidity
from ani3dhuman.rendering import view

DEVICE = f"{standin.NAME}:0"
TINY = Settings.from_dict(
    {"preset": "draft", "gaussians": 200, "refine_steps": 3, "refine_height": 32, "sampling_steps": 2, "device": "cpu"}
)
FRAMES = 3
WITHIN = 1e-4
# Adam divides by the gradient's size: where a gradient is rounding alone, its sign decides on a step. Few vertices
# do so; a triangle of 1 cm turns by .01 where one moves by .1 mm, and a shadow's edge crosses a Gaussian. What comes
# from all around in a frame is in its neighbours' light too, so that of colours there are three times as many
LIGHT = {"radiance:base": 5 * WITHIN}  # of one mesh: what shades a Gaussian 1 cm away changes its light by 80 a metre
FEW, TURNS, STEP = 0.04, {"covariance": 10 * WITHIN}, {"covariance": 0.02, "radiance:base": 0.05}
# who may copy numbers from the device to the CPU between posing and the frame cache, and what
LISTED = {
    "rendering.layers.drawn_frame.<locals>.<genexpr>": "finished pictures",
    "pipeline.left_out._coverage": "what a camera sees of the first frame",
    "restoration.compact.feature_maps._drawn": "maps of the compact prior, 64 x 48 cells",
    "restoration.compact.feature_maps.surface_maps.<locals>.<lambda>": "places of the cloth, for its crop",
    "restoration.compact.prior.CompactPrior.velocity": "latents of the compact prior, which the sampler keeps",
    "restoration.compact.prior.CompactPrior._key": "weights, for a checkpoint's name",
    "restoration.wan.prior.WanPrior.velocity": "latents of a video model, likewise",
    "restoration.wan.vae.WanVae.encode": "latents of pictures",
    "restoration.wan.vae.WanVae.decode": "the video",
    "restoration.video.prompts.PromptEncoder._encode": "embeddings, to be kept",
    "refinement.validation.validate.<locals>.validate_pair": "a preview",
    "refinement.fit.refined_vertices": "the refined mesh",
    "refinement.fit.refined_appearance": "its appearance",
    "refinement.fit._Fit.result": "fields that are finished",
    "storage.checkpoint.save_checkpoint.<locals>.<dictcomp>": "checkpoints",
    "fields.dct._smoother": "points of a field that is made, to solve for its smoothing once",
    "pipeline.animate._write_cache.<locals>.<genexpr>": "frames for the cache",
}

pytestmark = pytest.mark.skipif(not standin.available(), reason="this torch has no devices in Python")


@pytest.fixture(scope="module")
def shot():
    return make_shot(FRAMES, width=32, height=48)


@pytest.fixture
def on_device(monkeypatch):
    """Runs a job on the device; who copied from it."""

    def run(shot: Any, out: Path, settings: Settings) -> dict[str, int]:
        with standin.standin() as moved, monkeypatch.context() as patch:
            patch.setattr("ani3dhuman.pipeline.job.choose", lambda *given: Compute(DEVICE, DEVICE, "a test"))
            patch.setattr(Machine, "budget", property(lambda self: (DEVICE, 1e6)))
            animate(shot, out, settings)
            return dict(moved)

    return run


@pytest.fixture(autouse=True)
def one_rasteriser(monkeypatch):
    """The CPU draws by the reference too: kernels are compared elsewhere."""
    monkeypatch.setitem(view.BACKENDS_OF, "cpu", "reference")


def arrays_of(out: Path) -> dict[str, np.ndarray]:
    """What the cache holds, with the covariances of Gaussians, their largest variance 1, in place of their turns.

    A Gaussian that is as wide as it is long is the same whichever way it is turned.
    """
    arrays = dict(FrameCache.open(out / "synthetic.ani3d").arrays)
    w, x, y, z = np.moveaxis(np.asarray(arrays.pop("rotation"), np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    R = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    axes = R * (arrays["scale"] / np.max(arrays["scale"], -1, keepdims=True))[..., None, :]
    return {**arrays, "covariance": axes @ axes.swapaxes(-1, -2)}


@pytest.mark.parametrize(
    ("changes", "by_pixels"),
    [
        ({"rounds": 2}, False),
        ({"rounds": 2, "appearance": True}, True),
        ({"field": "hexplane"}, True),
    ],
    ids=["rounds of meshes", "rounds, cosines and appearance", "hexplane"],
)
def test_a_job_gives_the_cpus_result(shot, tmp_path, on_device, changes, by_pixels, record_property):
    settings = TINY.changed(**changes)
    if by_pixels:
        with pictures_only():
            animate(shot, tmp_path / "cpu", settings)
            moved = on_device(shot, tmp_path / "device", settings)
    else:
        animate(shot, tmp_path / "cpu", settings)
        moved = on_device(shot, tmp_path / "device", settings)
    assert moved, "something has to leave the device, or nothing was on it"
    assert set(moved) <= set(LISTED), sorted(set(moved) - set(LISTED))
    theirs = {"vertices": result_of(tmp_path / "cpu"), **arrays_of(tmp_path / "cpu")}
    for name, values in {"vertices": result_of(tmp_path / "device"), **arrays_of(tmp_path / "device")}.items():
        apart = np.abs(values - theirs[name])
        record_property("standin_difference", float(apart.max()))  # for benchmarks.job
        within = (TURNS if by_pixels else LIGHT).get(name, WITHIN)
        assert (apart > within).mean() <= (FEW if by_pixels else 0), name
        assert apart.max() <= (STEP.get(name, 1e-3) if by_pixels else within), name
    notes = json.loads((tmp_path / "device" / "report.json").read_text())["notes"]
    assert notes["device"] == f"{DEVICE}: a test"


def test_a_video_model_runs_there(tmp_path, on_device, monkeypatch, record_property):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "restoration"))
    monkeypatch.setenv("ANI3DHUMAN_MODELS", str(tmp_path / "models"))
    from tiny_wan_repository import write_repository

    write_repository(tmp_path / "wan")
    settings = TINY.changed(prior=str(tmp_path / "wan"), prompt="a walk", text_guidance=1.0)
    small = make_shot(5, width=48, height=64)
    animate(small, tmp_path / "cpu", settings)
    moved = on_device(small, tmp_path / "device", settings)
    assert "restoration.wan.prior.WanPrior.velocity" in moved and set(moved) <= set(LISTED), set(moved)
    found, theirs = result_of(tmp_path / "device"), result_of(tmp_path / "cpu")
    record_property("standin_difference", float(np.abs(found - theirs).max()))  # for benchmarks.job
    np.testing.assert_allclose(found, theirs, atol=WITHIN)


def test_the_device_refuses_what_a_card_refuses():
    with standin.standin():
        there = torch.ones(3, device=standin.NAME)
        with pytest.raises(RuntimeError, match="meet"):
            there + torch.ones(3)
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
        assert float((there + 1).sum()) == 6


def test_heights_over_a_surface_are_those_of_the_kernels():
    rng = np.random.default_rng(0)
    shot = make_shot(1)
    obstacle = Obstacle.of_faces(shot["vertices"][None], shot["faces"][:100].astype(np.int64))
    places = (rng.normal(size=(400, 3)) * [0.3, 0.3, 0.5] + [0, 0, 1]).astype(np.float32)
    heights, away = obstacle.at(0).heights(places)
    found, ways = SurfaceTensors.of(obstacle.at(0), CPU).heights(torch.from_numpy(places))
    same = np.abs(found.numpy() - heights) < 1e-5
    assert same.mean() > 0.995, "a tie may send the walk another way"
    np.testing.assert_allclose(ways.numpy()[same], away[same], atol=2e-3)


def test_rigidity_is_that_of_the_kernels():
    rng = np.random.default_rng(0)
    sources = torch.from_numpy(np.sort(rng.integers(0, 40, 240)))
    before = torch.from_numpy(rng.normal(size=(240, 3)).astype(np.float32))
    after = (before + 0.3 * torch.from_numpy(rng.normal(size=(240, 3)).astype(np.float32))).requires_grad_()
    energy = rigidity(before, after, sources, 40)
    (slope,) = torch.autograd.grad(energy, after)
    with standin.standin():
        there = [value.detach().to(standin.NAME) for value in (before, after, sources)]
        there[1].requires_grad_()
        same = rigidity(*there, 40)
        (other,) = torch.autograd.grad(same, there[1])
        assert float(same) == pytest.approx(float(energy), rel=1e-4)
        np.testing.assert_allclose(other.cpu().numpy(), slope.numpy(), atol=1e-5)


def test_auto_takes_the_cpu_where_there_is_no_card_and_says_why(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = choose("auto", lambda device: None)
    assert found.on_cpu and ("CUDA" in found.why)
    monkeypatch.setattr(device, "_no_such_card", lambda device: "")
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert choose("auto", lambda device: None).device == "cuda:0"
    monkeypatch.setenv(device.CARD_VARIABLE, "1")
    found = [choose(wanted, lambda device: None).device for wanted in ("auto", "cuda", "cuda:0")]
    assert found == ["cuda:1", "cuda:1", "cuda:0"], "the process's own, or the one that is named"
    monkeypatch.delenv(device.CARD_VARIABLE)

    def broken(device: str) -> None:
        raise RuntimeError("no kernel image")

    found = choose("auto", broken)
    assert found.on_cpu and found.networks == "cuda:0" and "no kernel image" in found.why
    with pytest.raises(device.Ani3DError, match="no kernel image"):
        choose("cuda:0", broken)


def test_an_avatar_is_fitted_there(monkeypatch, record_property):
    monkeypatch.setattr(cameras, "WIDTH", 32)
    monkeypatch.setattr(cameras, "HEIGHT", 48)
    monkeypatch.setattr(cameras, "FINE", 45)  # all of the character in a picture
    monkeypatch.setattr(fitted, "PICTURES", 20)
    monkeypatch.setattr(fitted, "JUDGED", 4)
    given = make_shot(1), 120, 12, 0, Progress("avatar", 1), None
    theirs = fitted.fitted_avatar(*given)
    with standin.standin() as moved:
        found = fitted.fitted_avatar(*given, Compute(DEVICE, DEVICE, "a test"))
        assert set(moved) == {
            "avatar.fitting.density.blame",  # a picture, to be compared; what Gaussians have of its errors
            "avatar.fitting.fitted.likeness",  # a picture, likewise
            "avatar.fitting.on_device.DeviceDescent.finish",  # what was fitted
        }
    assert theirs.notes["held_out_db"][1] > theirs.notes["held_out_db"][0]
    np.testing.assert_allclose(found.notes["held_out_db"], theirs.notes["held_out_db"], atol=0.05)
    for name in ("scales", "opacities", "albedo"):
        apart = np.abs(getattr(found.avatar, name) - getattr(theirs.avatar, name))
        record_property("standin_difference", float(apart.max()))
        assert np.median(apart) < 1e-5 and (apart > 1e-3).mean() < FEW, name


@pytest.mark.parametrize(("samples", "lifted"), [(1, False), (2, True)])
def test_a_step_of_the_fit_is_that_of_the_kernels(samples, lifted):
    shot = make_shot(1)
    avatar = avatar_from_shot(shot, 200)
    avatar = replace(avatar, lifts=np.linspace(0, 0.3, avatar.count, dtype=np.float32))
    stretched = shot["vertices"] @ np.array([[1.2, 0.3, 0], [0, 0.9, 0.1], [0.1, 0, 1.1]], np.float32)
    view = shot.cameras.resized(32, 48)
    target = surface_targets(shot, stretched[None], view, np.zeros(1, int), Progress("pictures", 1))[0]
    curved, posed = np.arange(avatar.count) % 5 == 0, [Posed.of(stretched, avatar.binding)]
    seen = Shown(np.arange(avatar.count), np.arange(avatar.count) % 2 == 0, np.arange(avatar.count) % 7 == 0)
    weights, backdrop = np.float32([1.0, 10.0, 0.5]), np.float32([0.2, 0.5, 0.8])
    results = []
    for made in (Descent, lambda *given: DeviceDescent(*given, Compute(DEVICE, DEVICE, "a test"))):
        surfels = Surfels(avatar, shot["vertices"], curved)
        surfels.values[:, 2:5] += np.random.default_rng(3).normal(0, 0.4, (avatar.count, 3)).astype(np.float32)
        with standin.standin():
            descent = made(surfels, posed, weights)
            descent.step(target, seen, backdrop, 0.0, samples, lifted)
            if isinstance(descent, DeviceDescent):
                surfels.descent.means[:] = descent.means.cpu().numpy()
        results.append(surfels.descent.means.copy())  # after one step a tenth of the gradient
    free = ~curved
    assert (np.abs(results[0][free]).max(0) > 1e-7).all()
    here, there = (found / np.abs(results[0]).max(0) for found in results)
    np.testing.assert_allclose(there[free], here[free], atol=1e-4)
    np.testing.assert_allclose(there[:, 3:], here[:, 3:], atol=1e-4)
    assert (results[0][curved, :3] == 0).all() and (np.abs(results[0][curved, 3:]).max(0) > 1e-7).all()
