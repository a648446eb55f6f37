"""Files made to harm: they unpack to gigabytes, point in circles, nest without end, or name files elsewhere.

    python -m benchmarks.formats.traps FOLDER

By itself, as making some of them takes the memory that reading them must not.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ani3dhuman.gltf.document import BINARY_CHUNK, JSON_CHUNK, MAGIC
from ani3dhuman.splats.gltf import EXTENSION, coefficient_names

HUGE = 1 << 31
WIDE = 10_000  # pixels of a picture that is all one colour


def traps(folder: Path) -> dict[str, bytes]:
    """Files made to harm: they unpack to gigabytes, point in circles, or name files elsewhere."""
    bomb = folder / "bomb.sog"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b" " * (1 << 28) + b"{}")
    found = {"bomb.sog": bomb.read_bytes()}
    for name in ("../out.webp", "/tmp/out.webp", "..\\out.webp", "a/../../out.webp"):
        with zipfile.ZipFile(bomb, "w") as archive:
            means = {"mins": [0, 0, 0], "maxs": [1, 1, 1], "files": [name, name]}
            archive.writestr("meta.json", json.dumps({"version": 2, "count": 1, "means": means}))
            archive.writestr(name, b"RIFF")
        found[f"leaves{len(found)}.sog"] = bomb.read_bytes()
    bomb.unlink()
    head = struct.pack("<IIIBBBB", 0x5053474E, 3, 90_000_000, 3, 12, 0, 0)
    found["bomb.spz"] = zlib.compress(head + b"\0" * 30_000_000, 9, 31)
    rows = "".join(f"property float p{k}\n" for k in range(60))
    found["huge.ply"] = f"ply\nformat binary_little_endian 1.0\nelement vertex 99999999\n{rows}end_header\n".encode()
    found["endless.ply"] = b"ply\n" + b"comment " + b"x" * (1 << 21)
    found["huge.ksplat"] = bytes(struct.pack("<BBHIIII", 0, 1, 0, 1, 1, HUGE - 1, HUGE - 1)).ljust(6000, b"\xff")
    refers = "#usda 1.0\n( subLayers = [@{}@] )\n"
    found |= {f"circle{k}.usda": refers.format(f"circle{(k + 1) % 3}.usda").encode() for k in range(3)}
    found |= {f"leaves{k}.usda": refers.format(to).encode() for k, to in enumerate(("/etc/passwd", "../../x.usda"))}
    clips = 'clips = { dictionary default = { string templateAssetPath = "../x.#.usda" } }'
    found["clips.usda"] = f'#usda 1.0\ndef "A" ( {clips} ) {{}}\n'.encode()
    found["prim.usda"] = b'#usda 1.0\ndef "A" ( references = @prim.usda@</A> ) { def "B" ( references = </A> ) {} }\n'
    found |= swollen() | nested() | pictures()
    return found


def swollen() -> dict[str, bytes]:
    """Small files that are sound but for the number of Gaussians that they unpack to."""
    head = struct.pack("<IIIBBBB", 0x5053474E, 3, 5_000_000, 3, 12, 0, 0)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    same = b"\x80" * (65 * 1_000_000)
    whole = packer.compress(head) + b"".join(packer.compress(same) for _ in range(5)) + packer.flush()
    places = np.full(400_000, 0.5, "<f4").tobytes()
    kinds = {"POSITION": "VEC3", "ROTATION": "VEC4", "SCALE": "VEC3", "OPACITY": "SCALAR"}
    attributes = {name if name == "POSITION" else f"{EXTENSION}:{name}": k for k, name in enumerate(kinds)}
    attributes[coefficient_names(1)[0]] = 0
    primitive = {"mode": 0, "attributes": attributes, "extensions": {EXTENSION: {}}}

    def shown(count: int, times: int, data: bytes) -> bytes:
        view = {"bufferView": 0} if data else {}
        document: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "accessors": [{"componentType": 5126, "type": kind, "count": count, **view} for kind in kinds.values()],
            "meshes": [{"primitives": [primitive]}],
            "nodes": [{"mesh": 0}] * times,
            "buffers": [{"byteLength": len(data)}],
            "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        }
        return glb(json.dumps(document).encode(), data)

    return {
        "same.spz": whole,
        "nothing.glb": shown(99_000_000, 1, b""),
        "crowd.glb": shown(100_000, 5000, places),
        "digits.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex " + b"9" * 5000 + b"\nend_header\n",
    }


def glb(text: bytes, data: bytes) -> bytes:
    """A GLB of JSON and bytes as they are."""
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(data), BINARY_CHUNK) + data
    return struct.pack("<III", MAGIC, 2, 12 + len(body)) + body


def nested() -> dict[str, bytes]:
    """Brackets in brackets, and references that make ten of each prim, seven times over."""
    laughs = '#usda 1.0\nclass "L7"\n{\n}\n'
    for level in range(6, -1, -1):
        tens = "".join(f'def "c{k}" (\n    references = </L{level + 1}>\n)\n{{\n}}\n' for k in range(10))
        laughs += f'def "L{level}"\n{{\n{tens}}}\n'
    elsewhere = 'def "A" (\n    {} = @../../../../etc/passwd@\n)\n{{\n}}\n'
    variant = 'def "A" (\n    variants = {\n        string v = "x"\n    }\n    prepend variantSets = "v"\n)\n{\n'
    variant += '    variantSet "v" = {\n        "x" (\n            references = @/etc/passwd@\n        ) {\n        }\n'
    variant += "    }\n}\n"
    return {
        "deep.glb": glb(b"[" * 100_000 + b"]" * 100_000, b""),
        "deep.usda": b"#usda 1.0\n" + b'def "a"\n{\n' * 20_000 + b"}\n" * 20_000,
        "laughs.usda": laughs.encode(),
        "payload.usda": ("#usda 1.0\n" + elsewhere.format("payload")).encode(),
        "variant.usda": ("#usda 1.0\n" + variant).encode(),
    }


def pictures() -> dict[str, bytes]:
    """SOG whose pictures are of one colour and wide, whose places are no numbers, and whose metadata is nested."""
    wide = np.full((WIDE, WIDE, 4), 255, np.uint8)
    webp = bytes(cv2.imencode(".webp", wide, [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    png = bytes(cv2.imencode(".png", wide, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])
    small = bytes(cv2.imencode(".webp", wide[:4, :4], [cv2.IMWRITE_WEBP_QUALITY, 101])[1])

    def sog(count: int, picture: bytes, high: float = 1.0, meta: bytes = b"") -> bytes:
        book, file = [0.0] * 256, io.BytesIO()
        means = {"mins": [0.0] * 3, "maxs": [high] * 3, "files": ["a", "a"]}
        parts = {name: {"codebook": book, "files": ["a"]} for name in ("scales", "quats", "sh0")}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("meta.json", meta or json.dumps({"version": 2, "count": count, "means": means, **parts}))
            archive.writestr("a", picture)
        return file.getvalue()

    return {
        "many.sog": sog(WIDE * WIDE, webp),
        "wide.sog": sog(4, webp),
        "png.sog": sog(4, png),
        "nan.sog": sog(4, small, float("nan")),
        "deep.sog": sog(4, small, meta=b"[" * 200_000 + b"]" * 200_000),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, data in traps(folder).items():
        (folder / name).write_bytes(data)
