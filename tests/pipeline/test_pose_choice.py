"""The pose that a prior sees follows the settings: style of the drawing, and bones whose names nobody knows."""

import json

import numpy as np
import pytest
from human_rig import human_arrays

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.coarse import coarse_layers
from ani3dhuman.pipeline.job import Job
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pose.drawing import STYLES
from ani3dhuman.pose.video import pose_video

SMALL = {"preset": "draft", "gaussians": 500, "coarse": "rigid"}


def drawings(folder, arrays, **changes):
    settings = Settings.from_dict({**SMALL, **changes})
    job = Job(Shot.from_arrays(arrays), settings, folder, None, lambda: False)
    coarse = coarse_layers(job)
    style, clip = STYLES[settings.conditions.pose_style], coarse.clip
    return coarse.keypoints, pose_video(job.shot, coarse.keypoints, clip.cameras, clip.coarse_pictures(), style=style)


def test_the_style_of_vace_is_thinner_and_blue_first(tmp_path):
    keypoints, usual = drawings(tmp_path, human_arrays())
    assert keypoints.is_human
    _, vace = drawings(tmp_path, human_arrays(), pose_style="vace")
    assert 0 < (vace.max(-1) > 0).sum() < (usual.max(-1) > 0).sum()
    both = (vace.max(-1) > 0) & (usual.max(-1) > 0)
    difference = np.abs(vace[both][:, ::-1].astype(int) - usual[both]).mean()
    assert difference < np.abs(vace[both].astype(int) - usual[both]).mean()


def test_a_file_names_the_bones_of_an_unknown_rig(tmp_path):
    strange = human_arrays(lambda name: f"x{sum(map(ord, name))}_{name[:1]}_{name[-1:]}{len(name)}")
    unknown, _ = drawings(tmp_path / "a", strange)
    assert not unknown.is_human
    sides = {"left": ".L", "right": ".R"}
    bones = {"shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand", "hip": "upperleg", "knee": "lowerleg"}
    plain = list(Shot.from_arrays(human_arrays()).meta.bones)
    odd = list(Shot.from_arrays(strange).meta.bones)
    name_of = dict(zip(plain, odd, strict=True))
    names = {f"{side}_{part}": name_of[bone + end] for side, end in sides.items() for part, bone in bones.items()}
    names |= {f"{side}_ankle": name_of["foot" + end] for side, end in sides.items()}
    file = tmp_path / "names.json"
    file.write_text(json.dumps(names))
    known, _ = drawings(tmp_path / "b", strange, keypoint_map=str(file))
    assert known.is_human


@pytest.mark.parametrize("text", ["[1]", "{", None])
def test_a_bad_file_of_names_is_one_clear_error(tmp_path, text):
    file = tmp_path / "names.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Ani3DError, match=r"names\.json") as caught:
        drawings(tmp_path / "out", human_arrays(), keypoint_map=str(file))
    assert caught.value.code == "keypoints.file"
