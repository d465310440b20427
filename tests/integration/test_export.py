"""``taskscope export``: what other tools read, from a process, a snapshot and a recording."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.integration.children import STANDING, running, says, taskscope
from tests.trace_format import check

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Path(__file__).parents[1] / "schemas" / "speedscope.schema.json"
"""As published in speedscope 1.25.0 (MIT, (c) 2018 Jamie Wong)."""

MANY = """
import asyncio, sys
async def inner(): await asyncio.sleep(3600)
async def outer(): await inner()
async def main():
    kept = [asyncio.create_task(outer()) for _ in range(int(sys.argv[1]))]
    await asyncio.sleep(0)
    print("standing", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def pid() -> Iterator[int]:
    with running(STANDING, "--name", "standing") as child:
        says(child, "standing")
        yield child.pid


@pytest.fixture(scope="module")
def snapshot(pid: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "a.json.gz"
    assert taskscope("snapshot", str(pid), "-o", str(path)).returncode == 0
    return path


def exported(target: object, format: str) -> str:
    done = taskscope("export", str(target), "--format", format)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"([\d,]+ tasks\n)*", done.stderr)  # progress, if it takes long
    return done.stdout


def test_folded_stacks_are_counted_from_the_outermost_frame_on(pid: int, snapshot: Path) -> None:
    for target in (pid, snapshot):
        lines = exported(target, "folded").splitlines()
        counts = {stack: int(count) for stack, _, count in (line.rpartition(" ") for line in lines)}
        assert sum(counts.values()) == 324
        assert list(counts.values()) == sorted(counts.values(), reverse=True)
        first = lines[0].rpartition(" ")[0].split(";")
        assert first[0].startswith("sleeper (<string>:3")
        assert first[-1].startswith("sleep (tasks.py:")
        assert counts[lines[0].rpartition(" ")[0]] == 301


def test_speedscope_conforms_to_its_schema(pid: int, snapshot: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    for target in (pid, snapshot):
        whole = json.loads(exported(target, "speedscope"))
        jsonschema.validate(whole, schema)
        (profile,) = whole["profiles"]
        frames = whole["shared"]["frames"]
        assert profile["endValue"] == sum(profile["weights"]) == 324
        assert len(profile["samples"]) == len(profile["weights"])
        assert frames[profile["samples"][0][0]]["name"] == "sleeper"
        assert all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample)
    whole["profiles"][0]["type"] = "guessed"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole, schema)


def test_a_trace_keeps_the_rules_of_its_format(pid: int, snapshot: Path) -> None:
    for target in (pid, snapshot):
        events = check(json.loads(exported(target, "trace")))
        spans = [each for each in events if each["ph"] == "X" and "state" in each["args"]]
        assert len(spans) == 324
        assert {each["name"] for each in spans} >= {"sleeper", "main"}
        main = next(each["tid"] for each in spans if each["name"] == "main")
        assert len([each for each in events if each["ph"] == "s" and each["tid"] == main]) >= 300


def test_csv_has_a_row_for_each_task(pid: int, snapshot: Path) -> None:
    for target in (pid, snapshot):
        rows = list(csv.DictReader(io.StringIO(exported(target, "csv"))))
        assert len(rows) == 324
        sleeper = next(row for row in rows if row["name"] == "s7")
        assert (sleeper["coroutine"], sleeper["wait"], sleeper["at_function"]) == (
            "sleeper",
            "sleep",
            "sleeper",
        )
        assert sleeper["function"].startswith("main")
        assert float(sleeper["age_seconds"]) >= 0


