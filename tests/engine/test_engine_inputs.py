"""Paths and sizes from the wire: what may be asked, and what is refused without a look at the disk."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from engine_process import Engine, running_engine, wait_state
from synthetic import make_arrays

from ani3d_formats.errors import Ani3DError
from ani3dhuman.pipeline.settings import Settings
from engine.inputs import FILES, PRIOR, check_paths, what_files_hold, write_inputs
from engine.job import check
from engine.wire import Client
from engine.wire import messages as m
from engine.wire.inputs import attach_inputs
from engine.wire.upload import describe

Shot = dict[str, np.ndarray]
CODES = {name: "settings.path" for name in ("keypoint_map", "reference", "prior", "avatar_views", "avatar_file")}


def refusal(shot: Shot, settings: dict[str, object], *allowed: Path) -> str:
    with pytest.raises(Ani3DError) as caught:
        check_paths(shot, settings, allowed)
    return f"{caught.value.code}: {caught.value.message}"


@pytest.mark.parametrize("name", CODES)
def test_a_path_is_refused_in_the_same_words_whether_or_not_something_is_there(
    engine: Engine, client: Client, shot: Shot, tmp_path: Path, name: str
) -> None:
    (tmp_path / "config.json").write_text('{"left_wrist": "SECRETBONE"}')
    os.mkfifo(tmp_path / "pipe")
    client.submit(shot, {})
    arrays, _ = describe(shot)
    said = set()
    for place in (tmp_path, tmp_path / "config.json", tmp_path / "pipe", tmp_path / "none", Path("/etc/shadow")):
        with pytest.raises(Ani3DError) as caught:
            client._ask(m.Submit(arrays, {name: str(place)}, 0), m.Accepted)  # as a client of anybody's would send it
        assert caught.value.code == "settings.path" and "--allow-path" in caught.value.hint
        said.add(caught.value.message.replace(str(place), ""))
    assert len(said) == 1
    assert client.ping() < 5


def test_no_other_setting_is_text_that_could_be_a_path() -> None:
    words = {"prompt", "negative_prompt"}  # texts that only a model reads
    for group in fields(Settings):
        for setting in fields(group.default) if hasattr(group.default, "__dataclass_fields__") else ():
            if setting.type not in ("str", "str | Path | None") or setting.name in {*words, *FILES, PRIOR}:
                continue
            if setting.name in ("views", "file"):  # outside they have other names, and are refused with the paths
                with pytest.raises(Ani3DError) as caught:
                    check_paths({}, {f"avatar_{setting.name}": "/etc/passwd"}, [])
                assert caught.value.code == "settings.path"
                continue
            with pytest.raises(Ani3DError) as caught:
                Settings.from_dict({"coarse" if setting.name == "layer" else setting.name: "/etc/passwd"})
            assert caught.value.code == "settings.value"


@pytest.mark.parametrize(
    "value", ["../models/x", "./x", "x/y", "~/x", "C:\\x", "/ok/../etc/passwd", "/ok\0/x", "/okay"]
)
def test_ways_around_an_allowed_folder(shot: Shot, value: str) -> None:
    assert refusal(shot, {"prior": value}, Path("/ok")).startswith("settings.path")


def test_links_lead_out_of_no_allowed_folder(shot: Shot, tmp_path: Path) -> None:
    (tmp_path / "ok").mkdir()
    (tmp_path / "ok" / "map.json").write_text("{}")
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "ok" / "link.json").symlink_to(tmp_path / "secret.json")
    os.mkfifo(tmp_path / "ok" / "pipe")
    check_paths(shot, {"keypoint_map": str(tmp_path / "ok" / "map.json")}, [tmp_path / "ok"])
    for name in ("link.json", "pipe"):
        assert refusal(shot, {"keypoint_map": str(tmp_path / "ok" / name)}, tmp_path / "ok").startswith("settings.path")


def test_words_and_names_are_no_paths(shot: Shot) -> None:
    check_paths(shot, {"reference": "bind", "keypoint_map": "", "prior": "compact"}, ())
    check_paths(shot, {"prior": "none", "reference": 3, "prompt": "/etc/passwd"}, ())
    check_paths(shot, {"prior": "misspelt"}, ())  # which the settings refuse, with the names that there are


def test_files_of_the_client_travel_as_content(shot: Shot, tmp_path: Path) -> None:
    picture = tmp_path / "anna.PNG"
    picture.write_bytes(bytes(range(256)))
    (tmp_path / "map.json").write_text(json.dumps({"nose": "Head"}))
    (tmp_path / "anna.avatar").write_bytes(b"Gaussians")
    files = {"reference": picture, "keypoint_map": tmp_path / "map.json", "avatar_file": tmp_path / "anna.avatar"}
    arrays, sent = attach_inputs(shot, {**{name: str(file) for name, file in files.items()}, "seed": 1})
    endings = {"reference": "input:.png", "keypoint_map": "input:.json", "avatar_file": "input:.avatar"}
    assert sent == {**endings, "seed": 1}
    check_paths(arrays, sent, ())
    picture.unlink()
    written = write_inputs(arrays, sent, tmp_path / "job")
    assert set(arrays) == set(shot)
    assert Path(written["reference"]).read_bytes() == bytes(range(256))
    assert json.loads(Path(written["keypoint_map"]).read_text()) == {"nose": "Head"}
    assert Path(written["avatar_file"]).read_bytes() == b"Gaussians"
    assert {Path(written[name]).parent for name in FILES} == {tmp_path / "job"}


@pytest.mark.parametrize("value", ["input:/../../x", "input:.png/x", "input:x", "input:.PNG", "input:" + "." + "a" * 9])
def test_content_is_written_under_no_name_of_the_clients(shot: Shot, value: str) -> None:
    arrays = {**shot, "input_reference": np.zeros(3, np.uint8)}
    assert refusal(arrays, {"reference": value}).startswith("settings.file")


def test_content_that_is_announced_has_to_be_there(shot: Shot) -> None:
    assert refusal(shot, {"reference": "input:.png"}).startswith("settings.file")
    text = {**shot, "input_reference": np.array("not bytes")}
    assert refusal(text, {"reference": "input:.png"}).startswith("settings.file")


def test_other_contents_are_another_job(shot: Shot, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    prior = tmp_path / "models" / "mine"
    prior.mkdir(parents=True)
    (prior / "config.json").write_text("{}")
    (prior / "model.safetensors").write_bytes(b"first")
    with (
        running_engine(tmp_path / "store", "--allow-path", str(tmp_path / "models")) as engine,
        engine.client() as client,
    ):
        jobs = []
        for content in (b"one", b"two", b"one"):
            picture.write_bytes(content)
            jobs.append(client.submit(shot, {"reference": str(picture)}))
        assert jobs[0] == jobs[2] != jobs[1]
        jobs = []
        for content in (b"first", b"other", b"first"):
            (prior / "model.safetensors").write_bytes(content)
            jobs.append(client.submit(shot, {"prior": str(prior)}))
        assert jobs[0] == jobs[2] != jobs[1]
        wait_state(client, jobs[1], "done")


def test_a_large_file_is_told_from_another_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inputs.LARGE", 4)
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"large")
    before = what_files_hold({"prior": str(tmp_path)})
    assert what_files_hold({"prior": str(tmp_path)}) == before
    weights.unlink()
    weights.write_bytes(b"LARGE")
    assert what_files_hold({"prior": str(tmp_path)}) != before


# ---- sizes ----


def with_meta(**changes: object) -> Shot:
    arrays = make_arrays(3)
    meta = {**json.loads(str(arrays["meta"][()])), **changes}
    return {**arrays, "meta": np.array(json.dumps(meta))}


@pytest.mark.parametrize(
    ("meta", "settings", "words"),
    [
        ({"width": 60_000, "height": 60_000}, {}, "60,000 x 60,000"),
        ({"width": 4000, "height": 4000}, {"render_scale": 4.0}, "16,000 x 16,000"),
    ],
)
def test_more_than_machines_have_is_refused_at_once(meta: dict, settings: dict, words: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        check(with_meta(**meta), settings)
    assert caught.value.code == "job.limit" and words in caught.value.message


def test_long_shots_count_all_their_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    check(with_meta(), {"gaussians": 100_000})
    monkeypatch.setattr("engine.limits.MAX_POINTS", 299_999)
    with pytest.raises(Ani3DError, match="100,000 Gaussians in 3 frames"):
        check(with_meta(), {"gaussians": 100_000})
    monkeypatch.setattr("engine.limits.MAX_PIXELS", 100)
    with pytest.raises(Ani3DError, match="3 pictures of"):
        check(with_meta(), {})


@pytest.mark.parametrize("size", [(7680, 4320), (8000, 8000)])
def test_what_films_ask_for_is_taken(size: tuple[int, int]) -> None:
    check(with_meta(width=size[0], height=size[1]), {"preset": "final"})
