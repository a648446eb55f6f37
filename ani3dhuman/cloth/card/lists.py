"""What may touch, and what crosses, found on a device of warp's: `contact.candidates` and `contact.tangles` there.

Boxes hold the straight lines that vertices are on until the list is made again, as seen by one who goes with the cloth.
"""

from __future__ import annotations

import warp as wp

from ..contact import candidates, geometry
from .contact import Pairs, gap_along, nearest_of_pair, pierced

wp.set_module_options({"enable_backward": False})

VERTEX, EDGE = wp.constant(geometry.VERTEX), wp.constant(geometry.EDGE)
SEWN = wp.constant(candidates.SEWN)
FAR = wp.constant(1.0e7)  # metres; what is further away has blown up


@wp.struct
class Sheet:
    """Cloth of P particles: F triangles, E edges, as of `contact.candidates.Cover`.

    `owners` (E,2) are the triangle that each edge belongs to and its side of it; `edges` (E,2) their vertices.
    """

    faces: wp.array[wp.vec3i]
    beside: wp.array[wp.vec3i]
    edges: wp.array[wp.vec2i]
    owners: wp.array[wp.vec2i]
    half: wp.array[float]
    garment: wp.array[int]
    inv_mass: wp.array[float]
    seam: wp.array[int]
    tangled: wp.array[int]


@wp.struct
class Lines:
    """Straight lines of P particles: where they are now, and at the end, and how far each may be from its own."""

    start: wp.array[wp.vec3]
    end: wp.array[wp.vec3]
    way: wp.array[wp.vec3]
    slack: wp.array[float]


@wp.kernel
def adapt(
    x: wp.array[wp.vec3],
    elapsed: float,
    half: wp.array[float],
    ahead: float,
    forget: float,
    least: float,
    most: float,
    lines: Lines,
) -> None:
    """As `touch._adapt`; bounds are in halves of the distance kept."""
    i = wp.tid()
    off = wp.length(x[i] - lines.start[i] - elapsed * lines.way[i])
    wanted = wp.max(ahead * off, forget * lines.slack[i])
    lines.slack[i] = wp.min(wp.max(wanted, least * half[i]), most * half[i])


@wp.kernel
def off_line(x: wp.array[wp.vec3], elapsed: float, lines: Lines, found: wp.array[int]) -> None:
    """Count those that have left their lines in found[0], and what has blown up in found[1]."""
    i = wp.tid()
    p = x[i]
    if not (wp.length(p - lines.start[i] - elapsed * lines.way[i]) <= wp.abs(lines.slack[i])):
        wp.atomic_add(found, 0, 1)
    if not (wp.max(wp.abs(p[0]), wp.max(wp.abs(p[1]), wp.abs(p[2]))) < FAR):
        wp.atomic_add(found, 1, 1)


@wp.kernel
def draw_lines(x0: wp.array[wp.vec3], x: wp.array[wp.vec3], h: float, span: float, lines: Lines) -> None:
    """Lines for `span` seconds, for what goes from `x0` to `x` in the first `h`."""
    i = wp.tid()
    way = (x[i] - x0[i]) / h
    lines.start[i] = x0[i]
    lines.way[i] = way
    lines.end[i] = x0[i] + span * way


@wp.kernel
def box_faces(sheet: Sheet, lines: Lines, away: wp.vec3, low: wp.array[wp.vec3], high: wp.array[wp.vec3]) -> None:
    """Boxes of triangles on their way; `away` is how far all of the cloth goes meanwhile."""
    t = wp.tid()
    a, b, c = sheet.faces[t][0], sheet.faces[t][1], sheet.faces[t][2]
    wide = wp.max(sheet.half[a] + lines.slack[a], sheet.half[b] + lines.slack[b])
    margin = wp.vec3(wp.max(wp.max(wide, sheet.half[c] + lines.slack[c]), 0.0))
    start_low = wp.min(lines.start[a], wp.min(lines.start[b], lines.start[c]))
    start_high = wp.max(lines.start[a], wp.max(lines.start[b], lines.start[c]))
    end_low = wp.min(lines.end[a], wp.min(lines.end[b], lines.end[c])) - away
    end_high = wp.max(lines.end[a], wp.max(lines.end[b], lines.end[c])) - away
    low[t] = wp.min(start_low, end_low) - margin
    high[t] = wp.max(start_high, end_high) + margin


@wp.kernel
def box_edges(sheet: Sheet, lines: Lines, away: wp.vec3, low: wp.array[wp.vec3], high: wp.array[wp.vec3]) -> None:
    """The same of edges."""
    e = wp.tid()
    a, b = sheet.edges[e][0], sheet.edges[e][1]
    margin = wp.vec3(wp.max(wp.max(sheet.half[a] + lines.slack[a], sheet.half[b] + lines.slack[b]), 0.0))
    end_low, end_high = wp.min(lines.end[a], lines.end[b]) - away, wp.max(lines.end[a], lines.end[b]) - away
    low[e] = wp.min(wp.min(lines.start[a], lines.start[b]), end_low) - margin
    high[e] = wp.max(wp.max(lines.start[a], lines.start[b]), end_high) + margin


