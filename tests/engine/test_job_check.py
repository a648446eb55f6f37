"""What the engine refuses before it takes a job."""

import pytest
from synthetic import make_arrays

from ani3d_formats.errors import Ani3DError
from engine.job import check


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"prior": "nowhere"}, "settings.value"),
        ({"prior": "none", "repair": True}, "settings.value"),
        ({"seed": "1"}, "settings.type"),
        ({"gaussian": 5}, "settings.unknown"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, code):
    with pytest.raises(Ani3DError) as caught:
        check(make_arrays(3), settings)
    assert caught.value.code == code


def test_what_can_work_is_taken():
    assert check(make_arrays(3), {"preset": "draft", "prior": "compact"}) == "synthetic"
