"""What an engine is started with, what it writes down, and how it says that it is well."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from engine_process import running_engine, wait_state

from ani3d_formats.errors import Ani3DError
from ani3dhuman.cli import main as ani3dhuman
from engine.__main__ import main
from engine.configuration import read
from engine.health import complaints, told
from engine.logs import LOG_NAME, as_text
from engine.wire.credentials import READY_NAME

Shot = dict[str, np.ndarray]


def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "engine.toml").write_text(
        'port = 1\nkeep-days = 2\njob-gb = 3\nallow-path = ["/a", "/b"]\nstore = "/s"\n'
    )
    environment = {"ANI3D_ENGINE_CONFIG": str(tmp_path / "engine.toml"), "ANI3D_ENGINE_KEEP_DAYS": "20"}
    chosen = read(["--port", "100"], [], {**environment, "ANI3D_ENGINE_PORT": "10"})
    assert (chosen.port, chosen.quota.days, chosen.watch.memory, chosen.host) == (100, 20.0, 3e9, "127.0.0.1")
    assert chosen.allow_path == (Path("/a"), Path("/b")) and chosen.store == Path("/s")
    there = {"ANI3D_ENGINE_ALLOW_PATH": os.pathsep.join("xy")}
    assert read([], [], there).allow_path == (Path("x"), Path("y"))
    assert read(["--allow-path", "z", "--allow-path", "w"], [], there).allow_path == (Path("z"), Path("w"))
    assert read([], [], {"ANI3D_ENGINE_STORE": "~/s", "ANI3D_ENGINE_TOKEN": "t"}).store == Path.home() / "s"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "prot"),
        ('port = "1"', "not a number"),
        ("port = 1.5", "1.5"),
        ("store = 1.5", "not text"),
        ('executor = "clouds"', "local or ray"),
        ("nice = true", "nice"),
        ("port = 99999", "from 0 to 65535"),
        ("workers = 0", "from 1 to 1000"),
        ("keep-gb = -1", "at least 0"),
        ("keep-days = nan", "at least 0"),
        ("stages-gb = inf", "from 0 to 1e+06"),
        ("silence = 0", "at least 5"),
        ("= 1", "cannot be read"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "engine.toml").write_text(text)
    with pytest.raises(Ani3DError) as caught:
        read(["--config", str(tmp_path / "engine.toml")], [], {})
    assert caught.value.code == "engine.config" and named in caught.value.message + caught.value.hint


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANI3D_ENGINE_JOB_GB", "many")
    assert main([]) == 1
    assert "engine.config" in (said := capsys.readouterr().err) and "ANI3D_ENGINE_JOB_GB" in said


def test_a_misspelt_variable_or_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Ani3DError) as caught:
        read([], [], {"ANI3D_ENGINE_KEEP_DAY": "1"})
    assert caught.value.code == "engine.config" and "ANI3D_ENGINE_KEEP_DAY." in caught.value.message
    with pytest.raises(SystemExit):
        read(["--keep-day", "1"], [], {})
    assert "--keep-day" in capsys.readouterr().err


def test_the_commands_take_the_store_that_is_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / LOG_NAME).write_text("2026 INFO hello\n")
    monkeypatch.setenv("ANI3D_ENGINE_STORE", str(tmp_path / "store"))
    assert main(["logs"]) == 0 and main(["repair"]) == 0 and main(["gc", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "INFO hello" in said and f"0 jobs in {tmp_path / 'store'}" in said
    assert main(["logs", "--store", str(tmp_path)]) == 1, "flags go first"
    asked: list[str] = []
    monkeypatch.setattr("engine.commands.Client", lambda where: asked.append(where))
    (tmp_path / "store" / READY_NAME).touch()
    assert main(["status"]) == 1 and asked == [str(tmp_path / "store")]


def test_logs_and_health(tmp_path: Path, shot: Shot, capsys: pytest.CaptureFixture[str]) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        job = client.submit(shot, {"do": "known error"})
        wait_state(client, job, "failed")
        assert ani3dhuman(["engine", "status", "--engine", str(engine.store), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["pid"] == engine.process.pid and said["jobs"] == {"failed": 1} and said["free_gb"] > 0
        assert ani3dhuman(["engine", "status", "--engine", str(engine.store)]) == 0
        assert "1 failed" in capsys.readouterr().out
    lines = [json.loads(line) for line in (engine.store / LOG_NAME).read_text().splitlines()]
    assert [(line["state"], line["code"]) for line in lines if line.get("job") == job] == [
        ("failed", "avatar.no_faces")
    ]
    assert main(["logs", "--store", str(engine.store)]) == 0
    assert f"INFO job {job}: failed" in capsys.readouterr().out


def test_a_log_line_keeps_its_traceback_and_an_old_one_its_text() -> None:
    line = json.dumps({"time": "t", "level": "ERROR", "message": "a\nb", "traceback": "here"})
    assert as_text(line) == "t ERROR a\nb\nhere\n" and as_text("2026 INFO old\n") == "2026 INFO old\n"


def test_what_is_nearly_full_is_said() -> None:
    assert len(complaints({"free_gb": 0.2, "free_memory_mb": 300.0})) == 2
    assert complaints({"free_gb": 20.0, "free_memory_mb": 9000.0}) == complaints({}) == []


def test_what_the_system_does_not_tell_is_left_out() -> None:
    assert told({"up_s": 7200.0, "errors": 0}) == "up 2.0 h; 0 errors in its log"
    assert told({"free_gb": 3.0, "memory_mb": 50.0}) == "has 50 MB; 3.0 GB free"