@wp.func
def consider(
    kind: int, at: wp.vec4i, sheet: Sheet, lines: Lines, pairs: Pairs, count: wp.array[int], room: int
) -> None:
    """Add a pair to the list, if it can touch; as `candidates.compare` and `candidates.add_pair`."""
    i, j, k, m = at[0], at[1], at[2], at[3]
    if sheet.garment[i] < 0 and sheet.garment[i] == sheet.garment[m]:
        return
    if sheet.inv_mass[i] + sheet.inv_mass[j] + sheet.inv_mass[k] + sheet.inv_mass[m] == 0.0:
        return
    if wp.min(wp.min(sheet.seam[i], sheet.seam[j]), wp.min(sheet.seam[k], sheet.seam[m])) == SEWN:
        return
    slack, keep = lines.slack, sheet.half[i] + sheet.half[m]
    n, one, other = wp.vec3(0.0), int(sheet.tangled[i]), sheet.tangled[k] + sheet.tangled[m]
    reach = float(keep)
    if kind == VERTEX:
        n = lines.start[i] - (lines.start[j] + lines.start[k] + lines.start[m]) / 3.0
        reach += slack[i] + wp.max(slack[j], wp.max(slack[k], slack[m]))
        other += sheet.tangled[j]
    else:
        n = lines.start[i] + lines.start[j] - lines.start[k] - lines.start[m]
        reach += wp.max(slack[i], slack[j]) + wp.max(slack[k], slack[m])
        one += sheet.tangled[j]
    if keep <= 0.0 or (one > 0 and other > 0):
        return
    size = reach * wp.length(n)
    if gap_along(kind, at, n, lines.start) > size and gap_along(kind, at, n, lines.end) > size:
        return
    distance, normal, _w = nearest_of_pair(kind, at, lines.start)
    if distance <= 0.0 or (distance > reach and gap_along(kind, at, normal, lines.end) > reach):
        return
    row = wp.atomic_add(count, 0, 1)
    if row < room:
        pairs.kind[row] = kind
        pairs.at[row] = at
        pairs.normal[row] = normal
        pairs.keep[row] = keep
        pairs.rested[row] = 0


@wp.kernel
def list_vertices(
    tree: wp.uint64,
    vertices: wp.array[int],
    sheet: Sheet,
    lines: Lines,
    pairs: Pairs,
    away: wp.vec3,
    count: wp.array[int],
    room: int,
) -> None:
    """List vertices with the triangles of the tree that they may touch."""
    i = vertices[wp.tid()]
    margin, end = wp.vec3(wp.max(sheet.half[i] + lines.slack[i], 0.0)), lines.end[i] - away
    query = wp.bvh_query_aabb(tree, wp.min(lines.start[i], end) - margin, wp.max(lines.start[i], end) + margin)
    t = int(0)
    while wp.bvh_query_next(query, t):
        at = sheet.faces[t]
        if at[0] != i and at[1] != i and at[2] != i:
            consider(VERTEX, wp.vec4i(i, at[0], at[1], at[2]), sheet, lines, pairs, count, room)


@wp.kernel
def list_edges(
    tree: wp.uint64,
    low: wp.array[wp.vec3],
    high: wp.array[wp.vec3],
    sheet: Sheet,
    lines: Lines,
    pairs: Pairs,
    count: wp.array[int],
    room: int,
) -> None:
    """List edges with those after them in the tree that they may touch."""
    e = wp.tid()
    i, j = sheet.edges[e][0], sheet.edges[e][1]
    query = wp.bvh_query_aabb(tree, low[e], high[e])
    f = int(0)
    while wp.bvh_query_next(query, f):
        k, m = sheet.edges[f][0], sheet.edges[f][1]
        if f > e and i != k and i != m and j != k and j != m:
            consider(EDGE, wp.vec4i(i, j, k, m), sheet, lines, pairs, count, room)


@wp.kernel
def list_crossings(
    tree: wp.uint64, x: wp.array[wp.vec3], sheet: Sheet, hits: wp.array[wp.vec3i], count: wp.array[int], room: int
) -> None:
    """As `tangles.list_crossings`, one edge each; boxes of the tree are those of the places alone."""
    n = wp.tid()
    e, f, own = sheet.edges[n][0], sheet.edges[n][1], sheet.owners[n]
    query = wp.bvh_query_aabb(tree, wp.min(x[e], x[f]), wp.max(x[e], x[f]))
    t = int(0)
    while wp.bvh_query_next(query, t):
        j, k, m = sheet.faces[t][0], sheet.faces[t][1], sheet.faces[t][2]
        if e == j or e == k or e == m or f == j or f == k or f == m:
            continue
        if sheet.garment[e] < 0 and sheet.garment[e] == sheet.garment[j]:
            continue
        seam = wp.min(sheet.seam[j], wp.min(sheet.seam[k], sheet.seam[m]))
        if wp.min(seam, wp.min(sheet.seam[e], sheet.seam[f])) > 0:
            continue
        if pierced(x[e], x[f], x[j], x[k], x[m])[0] > 0.0:
            row = wp.atomic_add(count, 0, 1)
            if row < room:
                hits[row] = wp.vec3i(own[0], own[1], t)


@wp.kernel
def mark_tangled(sheet: Sheet, hits: wp.array[wp.vec3i]) -> None:
    """As `tangles.mark_tangled`; marks were taken off before."""
    h = hits[wp.tid()]
    own, other = sheet.faces[h[0]], sheet.faces[h[2]]
    sheet.tangled[own[h[1]]] = 1
    sheet.tangled[own[(h[1] + 1) % 3]] = 1
    for k in range(3):
        sheet.tangled[other[k]] = 1