def test_a_recording_gives_a_row_for_each_sample_and_no_stacks(pid: int, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    assert taskscope("record", str(pid), "-o", str(path), "--for", "3s").returncode == 0
    rows = list(csv.DictReader(io.StringIO(exported(path, "csv"))))
    assert 2 <= len(rows) <= 4
    assert {row["tasks"] for row in rows} == {"324"}
    trace = tmp_path / "a.trace"
    done = taskscope("export", str(path), "--format", "trace", "-o", str(trace))
    assert re.search(rf"tasks?, {len(rows)} samples\n$", done.stderr)
    events = check(json.loads(trace.read_bytes()))
    assert {each["args"]["value"] for each in events if each["name"] == "tasks"} == {324}
    done = taskscope("export", str(path), "--format", "folded")
    assert (done.returncode, done.stdout) == (3, "")
    assert "a recording does not hold the stacks of all tasks" in done.stderr


def test_a_file_is_whole_or_not_there(pid: int, tmp_path: Path) -> None:
    path = tmp_path / "a.folded"
    done = taskscope("export", str(pid), "--format", "folded", "-o", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == f"{path}: 324 tasks"
    kept = path.read_text()
    done = taskscope("export", "nobody", "--format", "folded", "-o", str(path))
    assert done.returncode == 3
    assert path.read_text() == kept
    done = taskscope("export", str(pid), "--format", "folded", "-o", str(tmp_path / "no" / "x"))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "No such file or directory" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["a.folded"]
    assert "invalid choice" in taskscope("export", str(pid), "--format", "svg").stderr


def exporting(pid: int, format: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "taskscope", "export", str(pid), "--format", format, "-o", str(path)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def written(pid: int, folder: Path) -> int:
    """Bytes that a process has in open files of a folder."""
    found = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += each.stat().st_size if str(each.readlink()).startswith(str(folder)) else 0
    return found


def test_interrupted_it_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with running(MANY, "--name", "many", arguments=["60000"]) as child:
        says(child, "standing")
        with exporting(child.pid, "csv", path) as exporter:
            give_up = time.monotonic() + 30
            while not written(exporter.pid, tmp_path):
                assert time.monotonic() < give_up
                assert exporter.poll() is None
                time.sleep(0.01)
            exporter.send_signal(signal.SIGINT)
            assert exporter.wait(20) == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "status", "said"),
    [("pipe", 0, ""), ("/dev/full", 3, "cannot write the output: No space left")],
)
def test_where_the_rows_cannot_go_is_not_blamed_on_the_target(output: str, status: int, said: str) -> None:
    with running(MANY, "--name", "many", arguments=["9000"]) as child:
        says(child, "standing")
        target = subprocess.PIPE if output == "pipe" else os.open(output, os.O_WRONLY)
        command = [sys.executable, "-m", "taskscope", "export", str(child.pid), "--format", "csv"]
        with subprocess.Popen(command, stdout=target, stderr=subprocess.PIPE, text=True) as exporter:
            if exporter.stdout is not None:
                exporter.stdout.readline()
                exporter.stdout.close()
            assert exporter.stderr is not None
            told = exporter.stderr.read()
        assert exporter.returncode == status
        assert (said in told) if said else told == ""


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("format", ["folded", "speedscope", "trace", "csv"])
def test_300_000_tasks_are_exported_in_little_memory(tmp_path: Path, format: str) -> None:
    with running(MANY, "--name", "many", arguments=["300000"]) as child:
        says(child, "standing")
        path = tmp_path / "a.out"
        with exporting(child.pid, format, path) as exporter:
            assert exporter.stderr is not None
            said = exporter.stderr.read()
            _, status, used = os.wait4(exporter.pid, 0)
            exporter.returncode = os.waitstatus_to_exitcode(status)
        assert exporter.returncode == 0, said
        assert said.endswith(": 300,001 tasks\n"), said
        print(f"{format}: {used.ru_maxrss >> 10} MB, {used.ru_utime + used.ru_stime:.1f} s of CPU")
        assert used.ru_maxrss < 300 << 10
        if format == "folded":
            assert sum(int(line.rpartition(" ")[2]) for line in path.read_text().splitlines()) == 300_001


def test_text_is_no_formula_and_no_separator() -> None:
    from taskscope.export.csv_file import row
    from taskscope.export.flame import _label
    from taskscope.model import Frame

    assert row(["=1+1", "-x", "a,b", 'q"', 3]) == b'\'=1+1,\'-x,"a,b","q""",3\n'
    assert ";" not in _label(Frame("/a;b.py", 3, "f;g"))
