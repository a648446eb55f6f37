# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to the engine: its process, and the threads that talk to it.

Blender's main thread never waits for the network. `Link.call` hands a function to the thread that owns the standing
client; `Link.transfer` runs one that may take minutes on a thread and with a client of its own. Both give a future.
The engine is told Blender's process id and ends when Blender does, however that happens.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from ani3d_formats.atomic import cannot_write
from ani3d_formats.errors import Ani3DError
from engine.wire import Client, Welcome
from engine.wire.credentials import READY_NAME

from .sentence import said

T = TypeVar("T")
INSTALL = "uv tool install ani3dhuman-0.1.0-py3-none-any.whl"  # the wheel that `make wheel` builds
START_SECONDS = 120.0  # the first start compiles bytecode of large packages
STOP_SECONDS = 10.0
ANSWER_SECONDS = 15.0  # the engine answers in milliseconds, but its computer may be busy with the job


@dataclass
class Link:
    """An engine this Blender talks to. `process` is set when Blender started it."""

    endpoint: str
    welcome: Welcome
    process: subprocess.Popen[bytes] | None
    executor: ThreadPoolExecutor  # of one thread, the one that may use `client`
    client: Client
    closed: Event = field(default_factory=Event)  # transfers look at it and stop

    def call(self, function: Callable[[Client], T]) -> Future[T]:
        """Run `function(client)`, which takes a moment, on the thread of the standing client."""
        return self.executor.submit(function, self.client)

    def transfer(self, function: Callable[[Client], T]) -> Future[T]:
        """Run `function(client)`, which may take minutes, on a thread of its own: calls go on beside it."""

        def run() -> T:
            with Client(self.endpoint, ANSWER_SECONDS) as client:
                return function(client)

        return on_thread(run)

    def check(self) -> None:
        """Raise `Ani3DError` ``engine.unreachable`` when the engine that Blender started has ended."""
        if self.process and self.process.poll() is not None:
            raise Ani3DError(
                "engine.unreachable",
                said("The engine has ended by itself (exit code {code}).", code=self.process.returncode),
                "Start it again and submit the shot: finished stages are kept.",
            )

    def alive(self) -> bool:
        return self.process is None or self.process.poll() is None

    def close(self) -> Future[None]:
        """Hang up, and end the engine if Blender started it. Returns at once; the future is done when it has ended."""
        self.closed.set()
        if self.process:
            self.process.terminate()
        try:
            self.executor.submit(self.client.close)
            self.executor.shutdown(wait=False)
            return on_thread(lambda: end_process(self.process))
        except RuntimeError:  # Blender is ending and starts no thread any more
            return finished()


def on_thread(function: Callable[[], T]) -> Future[T]:
    """Run `function` on a thread of its own that ends with it."""
    executor = ThreadPoolExecutor(max_workers=1)
    future = executor.submit(function)
    executor.shutdown(wait=False)
    return future


def finished() -> Future[None]:
    """A future of what is done already."""
    future: Future[None] = Future()
    future.set_result(None)
    return future


def attach(endpoint: str) -> Link:
    """A link to the engine at `endpoint`, an address or the path of the file that it left; waits for its answer.

    Raises:
        Ani3DError: ``engine.unreachable``, ``engine.refused`` or ``protocol.version``.
    """
    return _open(endpoint, None)


