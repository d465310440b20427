"""A snapshot read part by part is the one that was written, whatever the file looks like."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.export import snapshot_parts
from taskscope.export.check import check
from taskscope.export.snapshot import SnapshotError, load
from taskscope.model.snapshot import add_part
from tests.unit.test_snapshot_file import SNAPSHOT

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    snapshot_parts.feed(path, lambda section, value: add_part(parts, section, value))
    return check(parts)


@pytest.fixture
def whole() -> dict[str, Any]:
    row = SNAPSHOT["tasks"][0]
    many = [{**row, "serial": 1_000 + n, "name": f"{n} [}}\u00e4\\"} for n in range(5_000)]
    return {**SNAPSHOT, "tasks": [row, *many]}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_it_is_what_was_written(
    tmp_path: Path, whole: dict[str, Any], indent: int | None, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    data = json.dumps(whole, indent=indent, ensure_ascii=indent is None).encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    assert read(path) == load(path)


def test_who_takes_the_parts_may_fail(tmp_path: Path, whole: dict[str, Any]) -> None:
    """A reader of our output who leaves says nothing about the file."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))

    def take(section: str, value: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        snapshot_parts.feed(path, take)
    with pytest.raises(SnapshotError, match=r"cannot read .*: No such file"):
        snapshot_parts.feed(tmp_path / "b.json", take)


def test_no_part_is_large(tmp_path: Path, whole: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))
    sizes: list[int] = []
    snapshot_parts.feed(path, lambda section, value: sizes.append(len(json.dumps(value))))
    assert path.stat().st_size > 2 * snapshot_parts.BATCH
    assert max(sizes) < 1.2 * snapshot_parts.BATCH


def test_sections_in_another_order_are_left_before_any_task(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(SNAPSHOT, sort_keys=True).replace('"format"', '"format"', 1))
    seen: list[str] = []
    with pytest.raises((snapshot_parts.UnorderedError, SnapshotError)):
        snapshot_parts.feed(path, lambda section, value: seen.append(section))
    assert "tasks" not in seen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends too early"),
        ("[]", "not JSON"),
        ("{}", "is not a TaskScope snapshot"),
        ('{"format":"taskscope-snapshot","schema":7,"process":{}}', "has snapshot schema 7"),
        ('{"format":"other","process":{}}', "is not a TaskScope snapshot"),
        ('{"format":"taskscope-snapshot","schema":1}', "the section 'process' is missing"),
        ('{"format":"taskscope-snapshot","schema":1,"process":{', "cut off"),
        ('{"format":"taskscope-snapshot","schema":1,"tasks"', "cut off"),
        ('{"format":"taskscope-snapshot","schema":1,"process":' + "[" * 100_000, "not JSON"),
        ('{"format":"taskscope-snapshot","schema":1,"sites":[' + "[]," * 600_000, "cut off"),
        ('{"format":"taskscope-snapshot","schema":1,"sites":[[' + "[]," * 600_000, "too many values"),
        ('{"format":"taskscope-snapshot","schema":1,"process":"' + "x" * (33 << 20), "too large"),
        ("\xff{}", "is"),
    ],
)
def test_what_is_no_snapshot_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SnapshotError, match=said) as raised:
        read(path)
    assert len(str(raised.value)) < 300 + len(str(path))
