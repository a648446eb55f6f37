"""Whatever goes wrong on the command line ends in one line with a code, and a log that holds the traceback."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.atomic import full_disk_reported
from ani3d_formats.errors import Ani3DError
from ani3d_formats.explain import explain
from ani3d_formats.shot import Shot
from ani3dhuman import cli

QUICK = ["--preset", "draft", *(f"--set={word}" for word in ("gaussians=300", "refine_steps=0", "prior=none"))]
Run = Callable[..., tuple[str, Path]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot, its result, and things that are none."""
    place = tmp_path_factory.mktemp("place")
    make_shot(2, width=48, height=80).save(place / "shot.npz")
    assert cli.main(["animate", str(place / "shot.npz"), "-o", str(place / "result"), *QUICK]) == 0
    data = (place / "shot.npz").read_bytes()
    (place / "cut.npz").write_bytes(data[: len(data) // 2])
    (place / "empty.npz").touch()
    (place / "text.npz").write_text("hello")
    np.savez(place / "other.npz", vertices=np.zeros(3))
    np.save(place / "array.npy", np.zeros(3))
    (place / "file").write_text("x")
    (place / "folder").mkdir()
    (place / "clips").mkdir()
    maps = {"conditions": np.zeros((2, 14, 64, 48), np.float16), "offsets": np.zeros((2, 3, 64, 48), np.float16)}
    np.savez(place / "clips" / "a.npz", **maps)
    return place


@pytest.fixture
def failing(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that fails: its last line, and the log that it names. Runs in a folder of its own."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    shutil.copytree(place, work)
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def run(*arguments: str, status: int = 1) -> tuple[str, Path]:
        capsys.readouterr()
        assert cli.main(list(arguments)) == status
        said = capsys.readouterr().err
        assert "Traceback" not in said and "report it" not in said
        last = said.replace("\r", "\n").strip().splitlines()[-1]
        found = re.fullmatch(r"error: [a-z_]+\.[a-z_]+: \S.* \(details: (.+)\)", last)
        assert found, last
        assert "Traceback" in Path(found[1]).read_text()
        return last, Path(found[1])

    return run


@pytest.mark.parametrize(
    "shot", ["none.npz", "", "folder", "empty.npz", "cut.npz", "text.npz", "other.npz", "array.npy"]
)
@pytest.mark.parametrize("command", ["animate", "restore", "render"])
def test_a_shot_that_is_none(failing: Run, command: str, shot: str) -> None:
    arguments = ["result/synthetic.ani3d", "--shot", shot] if command == "render" else [shot, *QUICK]
    line, _ = failing(command, *arguments, "-o", "out")
    assert line.startswith("error: shot.")
    assert shot in line or shot == "other.npz"  # which could be read
    assert not Path("out").exists()


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/none", "/dev/null", "x" * 300])
@pytest.mark.parametrize("command", ["animate", "restore", "render", "prior"])
def test_a_result_folder_that_cannot_be_one(failing: Run, command: str, out: str) -> None:
    arguments = {
        "render": ["render", "result/synthetic.ani3d", "--shot", "shot.npz", "--samples", "1"],
        "prior": ["prior", "train", "--clips", "clips", "--minutes", "0.001"],
    }.get(command, [command, "shot.npz", *QUICK])
    line, log = failing(*arguments, "-o", out)
    assert line.startswith("error: file.unusable: ") and out in line
    assert log.parent.name == "temporary"


@pytest.mark.parametrize("name", ["report.json", "videos", ".work", "synthetic.ani3d", "contact_sheet.png"])
def test_something_else_in_the_place_of_a_result(failing: Run, name: str) -> None:
    Path("out").mkdir()
    if "." in name[1:]:
        (Path("out") / name / "inside").mkdir(parents=True)
    else:
        (Path("out") / name).write_text("x")
    if name == "synthetic.ani3d":  # an older cache, whatever it holds, is replaced
        assert cli.main(["animate", "shot.npz", "-o", "out", *QUICK]) == 0
        return
    line, log = failing("animate", "shot.npz", "-o", "out", *QUICK)
    assert line.startswith("error: file.unusable: ") and name in line
    assert log == Path("out") / "error.log"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["animate", "shot.npz", "-o", "out", "--set", "frob=1"], "settings.unknown"),
        (["animate", "shot.npz", "-o", "out", "--set", "gaussians=many"], "settings.type"),
        (["animate", "shot.npz", "-o", "out", "--prior", "nobody"], "settings.value"),
        (["animate", "shot.npz", "-o", "out", "--set", "keypoint_map=folder"], "keypoints.file"),
        (["render", "folder", "--shot", "shot.npz", "-o", "out"], "cache.missing"),
        (["render", "file", "--shot", "shot.npz", "-o", "out"], "cache.missing"),
        (["render", "result/synthetic.ani3d", "--shot", "shot.npz", "-o", "out", "--frames", "9"], "film.frames"),
        (["inspect", "none.ani3d"], "cache.missing"),
        (["inspect", "result/synthetic.ani3d", "--plot", "folder"], "file.unusable"),
        (["models", "path", "nobody"], "models.unknown"),
        (["models", "fetch", "wan2.1-vace-1.3b", "--offline", "--root", "file"], "models.offline"),
        (["prior", "train", "-o", "out"], "training.nothing"),
        (["prior", "train", "--clips", "none", "-o", "out"], "training.no_clips"),
        (["prior", "train", "--clips", "clips", "-o", "out", "--start", "folder"], "restoration.no_prior"),
        (["prior", "train", "--blend", "none.blend", "-o", "out"], "takes.no_file"),
        (["doctor", "--shot", "wide"], "cli.syntax"),
    ],
)
def test_a_wrong_argument(failing: Run, arguments: list[str], code: str) -> None:
    assert failing(*arguments)[0].startswith(f"error: {code}: ")


