"""Takes become clips; the command has Blender record them, then fine-tunes; what is missing is said in one sentence."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.pc2 import PC2Writer
from ani3d_formats.pins import nearest_of_all, pin_weights
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman import cli
from ani3dhuman.cloth.pins import nearest_points
from ani3dhuman.restoration.compact.network import DisplacementNet
from ani3dhuman.training.blender import find_blender, record_takes
from ani3dhuman.training.clips import Clips
from ani3dhuman.training.takes import clip_of_take, clips_of_takes, orbit
from blender_addon.takes import checks

FRAMES = 18
FAKE = """#!{python}
import json, shutil, sys
if "--version" in sys.argv:
    print("Blender 9.9.0 (a stand-in)")
    sys.exit(0)
assert sys.argv[1:5] == ["--background", "--python-exit-code", "1", "--python"], sys.argv
option = dict(zip(sys.argv[7::2], sys.argv[8::2]))
print("Read blend")
if open(option["--blend"]).read() == "bare":
    print("@problem " + json.dumps("'Rig' has neither garment nor hair to simulate."), flush=True)
    sys.exit(1)
if open(option["--blend"]).read() == "crash":
    print("Segmentation fault")
    sys.exit(11)
for n in range(int(option["--takes"])):
    shutil.copytree({take!r}, option["--folder"] + f"/take_{{n:04d}}", dirs_exist_ok=True)
    print("@progress " + json.dumps([n + 1, int(option["--takes"])]), flush=True)
"""


def write_take(folder: Path, lag: float = 0.05, bare: bool = False) -> Path:
    """A take whose skirt and hair hang `lag` metres behind; a `bare` one has none."""
    folder.mkdir(parents=True)
    shot = make_shot(FRAMES)
    if bare:
        shot["region_ids"][:] = 0
    shot.save(folder / "shot.npz")
    truth = rigid_of(shot)
    truth[:, shot["region_ids"] >= 2, 0] -= lag
    with PC2Writer(folder / "truth.pc2", truth.shape[1], 1, FRAMES) as file:
        for frame in truth:
            file.write(frame)
    return folder


def rigid_of(shot: Shot) -> np.ndarray:
    return skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())


@pytest.fixture
def blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that looks like Blender and hands out a take that is there."""
    program = tmp_path / "bin" / "blender"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, take=str(write_take(tmp_path / "ready"))))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("ANI3DHUMAN_BLENDER", str(program))
    return program


def test_every_eighth_take_is_held_out_and_finished_clips_stay(tmp_path: Path) -> None:
    takes, out = tmp_path / "takes", tmp_path / "clips"
    for number in (6, 7):
        write_take(takes / f"take_{number:04d}")
    (takes / "take_0008").mkdir()
    (takes / "take_0008" / "dropped.txt").write_text("torn")
    assert clips_of_takes(takes, out, 2) == 4
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"{name}_{v}.npz" for name in ("take_0006", "validation_take_0007") for v in (0, 1)]
    assert clips_of_takes(takes, out, 2) == 0
    clips = Clips((out,))
    clips.refresh()
    assert len(clips.train) == len(clips.validation) == 2
    for conditions, offsets in clips.train:
        size = np.linalg.norm(offsets.astype(np.float32), axis=1)[conditions[:, :2].sum(1) > 0.95]
        assert np.median(size) == pytest.approx(0.05, abs=0.005)
    assert np.abs(clips.train[0][0] - clips.train[1][0]).mean() > 0.01  # another view


def test_cameras_go_round_the_character_and_see_all_of_it(tmp_path: Path) -> None:
    clip, truth = clip_of_take(write_take(tmp_path / "take_0000"))
    np.testing.assert_allclose(clip.rigid_vertices, rigid_of(make_shot(FRAMES)), atol=1e-6)
    sides = []
    for seed in range(6):
        cameras = orbit(clip, np.random.default_rng(seed))
        for t in (0, FRAMES - 1):
            pixels, depth = cameras.project(truth[t], t)
            assert depth.min() > 0.5
            assert ((pixels > 0) & (pixels < [cameras.width, cameras.height])).mean() > 0.98
            np.testing.assert_allclose(cameras.viewmats[t, 2, :3] @ cameras.viewmats[t, 1, :3], 0, atol=1e-6)
            assert np.linalg.det(cameras.viewmats[t, :3, :3]) == pytest.approx(1, abs=1e-5)
        away = cameras.positions()[0] - clip.rigid_vertices[0].mean(0)
        sides.append(np.arctan2(away[1], away[0]))
    assert np.ptp(sides) > 2


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_take_of_any_size_is_learned_from_at_human_size(tmp_path: Path, factor: float) -> None:
    usual = clip_of_take(write_take(tmp_path / "take_0000"))
    other = write_take(tmp_path / "take_0001")
    Shot.load(other / "shot.npz").scaled(factor).save(other / "shot.npz")
    with PC2Writer(other / "truth.pc2", usual[1].shape[1], 1, FRAMES) as file:
        for frame in usual[1]:
            file.write(factor * frame)
    clip, truth = clip_of_take(other)
    np.testing.assert_allclose(truth, usual[1], atol=1e-5)
    np.testing.assert_allclose(clip.rigid_vertices, usual[0].rigid_vertices, atol=1e-5)
    np.testing.assert_allclose(clip.pin_weights, usual[0].pin_weights, atol=1e-4)


