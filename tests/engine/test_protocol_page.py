"""The protocol's four pages in docs/ and the code say the same."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from engine.wire import ERROR_CODES, PROTOCOL_VERSION
from engine.wire import messages as m

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("protocol.md", "protocol_requests.md", "protocol_answers.md", "protocol_errors.md")
PAGE = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in NAMES)


def section(title: str) -> str:
    """The part of the pages under the heading `## title`."""
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], flags=re.M)[0]


def rows(text: str) -> list[list[str]]:
    """The table rows of `text` whose first cell is code, cells without spaces around."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def kinds(title: str) -> dict[str, str]:
    parts = re.split(r"^### `(\w+)`$", section(title), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SENT, ANSWERED = kinds("What a client sends"), kinds("What the engine answers")


def test_the_page_is_of_this_version() -> None:
    assert PAGE.startswith(f"# The wire protocol, version {PROTOCOL_VERSION}\n")


def test_the_page_has_every_kind_in_its_direction() -> None:
    assert set(SENT) == set(m.REQUESTS)
    assert set(ANSWERED) == set(m.REPLIES)


@pytest.mark.parametrize("kind", [*m.REQUESTS, *m.REPLIES])
def test_the_page_has_every_field_with_its_type(kind: str) -> None:
    text = (SENT | ANSWERED)[kind]
    found = {row[0].strip("`"): row[1].replace("\\|", "|") for row in rows(text)}
    fields = dataclasses.fields({**m.REQUESTS, **m.REPLIES}[kind])
    words = {
        "dict[str, np.ndarray]": "arrays",
        "np.ndarray": "array",
        "dict[str, Any]": "map",
        "JobStatus": "map",
    }
    expected = {f.name: "list" if str(f.type).startswith("list") else words.get(str(f.type), f.type) for f in fields}
    assert found == expected


@pytest.mark.parametrize("kind", [*m.REQUESTS, *m.REPLIES])
def test_every_kind_has_an_example_of_its_body(kind: str) -> None:
    text = (SENT | ANSWERED)[kind]
    block = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    example, _ = json.JSONDecoder().raw_decode(block.strip())
    arrays = {"shot", "data"}
    fields = {f.name for f in dataclasses.fields({**m.REQUESTS, **m.REPLIES}[kind])}
    assert set(example) == fields - arrays


@pytest.mark.parametrize(
    ("kind", "field", "record"),
    [("event", "events", m.Event), ("job", "status", m.JobStatus), ("listing", "files", m.FileInfo)],
)
def test_records_inside_messages_are_described(kind: str, field: str, record: type) -> None:
    example, _ = json.JSONDecoder().raw_decode(ANSWERED[kind].split("\n    ", 1)[1])
    value = example[field][0] if isinstance(example[field], list) else example[field]
    assert set(value) == {f.name for f in dataclasses.fields(record)} - {"preview"}


def test_error_codes_are_the_same_with_their_meaning() -> None:
    found = {row[0].strip("`"): row[2].removesuffix(" |") for row in rows(section("Error codes"))}
    assert found == ERROR_CODES


def test_limits_are_the_same() -> None:
    found = {row[0].strip("`"): float(row[1]) for row in rows(section("Limits"))}
    names = [name for name in vars(m) if name.startswith("MAX_") or name.endswith("_WINDOW")]
    assert found == {name: float(getattr(m, name)) for name in names}
