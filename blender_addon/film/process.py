# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's program as it draws film frames: a process that is asked for them and tells, line by line, of each."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ani3d_formats.errors import Ani3DError

from ..connection import end_process, split_command
from ..sentence import said


class FilmProcess:
    """Draws frames of the cache `cache` by the camera in the file `film` into the folder `out`.

    Raises:
        Ani3DError: ``engine.command`` where the program cannot be run.
    """

    def __init__(self, command: str, cache: Path, film: Path, out: Path, log: Path) -> None:
        self._told: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._log = log
        try:
            with open(log, "wb") as errors:
                self._process = subprocess.Popen(
                    [*split_command(command), "film"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    encoding="utf-8",
                )
        except (OSError, ValueError) as error:
            raise Ani3DError(
                "engine.command",
                said(
                    "The engine's program could not be run with '{command}' ({error}).",
                    command=command,
                    error=str(error),
                ),
                "Film frames are drawn on this computer: install the engine, and set its command in the preferences.",
            ) from error
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(cache=str(cache), film=str(film), out=str(out))

    def ask(self, frame: int, depth: Path | None, packed: bool = True) -> None:
        """Have a frame drawn, after those that were asked for before; `packed`: its file is compressed."""
        self._send(frame=frame, depth=str(depth) if depth else "", packed=packed)

    def answers(self) -> list[tuple[int, float, str]]:
        """What it has told since: (frame, share 0..1 of it that is drawn, its file or "").

        Raises:
            Ani3DError: of a frame that could not be drawn, or ``engine.film`` where the program has ended.
        """
        found = []
        while not self._told.empty():
            told = self._told.get()
            if told is None:
                raise self._ended()
            if problem := told.get("error"):
                raise Ani3DError(problem["code"], problem["message"], problem["hint"])
            file = told.get("file", "")
            found.append((told["frame"], 1.0 if file else told["step"] / told["total"], file))
        return found

    def close(self) -> None:
        """End it, whatever it is at."""
        end_process(self._process)

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                self._told.put(json.loads(line))
            except ValueError:  # a library that prints
                continue
        self._told.put(None)

    def _send(self, **what: object) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def _ended(self) -> Ani3DError:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1] if lines else said("it said nothing")
        return Ani3DError(
            "engine.film", said("The program that draws film frames has ended: {last}", last=last), "Try it again."
        )