def test_takes_without_cloth_are_passed_over(tmp_path: Path) -> None:
    messages: list[str] = []
    write_take(tmp_path / "takes" / "take_0000", bare=True)
    progress = Progress("clips", 1, lambda report: messages.append(report.message))
    with pytest.raises(Ani3DError, match="nothing to learn") as caught:
        clips_of_takes(tmp_path / "takes", tmp_path / "clips", 1, progress)
    assert caught.value.code == "training.nothing_loose" and "take_0000 has no garment and no hair" in messages
    write_take(tmp_path / "takes" / "take_0001")
    assert clips_of_takes(tmp_path / "takes", tmp_path / "clips", 1) == 1
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["take_0001_0.npz"]


def test_a_truth_of_another_shot_is_refused(tmp_path: Path) -> None:
    take = write_take(tmp_path / "take_0000")
    make_shot(FRAMES - 1).save(take / "shot.npz")
    with pytest.raises(Ani3DError, match="its shot wants"):
        clips_of_takes(tmp_path, tmp_path / "out", 1)
    with pytest.raises(Ani3DError, match="no finished take"):
        clips_of_takes(tmp_path / "nothing", tmp_path / "out", 1)


def test_pins_are_the_same_with_either_search_for_nearest_points() -> None:
    arrays = make_shot(FRAMES).arrays
    pins = pin_weights(arrays, nearest_of_all)
    np.testing.assert_allclose(pins, pin_weights(arrays, nearest_points), atol=1e-5)
    assert 0 < pins[arrays["region_ids"] >= 2].mean() < 1


def test_what_is_dropped() -> None:
    shot = make_shot(FRAMES)
    rigid, loose = rigid_of(shot), shot["region_ids"] >= 2
    assert checks.why_dropped(shot.arrays, rigid, loose, 24.0) == ""
    torn, flung, broken = rigid.copy(), rigid.copy(), rigid.copy()
    torn[:, np.flatnonzero(loose)[::2], 2] -= 0.3
    flung[9:, loose] += 2.0
    broken[3, 100] = np.nan
    assert "grow" in checks.why_dropped(shot.arrays, torn, loose, 24.0)
    assert "m a second" in checks.why_dropped(shot.arrays, flung, loose, 24.0)
    assert "finite" in checks.why_dropped(shot.arrays, broken, loose, 24.0)


def test_from_blend_to_prior_in_one_command(
    blender: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    DisplacementNet(widths=(8, 8, 8), depths=(1, 1, 1)).save_pretrained(tmp_path / "small")
    (tmp_path / "my.blend").write_text("a character")
    out = tmp_path / "out"
    arguments = ["prior", "train", "--blend", str(tmp_path / "my.blend"), "-o", str(out), "--minutes", "0.03"]
    arguments += ["--takes", "2", "--views", "1", "--batch", "2", "--start", str(tmp_path / "small")]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert "the prior is in" in printed.out and "takes" in printed.err and "clips" in printed.err
    assert (out / "model" / "config.json").exists() and len(list((out / "clips").iterdir())) == 2
    rates = torch.load(out / "checkpoint.pt", weights_only=True)["optimizer"]["param_groups"]
    assert rates[0]["lr"] <= 3e-4
    start = DisplacementNet.from_pretrained(tmp_path / "small").state_dict()
    tuned = DisplacementNet.from_pretrained(out / "model").state_dict()
    change = max(float((tuned[name] - start[name]).abs().max()) for name in start)
    assert 0 < change < 0.1


def test_problems_are_one_sentence(
    blender: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*more: str) -> str:
        assert cli.main(["prior", "train", "-o", str(tmp_path / "out"), *more]) == 1
        text = capsys.readouterr().err
        assert text.count("error:") == 1 and "Traceback" not in text
        return text

    blend = tmp_path / "my.blend"
    assert "nothing to train on" in error()
    assert "no file" in error("--blend", str(blend))
    blend.write_text("bare")
    assert "neither garment nor hair" in error("--blend", str(blend))
    blend.write_text("crash")
    assert "status 11: Read blend / Segmentation fault" in error("--blend", str(blend))
    assert "--takes 0" in error("--blend", str(blend), "--takes", "0")
    monkeypatch.setenv("ANI3DHUMAN_BLENDER", str(tmp_path / "none"))
    assert "There is no program" in error("--blend", str(blend))
    assert "neither Blender nor a Python" in error("--blend", str(blend), "--blender", "/bin/true")


def test_programs(blender: Path) -> None:
    assert find_blender() == [str(blender), "--background", "--python-exit-code", "1", "--python"]
    assert find_blender(sys.executable) == [sys.executable]


def test_stopping_ends_blender(blender: Path, tmp_path: Path) -> None:
    """Cancelling while Blender works: the program is gone afterwards, although it would go on for a minute."""
    pid = tmp_path / "pid"
    first = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid()))"
    blender.write_text(blender.read_text().replace("import json", f"{first}\nimport json") + "    time.sleep(60)\n")
    (tmp_path / "my.blend").write_text("a character")
    progress = Progress("takes", 1, should_cancel=lambda: True)
    with pytest.raises(Cancelled):
        record_takes(tmp_path / "my.blend", tmp_path / "takes", 3, 9, 0, None, progress)
    assert progress.total == 3
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
