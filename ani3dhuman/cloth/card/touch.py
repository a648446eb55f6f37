"""One step of the solver held against all other cloth on a device: as `contact.touch`, whose rules these are.

What cannot be kept apart all at once is taken pair by pair on the CPU, by its own code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from ..contact import apart, tangles
from ..contact.candidates import BLOCKS, Cover
from ..contact.candidates import Pairs as PairsHere
from ..contact.touch import AGAIN, AHEAD, CROSSED, DONE, DUE, ELAPSED, FAILED, FORGET, SLACK, SPAN, Lists, room_for
from ..kernels import Fabric, State
from . import contact, lists
from .memory import Memory

STEPS = 4.0  # that lists serve: on a card they cost less than what is in longer ones
ROUNDS, MOST_ROUNDS = 4, 32  # of putting back, between two looks at whether that was enough, and in all
REPELS = 4  # rounds of pushing apart, in which those that share a particle come to what each wants
PLACES = "x", "began", "previous", "mobile"
BEFORE = {"x": "x_before", "previous": "previous_before"}
BOXES = ("face_low", "face_high"), ("edge_low", "edge_high")


class DeviceContact:
    """Cloth that may touch, in the memory of a device, where `PLACES` and `inv_mass` are already."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.pairs, self.sums = contact.Pairs(), contact.Sums()
        self.sheet, self.lines = lists.Sheet(), lists.Lines()
        self.trees: list[Any] = []
        self.held: Cover | None = None
        self.listed = self.crossing = 0

    def send(self, cover: Cover, fabric: Fabric) -> None:
        """Bring what may have changed since the last call."""
        m = self.memory
        if self.held is not cover:
            self._hold(cover)
        self.sheet.half = m.send("half", cover.half, float)
        self.sheet.inv_mass = m.there["inv_mass"]
        m.send("grip", fabric.grip, float)

    def _hold(self, cover: Cover) -> None:
        """Bring what does not change."""
        self.held, self.trees, m, count = cover, [], self.memory, len(cover.rest)
        owner, side = np.nonzero(cover.owns[:, None] >> np.arange(3, 6) & 1)
        edges = np.stack([cover.faces[owner, side], cover.faces[owner, (side + 1) % 3]], 1)
        sheet = self.sheet
        sheet.faces, sheet.beside = m.send("faces", cover.faces, wp.vec3i), m.send("beside", cover.beside, wp.vec3i)
        sheet.edges = m.send("sides", edges, wp.vec2i)
        sheet.owners = m.send("owners", np.stack([owner, side], 1), wp.vec2i)
        sheet.garment, sheet.seam = m.send("garment", cover.garment, int), m.send("seam", cover.seam, int)
        sheet.tangled = m.room("tangled", count, int)
        m.send("rest", cover.rest, wp.vec3)
        m.send("vertices", np.unique(cover.faces), int)
        for name in ("start", "end", "way"):
            setattr(self.lines, name, m.room(f"line_{name}", count, wp.vec3))
        self.lines.slack = m.send("slack", 2 * SLACK[1] * np.abs(cover.half), float)
        for name, kind in (("way", wp.vec3), ("silent", wp.vec3), ("weight", float)):
            setattr(self.sums, name, m.room(f"sum_{name}", count, kind))
        for names, rows in zip(BOXES, (len(cover.faces), len(edges)), strict=True):
            for name in names:
                m.room(name, rows, wp.vec3)
        m.room("hits", len(edges) + 64, wp.vec3i)
        self._make_room(8 * (count + len(edges)))

    def _make_room(self, count: int) -> None:
        rows = ("kind", int), ("at", wp.vec4i), ("normal", wp.vec3), ("keep", float), ("rested", int), ("on", int)
        for name, kind in (*rows, ("weights", wp.vec4), ("distance", float)):
            setattr(self.pairs, name, self.memory.room(f"pair_{name}", count, kind))

    def hold_apart(self, phase: int, h: float, drift: np.ndarray, state: State, cover: Cover, lists_here: Lists) -> int:
        """As `touch.hold_apart`; `drift` (3,) m/s is how all of the cloth goes.

        Returns:
            DONE, or DUE where something has blown up: it is to be taken out before this goes on.
        """
        clock = lists_here.clock
        elapsed = clock[ELAPSED] + h
        late = phase != DONE or clock[SPAN] == 0 or elapsed > clock[SPAN] * 1.0001
        off, blown = self._off_line(0.0 if late else elapsed)
        if blown and phase == DONE:
            return DUE
        if late or off:
            self._renew(h, drift, clock)
        if self.crossing:
            cloth = "x", "mobile", "half", "faces", "beside", "hits"
            stride = min(tangles.STRIDE, tangles.RATE * h)
            self.memory.launch(contact.untangle, self.crossing, *cloth, stride, self.sums)
            self._apply(contact.apply_all)
        for turn in range(AGAIN + 1):
            if self._look(1.0, True) == 0:
                break
            if turn == 0:
                widen = min(apart.WIDEN, apart.RATE * h)
                given = "began", "x", "previous", "mobile", "grip", widen, self.pairs, self.sums
                for _ in range(REPELS):
                    self.memory.launch(contact.repel, self.listed, *given)
                    self._apply(contact.apply)
            if not self._sides_kept():
                clock[FAILED] += self._keep_sides_here(state, cover)
            if turn == AGAIN or not self._off_line(clock[ELAPSED] + h)[0]:
                break
            self._renew(h, drift, clock)
        clock[ELAPSED] += h
        return DONE

    def _renew(self, h: float, drift: np.ndarray, clock: np.ndarray) -> None:
        """Make lists for what comes; perhaps new arrays."""
        m, count, span = self.memory, len(self.memory.there["x"]), STEPS * h
        if clock[SPAN] > 0:
            given = AHEAD, FORGET, 2.0 * SLACK[0], 2.0 * SLACK[1], self.lines
            m.launch(lists.adapt, count, "x", float(clock[ELAPSED] + h), "half", *given)
        m.launch(lists.draw_lines, count, "began", "x", h, span, self.lines)
        away = wp.vec3(*(span * drift).tolist())
        for kernel, names in zip((lists.box_faces, lists.box_edges), BOXES, strict=True):
            m.launch(kernel, len(m.there[names[0]]), self.sheet, self.lines, away, *names)
        if self.trees:
            for tree in self.trees:
                tree.refit()
        else:
            self.trees = [wp.Bvh(m.there[low], m.there[high]) for low, high in BOXES]
        faces, edges = (tree.id for tree in self.trees)
        if clock[SPAN] == 0 or clock[CROSSED] > 0 or clock[FAILED] > 0:  # else nothing can have crossed
            clock[CROSSED], clock[FAILED] = self._find_crossings(faces), 0
        while True:
            counted, room = m.zeros("counted", 1), len(self.pairs.kind)
            into = self.sheet, self.lines, self.pairs
            m.launch(lists.list_vertices, len(m.there["vertices"]), faces, "vertices", *into, away, "counted", room)
            m.launch(lists.list_edges, len(m.there["sides"]), edges, *BOXES[1], *into, "counted", room)
            self.listed = int(counted.numpy()[0])
            if self.listed <= room:
                break
            self._make_room(self.listed + self.listed // 2)
        clock[ELAPSED], clock[SPAN] = 0, span

    def _find_crossings(self, faces: Any) -> int:
        """Find what crosses where the step began, and mark it; how many edges do."""
        m, found = self.memory, 0
        while True:
            counted, room = m.zeros("counted", 1), len(m.there["hits"])
            m.launch(lists.list_crossings, len(m.there["sides"]), faces, "began", self.sheet, "hits", "counted", room)
            found = int(counted.numpy()[0])
            if found <= room:
                break
            m.room("hits", found + found // 2, wp.vec3i)
        self.crossing = found
        self.sheet.tangled.zero_()
        m.launch(lists.mark_tangled, self.crossing, self.sheet, "hits")
        return found

    def _off_line(self, elapsed: float) -> tuple[bool, bool]:
        """Whether something has left its line, and whether something has blown up."""
        counted = self.memory.zeros("counted_two", 2)
        self.memory.launch(lists.off_line, len(self.memory.there["x"]), "x", float(elapsed), self.lines, "counted_two")
        off, blown = counted.numpy().tolist()
        return off > 0, blown > 0

    def _look(self, share: float, fresh: bool) -> int:
        """As `apart.look`; how many pairs are newly near."""
        counted = self.memory.zeros("counted", 1)
        given = "began", "x", share, int(fresh), self.pairs, "rest", self.sheet.garment, "counted"
        self.memory.launch(contact.look, self.listed, *given)
        return int(counted.numpy()[0])

    def _apply(self, kernel: Any) -> None:
        self.memory.launch(kernel, len(self.memory.there["x"]), "x", "previous", self.sums)

    def _sides_kept(self) -> bool:
        """Put back what passed a plane; whether nothing does then. What was before is kept in `BEFORE`."""
        m = self.memory
        for name, kept in BEFORE.items():
            wp.copy(m.room(kept, len(m.there[name]), wp.vec3), m.there[name])
        for _ in range(apart.TRIES):
            failing = m.send("failing", np.array([1] + [0] * MOST_ROUNDS), int)
            for turn in range(MOST_ROUNDS):
                given = "x", "previous", "mobile", self.pairs, self.sums, turn, "failing"
                m.launch(contact.put_back, self.listed, *given)
                self._apply(contact.apply)
                if turn % ROUNDS == ROUNDS - 1 and failing.numpy()[turn + 1] == 0:
                    break
            else:
                return False
            if self._look(apart.REMAINS, False) == 0:
                return True
        return False

    def _keep_sides_here(self, state: State, cover: Cover) -> int:
        """The same on the CPU, for this step; the number of pairs for which that failed."""
        m = self.memory
        for name in PLACES:
            getattr(state, name)[:] = m.there[BEFORE.get(name, name)].numpy()
        room = -(-self.listed // BLOCKS)
        made, touching = room_for(room * BLOCKS, len(state.x))
        pairs = PairsHere(*(getattr(made, name) for name in PairsHere._fields))
        for name in PairsHere._fields:
            getattr(pairs, name)[: self.listed] = getattr(self.pairs, name).numpy()[: self.listed]
        counts = np.clip(self.listed - room * np.arange(BLOCKS), 0, room)
        pressed = cover._replace(inv_mass=state.mobile)
        given = pressed, pairs, counts, touching
        apart.look(state.began, state.x, 1.0, True, *given)
        failed = apart.keep_sides(state.began, state.x, state.previous, *given)
        m.send("x", state.x, wp.vec3)
        m.send("previous", state.previous, wp.vec3)
        return int(failed)