def start(command: str, store: Path) -> Link:
    """Start an engine of our own on a free loopback port; waits until it listens.

    Where another engine of this user has the store, such as that of a second Blender, that one is used.

    Args:
        command: program and arguments as typed in a shell, e.g. ``/opt/ani3d/bin/ani3dhuman-engine``.
        store: folder for its jobs; its output goes to `store`/engine.log.

    Raises:
        Ani3DError: ``engine.command`` when it cannot be run, ``engine.start`` when it ends before it listens.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        log = open(store / "engine.log", "ab")  # noqa: SIM115 - a with follows
    except OSError as error:
        raise cannot_write(store / "engine.log", error) from error
    if (store / READY_NAME).is_file():
        try:
            link = _open(str(store), None)
        except Ani3DError:  # left by an engine that was killed
            pass
        else:
            log.close()
            return link
    with log, tempfile.TemporaryDirectory(prefix="ani3d-") as folder:
        ready = Path(folder) / "ready.json"
        arguments = [
            "--port",
            "0",
            "--store",
            str(store),
            "--ready-file",
            str(ready),
            "--parent-pid",
            str(os.getpid()),
        ]
        try:
            process = subprocess.Popen(
                [*split_command(command), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        except (OSError, ValueError) as error:
            raise Ani3DError(
                "engine.command",
                said(
                    "The engine could not be started with '{command}' ({reason}).",
                    command=command,
                    reason=_reason(error),
                ),
                said("Install it ({install}), or set its command in the add-on's preferences.", install=INSTALL),
            ) from error
        try:
            endpoint = _wait_until_ready(process, ready, store / "engine.log")
            return _open(str(store) if (store / READY_NAME).is_file() else endpoint, process)
        except BaseException:
            end_process(process)
            raise


def _open(endpoint: str, process: subprocess.Popen[bytes] | None) -> Link:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ani3d-wire")

    def greet() -> tuple[Client, Welcome]:
        client = Client(endpoint)  # on the thread that will use it, since a socket may not change threads
        try:
            welcome = client.hello()
        except BaseException:
            client.close()
            raise
        client.timeout = ANSWER_SECONDS
        return client, welcome

    try:
        client, welcome = executor.submit(greet).result()
    except BaseException:
        executor.shutdown(wait=True)
        raise
    return Link(endpoint, welcome, process, executor, client)


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)  # str() would name the file once more


def split_command(command: str) -> list[str]:
    """Program and arguments; a path with spaces that exists is taken whole, a bare name is looked for."""
    if Path(command).is_file():
        return [command]
    program, *arguments = shlex.split(command, posix=os.name != "nt") or [""]
    return [find_program(program), *arguments]


def find_program(name: str) -> str:
    """Where the program `name` is: on the PATH, which a Blender from a menu knows little of, or where installers put
    programs of a user; the name itself where it is nowhere."""
    if Path(name).name != name or shutil.which(name):
        return name
    home = Path.home()
    places = [
        home / ".local" / "bin",
        *sorted((home / ".local" / "share" / "uv" / "tools" / "ani3dhuman").glob("*bin")),
    ]
    places += [Path("/opt/homebrew/bin"), Path("/usr/local/bin"), *sorted(home.glob("Library/Python/*/bin"))]
    if "APPDATA" in os.environ:
        roaming = Path(os.environ["APPDATA"])
        places += [roaming / "uv" / "tools" / "ani3dhuman" / "Scripts", *sorted(roaming.glob("Python/Python*/Scripts"))]
    files = (place / f"{name}{ending}" for place in places for ending in ("", ".exe"))
    return next((str(file) for file in files if file.is_file()), name)


def is_installed(command: str) -> bool:
    """Whether the program of a command is there."""
    try:
        return shutil.which(split_command(command)[0]) is not None
    except ValueError:  # a quotation that does not end
        return False


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready.is_file():  # written whole, by a rename
            return str(json.loads(ready.read_text(encoding="utf-8"))["endpoint"])
        if process.poll() is not None:
            raise Ani3DError(
                "engine.start",
                said(
                    "The engine ended while starting (exit code {code}): {output}",
                    code=process.returncode,
                    output=_last_line(log),
                ),
                said("Its output is in '{log}'.", log=log),
            )
        time.sleep(0.05)
    raise Ani3DError(
        "engine.start",
        said("The engine was not ready after {seconds:.0f} s.", seconds=START_SECONDS),
        said("Its output is in '{log}'.", log=log),
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."


def end_process(process: subprocess.Popen[Any] | None) -> None:
    """End a program, by force where it does not in time."""
    if process and process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
