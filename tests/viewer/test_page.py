"""The page of a result: what is packed comes out again, nothing is fetched, and Chromium draws it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman import cli
from ani3dhuman.viewer.page import write_page

FRAMES = 4
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> tuple[Path, Shot, np.ndarray]:
    """A cache of red Gaussians on the vertices of a character that walks, its shot and its vertices."""
    folder = tmp_path_factory.mktemp("viewer")
    shot = make_shot(FRAMES)
    moved = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    count = moved.shape[1]
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (FRAMES, count, 1))
    colors = np.tile(np.array([0.9, 0.1, 0.1], np.float32), (FRAMES, count, 1))
    gaussians = GaussianFrames(
        moved, quats, np.full(moved.shape, 0.03, np.float32), np.full(count, 0.9, np.float32), colors
    )
    meshes = {item.name: moved[:, item.rows] + np.float32(0.01) for item in shot.meta.objects}
    path = write_cache(folder / "she <i>.ani3d".replace("<i>", "one"), gaussians, fps=24, frame_start=1, meshes=meshes)
    shot.save(folder / "shot.npz")
    return path, shot, moved


def unpacked(page: Path) -> tuple[dict, dict[str, np.ndarray]]:
    text = page.read_text(encoding="utf-8")
    head = json.loads(re.search(r'id="head">(.*?)</script>', text, re.S)[1])
    data = gzip.decompress(base64.b64decode(re.search(r'id="data">(.*?)</script>', text, re.S)[1]))
    arrays = {}
    for entry in head["arrays"]:
        values = np.frombuffer(data, "<" + entry["kind"], entry["length"], entry["start"])
        if entry["change"]:
            values = np.cumsum(values.reshape(-1, entry["change"]), axis=0, dtype=values.dtype)
        arrays[entry["name"]] = values
    return head, arrays


def test_what_is_packed_comes_out_again(result, tmp_path):
    path, shot, moved = result
    write_page(tmp_path / "a.html", FrameCache.open(path), range(2, 5), shot)
    head, arrays = unpacked(tmp_path / "a.html")
    assert (head["start"], head["frames"], head["splats"], head["vertices"]) == (2, 3, moved.shape[1], moved.shape[1])
    for name, shift in (("position", 0), ("rigid", 0), ("result", 0.01)):
        places = arrays[name].reshape(3, -1, 3) * head["step"] + head["low"]
        np.testing.assert_allclose(places, moved[1:] + shift, atol=head["step"])
    np.testing.assert_array_equal(arrays["faces"].reshape(-1, 3), shot["faces"])
    np.testing.assert_allclose(arrays["color"].reshape(-1, 4)[0] / 255, (0.9, 0.1, 0.1, 0.9), atol=0.003)
    ends = arrays["bones"].reshape(3, -1, 2, 3)
    np.testing.assert_allclose(ends[:, :, 0], shot["bone_pose"][1:, :, :3, 3], atol=1e-6)


def test_nothing_is_fetched(result, tmp_path, capsys):
    path = result[0]
    assert cli.main(["view", str(path), "--html", str(tmp_path / "b.html"), "--frames", "1:2"]) == 0
    assert "b.html" in capsys.readouterr().out
    head, arrays = unpacked(tmp_path / "b.html")
    assert head["vertices"] == 0 and "faces" not in arrays
    text = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', text) and "import(" not in text
    assert cli.main(["view", str(path), "--html", str(tmp_path / "c.html"), "--frames", "1:9"]) == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_a_browser_draws_it(result, tmp_path):
    path, shot, _ = result
    write_page(tmp_path / "a.html", FrameCache.open(path), range(1, FRAMES + 1), shot)
    shown = {}
    for what in ("splats", "result,regions"):
        picture = tmp_path / f"{len(what)}.png"
        command = [CHROMIUM, "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        command += ["--window-size=480,480", "--virtual-time-budget=5000", f"--screenshot={picture}"]
        subprocess.run(
            [*command, f"{(tmp_path / 'a.html').as_uri()}#show={what}&frame=2"], capture_output=True, timeout=120
        )
        shown[what] = cv2.imread(str(picture))[100:400, 150:330].reshape(-1, 3).astype(int)
    blue, green, red = shown["splats"].T
    assert ((red > 150) & (green < 80) & (blue < 80)).mean() > 0.03
    assert len(np.unique(shown["result,regions"] // 32, axis=0)) > 10
