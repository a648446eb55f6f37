# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Engine, Stop Engine."""

from __future__ import annotations

from concurrent import futures
from concurrent.futures import Future

import bpy

from .. import connection, preferences
from ..connection import Link
from ..paths import absolute
from ..session import session
from ..wording import reported
from .base import Outcome, ReportsErrors, WaitsForWork


class StartEngine(WaitsForWork, bpy.types.Operator):
    """Start the engine, or connect to the one that the preferences name"""

    bl_idname = "ani3d.start_engine"
    bl_label = "Start Engine"

    command: bpy.props.StringProperty(name="Command", description="Engine program; empty for the preferences' one")
    store: bpy.props.StringProperty(name="Store", description="Folder for jobs; empty for the preferences' one")
    endpoint: bpy.props.StringProperty(
        name="Endpoint", description="Address of a running engine to use instead of starting one"
    )

    def begin(self, context: bpy.types.Context) -> Future[Link]:
        return open_engine(context, self.command, self.store, self.endpoint)

    def finish(self, _context: bpy.types.Context, link: Link) -> None:
        if bpy.app.background and (question := session.ask_for_all()):
            futures.wait((question,))  # what the list of jobs says is then new
            session.drain()
        welcome = link.welcome
        about = {"version": welcome.engine_version, "device": welcome.device}
        self.report({"INFO"}, reported("Engine {version}, jobs on {device}.", **about))


def open_engine(context: bpy.types.Context, command: str = "", store: str = "", endpoint: str = "") -> Future[Link]:
    """Start or connect to the engine that the arguments name, else the one of the preferences."""
    chosen = preferences.get(context)
    endpoint = endpoint or ("" if command else chosen.endpoint)
    if endpoint:
        return session.start(lambda: connection.attach(endpoint))
    folder = absolute(store) if store else preferences.store_folder(context)
    program = command or chosen.engine_command
    return session.start(lambda: connection.start(program, folder))


class StopEngine(ReportsErrors, bpy.types.Operator):
    """Disconnect from the engine, and end it if Blender started it"""

    bl_idname = "ani3d.stop_engine"
    bl_label = "Stop Engine"

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return "" if session.is_open() else "The engine is not running."

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        if bpy.app.background or not session.is_working():
            return self.execute(context)
        message = "A job is running. It goes on when an engine is started again."
        return context.window_manager.invoke_confirm(self, event, title="Stop the engine?", message=message)

    def run(self, _context: bpy.types.Context) -> None:
        session.close()
