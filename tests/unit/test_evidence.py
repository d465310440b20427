"""The folder of evidence: no more files an hour and no more bytes than allowed, whoever writes."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.export.evidence import LOG, MAX_LOG, Folder, FolderBusyError

if TYPE_CHECKING:
    from pathlib import Path


def folder(path: Path, *, most: int = 3, disk: int = 1000) -> Folder:
    return Folder(str(path), most, disk)


def write(into: Folder, size: int, *, age: float = 0.0) -> Path:
    path = into.new("sh op/../x", 7, "leak", ".html")
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_files_of_the_last_hour_count_whoever_wrote_them(tmp_path: Path) -> None:
    before = folder(tmp_path)
    for _ in range(3):
        write(before, 1)
    again = folder(tmp_path)  # a service that restarts
    assert again.is_full()
    assert len(list(tmp_path.iterdir())) == 3  # none of the same second replaces another


def test_older_files_do_not_count(tmp_path: Path) -> None:
    for _ in range(3):
        write(folder(tmp_path), 1, age=3700)
    assert not folder(tmp_path).is_full()


def test_what_was_pruned_counts_too(tmp_path: Path) -> None:
    mine = folder(tmp_path, disk=10)
    for _ in range(3):
        assert mine.make_room(8)
        write(mine, 8)
    assert len(list(tmp_path.iterdir())) == 1
    assert mine.is_full()


def test_the_oldest_go_first_and_nothing_of_others_is_touched(tmp_path: Path) -> None:
    mine = folder(tmp_path)
    strange = tmp_path / "taskscope-notes.html"
    strange.write_bytes(b"x" * 5000)
    old, new = write(mine, 600, age=100), write(mine, 300)
    assert mine.make_room(200)
    assert (old.exists(), new.exists(), strange.exists()) == (False, True, True)
    assert not mine.make_room(1001)
    assert new.exists()


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".taskscope-shop-7-20260101T030000-leak.rec.part"
    left.touch()
    with folder(tmp_path).claimed():
        assert not left.exists()


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    with (
        folder(tmp_path / "made").claimed(),
        pytest.raises(FolderBusyError),
        folder(tmp_path / "made").claimed(),
    ):
        pass
    with folder(tmp_path / "made").claimed():
        pass


def test_the_log_is_bounded_and_its_lines_are_json(tmp_path: Path) -> None:
    mine = folder(tmp_path)
    for number in range(600):
        mine.log({"text": "x" * 1000, "number": number})
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == [LOG, f"{LOG}.1"]
    assert all(each.stat().st_size < MAX_LOG + 2000 for each in kept)
    assert json.loads(kept[0].read_text().splitlines()[-1])["number"] == 599
