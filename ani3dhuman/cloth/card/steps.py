"""A frame's substeps on a device of warp's, behind the same call as `kernels.step_frame`.

All of a substep runs there; between frames the CPU has its say, as after its own (`solver.run`).

Results are not the CPU's to the bit: constraints are solved colour by colour, and pairs all at once (docs/physics.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import warp as wp

from ..contact.candidates import Cover
from ..contact.touch import DONE, Lists
from ..kernels import FASTEST_PUSH, STRONGEST_PUSH, Body, Cloth, Fabric, Pose, State
from ..pulls import CATCH_UP, LONG, LONGEST
from . import body as body_kernels
from . import contact as contact_kernels
from . import lists, pulls
from .colors import in_colors
from .memory import Memory
from .touch import DeviceContact

# where the fields of the kernels' structures lie in memory, when not under their own names
PARTICLES = {"base": "previous", "grip": "friction"}
SURFACE = {"points": "body", "step": "body_step", "faces": "body_faces"}


class DeviceSteps:
    """Advances cloth on a device; all of one object's calls are of the same cloth."""

    def __init__(self, device: str) -> None:
        """`device` as warp names it: "cuda:0", as torch does, or "cpu"."""
        self.memory = Memory(device)
        self.contact = DeviceContact(self.memory)
        self.colors: dict[str, list[tuple[int, int]]] = {}
        self.orders: dict[str, np.ndarray] = {}
        self.cloth: Cloth | None = None
        self.mesh: np.ndarray | None = None
        self.particles, self.surface = body_kernels.Particles(), body_kernels.Surface()
        self.graph: tuple[tuple[Any, ...], Any] | None = None

    def __call__(
        self,
        state: State,
        at: tuple[int, int, int],
        hold: np.ndarray,
        push: np.ndarray,
        cloth: Cloth,
        fabric: Fabric,
        body: Body,
        start: Pose,
        end: Pose,
        h: float,
        substeps: int,
        contact: tuple[Cover, Lists],
    ) -> tuple[int, int]:
        """As `kernels.step_frame`."""
        m, (first, phase, last) = self.memory, at
        cover, lists_here = contact
        self._hold(cloth)
        m.send("inv_mass", cloth.inv_mass, float)
        self._send(state, hold, push, fabric, body, (start, end), (h, substeps))
        if len(cover.faces):
            self.contact.send(cover, fabric)
        step = (end.body - start.body) / np.float32(substeps)
        strongest = min(STRONGEST_PUSH, FASTEST_PUSH * h + float(np.sqrt((step**2).sum(1).max(initial=0.0))))
        drift = (end.skin - start.skin).mean(0, dtype=np.float64) / (h * substeps)
        m.send("clock", np.array([first]), int)
        reached, begun = min(last, substeps), phase != DONE
        for s in range(first, reached):
            if not begun:
                self._play(h, substeps, strongest, body)
            begun = False
            if len(cover.faces):
                phase = self.contact.hold_apart(phase, h, drift, state, cover, lists_here)
                if phase != DONE:
                    reached = s
                    break
            self._end(h)
        self._fetch(state, body)
        return reached, phase

    def _hold(self, cloth: Cloth) -> None:
        """Send what does not change about the cloth, in colours."""
        if cloth is self.cloth:
            return
        self.cloth, m, free = cloth, self.memory, cloth.inv_mass > 0
        for name, rows, kind in (("edges", cloth.edges, wp.vec2i), ("hinges", cloth.hinges, wp.vec4i)):
            order, self.colors[name] = in_colors(rows, free)
            self.orders[name] = order
            m.send(name, rows[order], kind)
        edge, hinge = self.orders["edges"], self.orders["hinges"]
        m.send("edge_rest", cloth.edge_rest[edge], float)
        for name in ("edge_give", "edge_soft", "edge_push"):
            m.send(name, getattr(cloth, name)[edge], float)
        m.send("hinge_weights", cloth.hinge_weights[hinge], wp.vec4)
        for name in ("hinge_give", "hinge_soft"):
            m.send(name, getattr(cloth, name)[hinge], float)
        joints = cloth.joints
        begins = 1 + np.flatnonzero(joints[1:, 1] != joints[:-1, 2])
        m.send("joints", joints, wp.vec3i)
        m.send("joint_give", cloth.joint_give, float)
        m.send("strands", np.unique(np.concatenate([[0], begins, [len(joints)]])), int)
        m.send("anchor", cloth.anchor, int)
        m.send("reach", cloth.reach, float)

    def _send(
        self,
        state: State,
        hold: np.ndarray,
        push: np.ndarray,
        fabric: Fabric,
        body: Body,
        poses: tuple[Pose, Pose],
        steps: tuple[float, int],
    ) -> None:
        (start, end), (h, substeps) = poses, steps
        m, count = self.memory, len(state.x)
        for name, values in zip(State._fields[:4], state[:4], strict=True):
            m.send(name, values, wp.vec3)
        m.send("mobile", state.mobile, float)
        pushes = np.broadcast_to(np.array([0, 0, -fabric.gravity], np.float32), (count, 3))
        m.send("push", pushes + push if len(push) else pushes, wp.vec3)
        m.send("hold", hold, float)
        m.send("keep", np.exp(-fabric.air * h), float)
        m.send("rub", fabric.rub[self.orders["edges"]], float)
        m.send("thickness", fabric.thickness, float)
        m.send("friction", fabric.friction, float)
        m.send("jolt", fabric.jolt if len(fabric.jolt) else np.full(count, np.inf), float)
        for name in Pose._fields:
            m.send(f"{name}_then", getattr(start, name), wp.vec3)
            m.send(f"{name}_end", getattr(end, name), wp.vec3)
            m.room(name, len(getattr(start, name)), wp.vec3)
        if self.mesh is not body.faces:
            self.mesh = body.faces
            m.send("body_faces", body.faces, wp.vec3i)
            m.send("starts", body.starts, int)
            m.send("around", body.around, int)
            m.send("radii", body.radii, float)
        m.send("body_step", (end.body - start.body) / np.float32(substeps), wp.vec3)
        m.send("near", body.near, int)
        m.send("clear", body.clear, float)
        m.send("ways", body.ways, wp.vec3)
        m.send("led", body.led, int)
        m.send("rough", body.friction, float)
        m.send("stray", body.stray, float)

        m.fill(self.particles, body_kernels.Particles, PARTICLES)
        m.fill(self.surface, body_kernels.Surface, SURFACE)

    def _fetch(self, state: State, body: Body) -> None:
        there = self.memory.there
        for name, values in zip(State._fields, state, strict=True):
            values[:] = there[name].numpy()
        if body.near.size:
            body.near[:], body.clear[:] = there["near"].numpy(), there["clear"].numpy()

    def _in_colors(self, kernel: Any, name: str, *given: Any) -> None:
        for first, count in self.colors[name]:
            self.memory.launch(kernel, int(count), *given, int(first))

    def _play(self, h: float, substeps: int, strongest: float, body: Body) -> None:
        """All of a substep up to contact with other cloth; on a card as one graph of launches."""

        def launches() -> None:
            self._go_on(h, substeps)
            self._keep_out(strongest, body)

        self._as_graph((h, substeps, strongest, body.deepest, self.memory.moves), launches)

    def _as_graph(self, key: tuple[Any, ...], launches: Callable[[], None]) -> None:
        """Run launches, whose arguments `key` stands for; on a card they are recorded once and then repeated."""
        if not wp.get_device(self.memory.device).is_cuda:
            launches()
            return
        if self.graph is None or self.graph[0] != key:
            with wp.ScopedCapture(device=self.memory.device) as capture:
                launches()
            self.graph = key, capture.graph
        wp.capture_launch(self.graph[1])

    def _go_on(self, h: float, substeps: int) -> None:
        there, count, per = self.memory.there, len(self.memory.there["x"]), 1.0 / (h * h)
        for name in Pose._fields:
            rows = len(there[name])
            self.memory.launch(pulls.mix, rows, f"{name}_then", f"{name}_end", "clock", float(substeps), name)
        moving = "x", "v", "began", "previous", "skin", "inv_mass", "mobile", "keep", "push", h
        self.memory.launch(pulls.move, count, *moving)
        hinges = "x", "inv_mass", "hinges", "hinge_weights", "hinge_give", "hinge_soft"
        self._in_colors(pulls.bend, "hinges", *hinges, per)
        strands = "x", "inv_mass", "skin", "joints", "joint_give", "strands", per
        self.memory.launch(pulls.bend_strands, len(there["strands"]) - 1, *strands)
        edges = "x", "inv_mass", "edges", "edge_rest", "edge_give", "edge_soft", "edge_push"
        self._in_colors(pulls.pull, "edges", *edges, per)
        self._limit("inv_mass", LONG, CATCH_UP * h)
        self.memory.launch(pulls.tick, 1, "clock")

    def _limit(self, mobile: str, longest: float, gain: float) -> None:
        self._in_colors(pulls.limit, "edges", "x", "previous", mobile, "edges", "edge_rest", longest, gain)

    def _keep_out(self, strongest: float, body: Body) -> None:
        count, given = len(self.memory.there["x"]), (self.particles, self.surface, float(body.deepest), strongest)
        self.memory.launch(body_kernels.collide, count, *given)
        if body.near.shape[1]:
            self._limit("mobile", LONGEST, 0.0)

    def _end(self, h: float) -> None:
        speeds = "x", "previous", "v", "inv_mass", "jolt", h
        self.memory.launch(pulls.new_speeds, len(self.memory.there["x"]), *speeds)
        self._in_colors(pulls.rub_threads, "edges", "v", "inv_mass", "edges", "rub")


def try_device(device: str) -> None:
    """Load all kernels on a device, once and for all where they have not been compiled yet, and run one.

    Raises:
        RuntimeError, ValueError: that fails.
    """
    for module in (pulls, body_kernels, contact_kernels, lists):
        wp.load_module(module, device=device)
    clock = wp.zeros(1, dtype=int, device=device)
    wp.launch(pulls.tick, dim=1, inputs=[clock], device=device)
    if clock.numpy()[0] != 1:
        raise RuntimeError("a kernel did not do what it should")
