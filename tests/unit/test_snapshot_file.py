"""Snapshot files: written whole or not at all, read with a sentence for whatever is wrong with them."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import resource
import stat
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from taskscope import model, wire
from taskscope.export.check import check
from taskscope.export.snapshot import SnapshotError, load, save, text
from tests.unit.test_saved_source import snapshot, task

SNAPSHOT = check(snapshot([task(1, name="\x1b[31m \u202e é")]))
SCHEMA = json.loads(files("taskscope.export").joinpath("snapshot.schema.json").read_text())


@pytest.mark.parametrize("name", ["s.json", "s.json.gz"])
def test_what_was_saved_is_read(tmp_path: Path, name: str) -> None:
    size = save(SNAPSHOT, tmp_path / name)
    assert (tmp_path / name).stat().st_size == size
    assert load(tmp_path / name) == wire.clean(SNAPSHOT)


def test_only_a_suffix_of_gz_compresses(tmp_path: Path) -> None:
    save(SNAPSHOT, tmp_path / "s.json.gz")
    assert json.loads(gzip.decompress((tmp_path / "s.json.gz").read_bytes())) == SNAPSHOT
    save(SNAPSHOT, tmp_path / "s.json")
    assert (tmp_path / "s.json").read_text() == text(SNAPSHOT) + "\n"


def test_no_byte_can_mean_anything_to_a_terminal() -> None:
    assert text(SNAPSHOT).isascii()
    assert text(SNAPSHOT).isprintable()


def test_a_file_that_is_there_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("precious")
    with pytest.raises(TypeError):
        save({"unwritable": object()}, path)
    assert path.read_text() == "precious"
    save(SNAPSHOT, path)
    assert load(path) == wire.clean(SNAPSHOT)
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save(SNAPSHOT, tmp_path / "s.json")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "s.json")}
    assert len(modes) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"cannot write .*missing.s\.json: No such file or directory"):
        save(SNAPSHOT, tmp_path / "missing" / "s.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SnapshotError, match="cannot write"):
        save(SNAPSHOT, tmp_path / "folder")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "is not a TaskScope snapshot"),
        (b'{"format": "other"}', "is not a TaskScope snapshot"),
        (
            b'{"format": "taskscope-snapshot", "schema": 9, "taskscope": "7.0"}',
            r"schema 9, this TaskScope reads 1.*7\.0",
        ),
        (
            b'{"format": "taskscope-snapshot", "schema": 9, "taskscope": "' + b"x" * 10_000 + b'"}',
            r"\(x{40}\)",
        ),
        (gzip.compress(b"{}", mtime=0)[:-6], "damaged"),
        (b"\x1f\x8bnonsense", "damaged"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match=reason):
        load(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"cannot read .*: No such file"):
        load(tmp_path / "missing.json")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as reader:
        size = save(SNAPSHOT, path)
        assert len(reader.communicate(timeout=10)[0]) == size
    assert path.is_fifo()
    assert save(SNAPSHOT, "/dev/null") == size
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("s.json")
    save(SNAPSHOT, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "s.json") == wire.clean(SNAPSHOT)


def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("precious")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # Python ignores the signal that this sends
    try:
        with pytest.raises(SnapshotError, match=r"cannot write .*s\.json: File too large"):
            save(SNAPSHOT, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("what", ["bomb", "devices", "pipe", "folder", "lists", "objects", "commas"])
def test_files_that_have_no_end_are_left_in_time_and_within_memory(tmp_path: Path, what: str) -> None:
    path = hostile_file(tmp_path, what)
    command = [sys.executable, "-m", "taskscope", "diff", str(path), str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{what}: {seconds:.1f} s of CPU, at most {peak:.0f} MB, {said}")
    assert child.returncode == 3
    assert said.startswith(f"taskscope diff: {path} is ")
    assert said.count("\n") == 1
    assert seconds < 4  # of CPU, which takes longer beside other work; two seconds at rest
    assert peak < 500


def hostile_file(folder: Path, what: str) -> Path:
    path = folder / f"{what}.json.gz"
    if what == "bomb":
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(400):
                file.write(b" " * (1 << 20))
    elif what == "devices":
        path.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        head = b'{"format":"taskscope-snapshot","schema":1,"tasks":['
        item = {"lists": b"[],", "objects": b'{"a":1},', "commas": b"1,"}[what]
        path.write_bytes(head + item * (60_000_000 // len(item)) + b"0]}")
    return path


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_strict_everywhere() -> None:
    def objects(value: Any) -> list[dict[str, Any]]:
        if isinstance(value, list):
            return [each for item in value for each in objects(item)]
        if not isinstance(value, dict):
            return []
        own = [value] if "properties" in value else []
        return own + [each for item in value.values() for each in objects(item)]

    assert all(each["additionalProperties"] is False for each in objects(SCHEMA))


@pytest.mark.parametrize("name", sorted(set(SCHEMA["$defs"]) & set(model.__all__)))
def test_the_schema_has_the_fields_of_the_model(name: str) -> None:
    described = SCHEMA["$defs"][name]
    fields = {field.name for field in dataclasses.fields(getattr(model, name))}
    beyond = {
        "Thread": {"stack", "creation"},  # instead of the innermost frame
        "Task": {"stack"},
    }.get(name, set())
    left_out = {
        "Thread": {"frame"},
        "Parked": {"frame", "user_frame"},  # they are those of the task's stack
    }.get(name, set())
    assert set(described["properties"]) == (fields - left_out) | beyond
