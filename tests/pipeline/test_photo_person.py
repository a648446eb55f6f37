"""The contract with programs that make a person of a photo, on a stand-in that keeps or breaks it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3dhuman import cli
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.pipeline.photo_person import person_of_photo
from ani3dhuman.splats.formats import write_splats
from ani3dhuman.splats.splats import Splats

STAND_IN = """
import shutil, sys
photo, out, what = sys.argv[1:]
assert open(photo, "rb").read() == b"a photo"
print("@progress 1 2", flush=True)
if what == "fail":
    print("no face in it"); sys.exit(3)
if what == "good":
    shutil.copy(photo + ".ply", out + "/person.ply")
print("@progress 2 2", flush=True)
"""


@pytest.fixture
def photo(tmp_path):
    """A photo, what the stand-in makes of it, and the stand-in."""
    shot = make_shot(2)
    shot.save(tmp_path / "shot.npz")
    means = shot["vertices"]
    count = len(means)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    sh = np.full((count, 1, 3), 0.3, np.float32)
    splats = Splats(means, quats, np.full((count, 3), 0.01, np.float32), np.full(count, 0.9, np.float32), sh)
    path = tmp_path / "me.jpg"
    path.write_bytes(b"a photo")
    write_splats(tmp_path / "me.jpg.ply", splats)
    (tmp_path / "lhm.py").write_text(STAND_IN)
    return path


def command(photo, what):
    return f"{sys.executable} '{photo.parent / 'lhm.py'}' {{photo}} {{out}} {what}"


def test_a_photo_becomes_an_avatar(photo, tmp_path):
    arguments = ["import", str(photo), "--shot", str(tmp_path / "shot.npz"), "-o", str(tmp_path / "me.avatar")]
    assert cli.main([*arguments, "--photo-command", command(photo, "good")]) == 0
    assert AvatarFile.load(tmp_path / "me.avatar").avatar.count > 100


def test_what_goes_wrong_is_told(photo, tmp_path):
    for text, code in (
        (command(photo, "fail"), "photo.failed"),
        (command(photo, "nothing"), "photo.no_result"),
        ("lhm {photo}", "photo.command"),
        ("no-such-program {photo} {out}", "photo.command"),
    ):
        with pytest.raises(Ani3DError) as caught:
            person_of_photo(photo, text, None, Progress("photo", 1))
        assert caught.value.code == code and caught.value.hint
        assert code != "photo.failed" or "no face" in caught.value.message
    with pytest.raises(Ani3DError, match="no photo"):
        person_of_photo(tmp_path / "none.jpg", "lhm {photo} {out}", None, Progress("photo", 1))