def test_a_damaged_checkpoint_or_clip_of_training(failing: Run) -> None:
    Path("out").mkdir()
    Path("out/checkpoint.pt").write_text("x")
    line, _ = failing("prior", "train", "--clips", "clips", "-o", "out", "--minutes", "0.001")
    assert line.startswith("error: training.checkpoint: ") and "out/checkpoint.pt" in line
    shutil.copy("array.npy", "clips/b.npz")
    assert failing("prior", "train", "--clips", "clips", "-o", "out")[0].startswith("error: training.clip: ")


@pytest.mark.parametrize("command", ["animate", "restore", "render", "prior", "inspect"])
def test_a_full_disk(failing: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ani3d_formats.atomic.os.fsync", full)
    arguments = {
        "render": ["render", "result/synthetic.ani3d", "--shot", "shot.npz", "--samples", "1", "-o", "out"],
        "prior": ["prior", "train", "--clips", "clips", "--minutes", "0.001", "-o", "out"],
        "inspect": ["inspect", "result/synthetic.ani3d"],
    }.get(command, [command, "shot.npz", *QUICK, "-o", "out"])
    assert failing(*arguments)[0].startswith("error: disk.full: ")


def test_an_error_that_nobody_foresaw(failing: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("ani3dhuman.pipeline.animate.animate", broken)
    Path("out").mkdir()
    line, log = failing("animate", "shot.npz", "-o", "out")
    assert line.startswith("error: command.failed: This failed unexpectedly: RuntimeError: first line second line.")
    assert "in broken" in log.read_text()


def test_ctrl_c_before_and_after_the_work_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ani3dhuman.commands.models.listing", interrupted)
    assert cli.main(["models", "list"]) == 130
    assert capsys.readouterr().err == "Cancelled.\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/shot.npz"), "file.unusable", "/x/shot.npz"),
        (OSError(errno.EROFS, "Read-only file system", "a", None, "b"), "file.unusable", "a or b"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/position.npy"), "disk.full", "/x/position.npy"),
        (OSError("1843200 requested and 1675136 written"), "disk.full", "missing"),
        (MemoryError("2 TB"), "memory.full", "memory"),
        (Ani3DError("shot.no_faces", "No faces.", "Bind some."), "shot.no_faces", "No faces."),
        (ValueError(), "work.failed", "ValueError."),
        (OSError("odd"), "work.failed", "OSError: odd."),
    ],
)
def test_any_exception_is_explained(error: Exception, code: str, said: str, tmp_path: Path) -> None:
    known = explain(error, tmp_path / "missing", "work.failed", "See the log.")
    assert known.code == code and said in known.message and known.hint
    outer = RuntimeError("cannot go on")
    outer.__cause__ = error
    if not isinstance(error, Ani3DError) and code != "work.failed":
        assert explain(outer, tmp_path, "work.failed", "See the log.").code == code


def test_a_full_disk_is_told_by_the_file_that_had_no_room(tmp_path: Path) -> None:
    with pytest.raises(Ani3DError) as caught, full_disk_reported(tmp_path / "step.safetensors"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write says it: without a name
    told = explain(caught.value, tmp_path, "job.failed", "")
    assert told.code == "disk.full" and str(tmp_path / "step.safetensors") in told.message


def test_a_shot_with_changed_bytes_is_refused_or_read(place: Path, tmp_path: Path) -> None:
    """Headers of zip and NumPy most of all: they are at the beginning of each array and at the end of the file."""
    data, random_place = (place / "shot.npz").read_bytes(), random.Random(0)
    heads = [found.start() for found in re.finditer(b"PK|NUMPY", data)]
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(random_place.choice([1, 2, 8])):
            spot = random_place.choice(heads) + random_place.randrange(80)
            changed[min(spot, len(data) - 1)] = random_place.randrange(256)
        (tmp_path / "shot.npz").write_bytes(changed)
        try:
            Shot.load(tmp_path / "shot.npz")
        except Ani3DError as error:
            assert error.code.startswith("shot.") and error.hint
