"""What a restored video depends on: the contents of the prior's files, and what its loader says that it looks at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_wan_adapter import write_adapter
from tiny_wan_repository import write_repository

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.find import find
from ani3dhuman.restoration.loading import FoundPrior, depends_on, find_prior
from ani3dhuman.storage.stage_store import content_key

CHOICES: dict[str, Any] = {
    "prompt": "a walk",
    "control": "pose",
    "reference": np.zeros((2, 2, 3)),
    "text_guidance": 5.0,
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANI3DHUMAN_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def key(found: FoundPrior, **changes: Any) -> str:
    return content_key(depends_on(found, {**CHOICES, **changes}))


def trained_on(weights: Path) -> None:
    """A file of weights changed in place in its last number; its size stays."""
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def test_a_wan_or_an_adapter_trained_on_in_place_is_another_one(tmp_path: Path, root: Path) -> None:
    write_repository(tmp_path / "wan")
    adapter = root / "causvid-1.3b" / find("causvid-1.3b").files[0].path
    adapter.parent.mkdir(parents=True)
    write_adapter(adapter, 0)
    plain, adapted = find_prior(str(tmp_path / "wan")), find_prior(str(tmp_path / "wan"), "causvid-1.3b")
    assert key(plain) != key(adapted) and key(adapted) == key(adapted)
    before = key(plain), key(adapted)
    trained_on(adapter)
    assert key(plain) == before[0] and key(adapted) != before[1]
    trained_on(next((tmp_path / "wan" / "transformer").glob("*.safetensors")))
    assert key(plain) != before[0]


def test_the_same_files_in_another_place_are_the_same_prior(tmp_path: Path) -> None:
    write_repository(tmp_path / "wan")
    before = key(find_prior(str(tmp_path / "wan")))
    (tmp_path / "wan").rename(tmp_path / "moved")
    assert key(find_prior(str(tmp_path / "moved"))) == before


def test_a_prior_depends_on_what_its_loader_names(tmp_path: Path) -> None:
    compact = find_prior("compact")
    assert key(compact) == key(compact, prompt="a dance", reference="bind")
    write_repository(tmp_path / "wan")
    wan = find_prior(str(tmp_path / "wan"))
    assert len({key(wan), key(wan, prompt="a dance"), key(wan, reference="bind"), key(wan, text_guidance=1.0)}) == 4
    ltx = replace(wan, model=replace(wan.model, loader=find("ltx-video-0.9.5").loader))
    given = {"negative_prompt": ""}
    assert (
        key(ltx, **given) == key(ltx, **given, reference="bind", control="depth") != key(ltx, **given, prompt="a dance")
    )
    with pytest.raises(Ani3DError) as caught:
        key(replace(wan, model=replace(wan.model, loader=None)))
    assert caught.value.code == "models.no_loader"
