"""Recordings: what was written is read, whatever was cut off, damaged or never a recording."""

from __future__ import annotations

import os
import random
import time
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from taskscope.export.recording import RecordingError, RecordingWriter, line
from taskscope.export.recording_file import RecordingFile
from taskscope.model.recording import FORMAT, MAX_MEMBER, SCHEMA, SIGNATURE, header

if TYPE_CHECKING:
    from pathlib import Path

START = line("start", {"format": FORMAT, "schema": SCHEMA, "taskscope": "0"})


def written(path: Path, members: int, lines: int = 5, first: int = 0) -> list[int]:
    """Writes numbered lines; returns the sizes of the file after each of them."""
    sizes = []
    with closing(RecordingWriter(path)) as writer:
        for member in range(members):
            at = first + member * lines
            writer.begin(1000.0 + at, float(at), [START, line("sample", at)])
            sizes.append(os.path.getsize(path))
            for number in range(at + 1, at + lines):
                writer.add([line("sample", number)])
                sizes.append(os.path.getsize(path))
    return sizes


def numbers(path: Path) -> list[int]:
    """The numbered lines in the file."""
    with closing(RecordingFile(path)) as file:
        every = [each for number in range(len(file.members)) for each in file.lines(number)]
    return [value for kind, value in every if kind == "sample"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    written(path, 3)
    assert numbers(path) == list(range(15))
    with closing(RecordingFile(path)) as file:
        assert file.times == [1000.0, 1005.0, 1010.0]
        assert [file.member_at(each) for each in (0, 1000, 1004.9, 1005, 2000)] == [0, 0, 0, 1, 2]


def test_other_tools_decompress_it(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.rec"
    written(path, 2, 2)
    text = gzip.decompress(path.read_bytes())
    assert text == b"".join(
        [START, line("sample", 0), line("sample", 1), START, line("sample", 2), line("sample", 3)]
    )


def test_a_file_cut_anywhere_is_read_up_to_its_last_whole_line_and_can_be_continued(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.rec", tmp_path / "cut.rec"
    sizes = written(path, 3)
    data = path.read_bytes()
    for size in range(1, len(data)):
        cut.write_bytes(data[:size])
        whole = sum(each <= size for each in sizes)
        if whole:
            found = numbers(cut)
            assert found[:whole] == list(range(whole)), size
            assert len(found) <= whole + 1, size
        else:
            found = []
        written(cut, 1, 2, first=100)
        assert numbers(cut) == [*range(whole), 100, 101] or numbers(cut) == [*found, 100, 101], size


def test_a_kill_while_the_end_is_mended_loses_nothing(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.rec", tmp_path / "cut.rec"
    sizes = written(path, 2)
    cut.write_bytes(path.read_bytes()[: sizes[7] + 7])
    before = cut.read_bytes()
    RecordingWriter(cut).close()
    after = cut.read_bytes()
    for size in range(len(after) + 1):  # so much of the new end was written
        cut.write_bytes(after[:size] + before[size:])
        assert numbers(cut)[:8] == list(range(8))
        written(cut, 1, 2, first=100)
        assert numbers(cut)[:8] == list(range(8))
        assert numbers(cut)[-2:] == [100, 101]


def test_damage_costs_the_rest_of_its_member_only(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    sizes = written(path, 3)
    data = bytearray(path.read_bytes())
    for at in range(sizes[5] + 1, sizes[6]):  # within the second member's second line
        data[at] ^= 0xFF
    path.write_bytes(data)
    assert numbers(path)[:6] == list(range(6))
    assert numbers(path)[-5:] == list(range(10, 15))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not a TaskScope recording"),
        (b"\x1f\x8b\x08\x00" + b"\0" * 100, "is not a TaskScope recording"),
        (SIGNATURE, "holds no whole line yet"),
        (header(1.0, 1.0) + b"x" * 100, "holds no whole line yet"),
        (header(float("nan"), 1.0) + b"x" * 100, "holds no whole line yet"),
        (2 * (header(1.0, 1.0) + b"x" * 100), "is damaged"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=why):
        RecordingFile(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with closing(RecordingWriter(path)) as writer:
        writer.begin(1.0, 1.0, [line("start", {"format": FORMAT, "schema": 99, "taskscope": "9.9"})])
    with pytest.raises(RecordingError, match=r"another version.*\(9\.9\)"):
        RecordingFile(path)


def test_a_member_that_has_no_end_is_left_in_time(tmp_path: Path) -> None:
    path = tmp_path / "bomb.rec"
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = deflate.compress(START) + b"".join(deflate.compress(b" " * (1 << 20)) for _ in range(128))
    path.write_bytes(header(1.0, 1.0) + packed + deflate.flush())
    begun = time.process_time()
    with closing(RecordingFile(path)) as file:
        lines = list(file.lines(0))
    assert [kind for kind, _ in lines] == ["start"]
    assert time.process_time() - begun < 2
    assert MAX_MEMBER < 128 << 20


def test_a_file_full_of_headers_is_left_in_time(tmp_path: Path) -> None:
    path = tmp_path / "heads.rec"
    path.write_bytes(header(1.0, 1.0) * 100_000)
    begun = time.process_time()
    with pytest.raises(RecordingError, match="is damaged"):
        RecordingFile(path)
    assert time.process_time() - begun < 2


def test_random_bytes_behind_a_header_never_raise_anything_else(tmp_path: Path) -> None:
    path, chance = tmp_path / "a.rec", random.Random(1)
    written(path, 3)
    data = path.read_bytes()
    for _ in range(300):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 20)):
            mutated[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(mutated)
        try:
            numbers(path)
        except RecordingError as error:
            assert str(path) in str(error)


def test_what_is_no_recording_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(RecordingError, match="exists and is not a TaskScope recording"):
        RecordingWriter(path)
    assert path.read_text() == "mine"
    with pytest.raises(RecordingError, match="Is a directory"):
        RecordingWriter(tmp_path)
    with pytest.raises(RecordingError, match="not a file"):
        RecordingWriter("/dev/null")


def test_two_recorders_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with (
        closing(RecordingWriter(path)),
        pytest.raises(RecordingError, match="being written by another recorder"),
    ):
        RecordingWriter(path)
