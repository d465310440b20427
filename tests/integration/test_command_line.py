"""The command line as scripts and CI see it: what is printed where, and the exit status."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.commands import VERBS
from tests.integration.children import GROWING, REPO, STANDING, running, says, started, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]: os.kill(os.getpid(), signal.SIGINT)
from taskscope.__main__ import main
sys.meta_path.insert(0, Finder())
sys.exit(main(sys.argv[2:]))
"""
"""Gets Ctrl-C when it imports a module."""

PRESENT = sorted(path.stem for path in (REPO / "taskscope" / "commands").glob("*.py") if path.stem in VERBS)
COMMAND = [sys.executable, "-m", "taskscope"]


@pytest.fixture(scope="module")
def pid() -> Iterator[int]:
    """A target in which nothing changes."""
    with running(STANDING, "--name", "standing") as child:
        says(child, "standing")
        yield child.pid


@pytest.fixture(scope="module")
def growing() -> Iterator[int]:
    """A target that gains 3,000 tasks a minute."""
    with running(GROWING, "--name", "growing", "--interval", "200ms") as child:
        says(child, "growing")
        yield child.pid


@pytest.mark.parametrize(
    ("module", "words"),
    [("taskscope.commands", "ps"), ("argparse", "--help"), ("difflib", "pss"), ("asyncio", "watch 1")],
)
def test_ctrl_c_while_a_command_starts_is_no_traceback(module: str, words: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def refused(status: int, *words: str) -> str:
    """The one sentence on stderr of a command that ends with ``status``."""
    done = taskscope(*words)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("taskscope")
    return done.stderr


# -- help and usage


@pytest.mark.parametrize("verb", ["", *PRESENT])
def test_help_loads_nothing_heavy(verb: str) -> None:
    words = [verb, "--help"] if verb else ["--help"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "taskscope", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"usage: taskscope {verb}".rstrip())
    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "argparse" in loaded
    assert not {name for name in loaded if name.split(".")[0] in {"textual", "psutil", "asyncio", "plotext"}}


def test_the_overview_names_every_verb() -> None:
    shown = taskscope("--help").stdout
    assert [verb for verb in VERBS if f"\n    {verb} " in shown] == [
        verb for verb in VERBS if verb in PRESENT
    ]


def test_the_version_is_printed() -> None:
    from taskscope import __version__

    assert taskscope("--version").stdout == f"taskscope {__version__}\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["frobnicate"], "unknown command 'frobnicate'; see taskscope --help"),
        (["atach"], "unknown command 'atach'; did you mean attach?"),
        (["--frobnicate"], "--frobnicate"),
        (["watch"], "TARGET"),
        (["watch", "x", "--for", "60"], "'60' is not a duration like 500ms, 30s, 10m or 6h"),
        (["watch", "x", "--for", "0s"], "'0s' is not a duration"),
        (["watch", "x", "--max-growth", "2"], "'2' is not a rate like 2/min"),
        (["watch", "x", "--max-percent", "many"], "'many' is not a percentage"),
        (["diff", "a.json"], "B"),
        (["watch", "1", "--follow"], "--follow needs --json"),
        (["watch", "1", "--follow", "--on", "leak", "true"], "--on writes no report: leave out --follow"),
        (["diff", "a.json", "b.json", "--format", "xml"], "xml"),
        (["demo", "nothing"], "'nothing'; choose from orders"),
        (["demo", "--speed", "-1"], "'-1' is not a speed multiplier"),
        (["open"], "FILE"),
    ],
)
def test_a_usage_error_is_one_sentence_that_quotes_it(words: list[str], named: str) -> None:
    assert named in refused(2, *words)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("4194999", "no such process: 4194999"),
        ("nobody", "no agent is named 'nobody': `taskscope ps` lists"),
        ("gone.json", "no such file: gone.json"),
        ("/tmp", "neither a socket nor a snapshot"),
        ("/dev/null", "neither a socket nor a snapshot"),
    ],
)
@pytest.mark.parametrize("verb", ["snapshot", "watch", "attach"])
def test_a_target_that_is_not_there_is_said(verb: str, target: str, reason: str) -> None:
    assert reason in refused(3, verb, target)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["attach", "nobody"], 3),
        (["detach", "nobody"], 3),
        (["diff", "nobody", "nobody"], 3),
        (["doctor", "nobody"], 3),
        (["export", "nobody", "--format", "csv"], 3),
        (["metrics", "nobody"], 3),
        (["record", "nobody", "-o", "x"], 3),
        (["report", "nobody", "-o", "-"], 3),
        (["snapshot", "nobody"], 3),
        (["watch", "nobody"], 3),
    ],
)
def test_a_python_that_is_started_for_a_command_refuses_with_the_same_words(
    words: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it imports is all it needs."""
    monkeypatch.chdir(tmp_path)
    assert started(*words).stderr == refused(status, *words)


def test_an_app_without_a_terminal_is_refused(pid: int) -> None:
    assert "needs a terminal" in refused(2, "attach", str(pid))
    assert "needs a terminal" in refused(2)


def test_several_targets_of_one_name_are_listed(pid: int) -> None:
    with running(STANDING, "--name", "standing") as other:
        sentence = refused(3, "snapshot", "standing")
    assert f"{pid}" in sentence
    assert f"{other.pid}" in sentence


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise ModuleNotFoundError(name='psutil')")
    done = subprocess.run(
        [*COMMAND, "snapshot", "aiomonitor://127.0.0.1:9"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"taskscope snapshot: psutil is not installed for {sys.executable}\n"


# -- ps


def test_ps_lists_processes_with_their_tasks(pid: int) -> None:
    found: list[dict[str, Any]] = json.loads(taskscope("ps", "--json").stdout)
    row = next(each for each in found if each["pid"] == pid)
    assert (row["agent"], row["tasks"], row["asyncio"]) == ("standing", 324, True)
    assert row["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    table = taskscope("ps").stdout
    assert re.search(rf"^{pid} +3\.\d+ +standing +324 ", table, re.MULTILINE)


def test_ps_filters_by_words_and_sorts_by_a_column(pid: int) -> None:
    found: list[dict[str, Any]] = json.loads(taskscope("ps", "STANDING", str(pid), "--json").stdout)
    assert [each["pid"] for each in found] == [pid]
    found = json.loads(taskscope("ps", "--sort", "rss", "--json").stdout)
    assert [each["rss"] for each in found] == sorted((each["rss"] for each in found), reverse=True)
    nobody = taskscope("ps", "standing", "no such word")
    assert (nobody.returncode, nobody.stdout) == (0, "")
    assert nobody.stderr == "taskscope ps: no Python process matches\n"


# -- snapshot, open, diff


def test_a_snapshot_goes_to_stdout_or_to_a_file(pid: int, tmp_path: Path) -> None:
    done = taskscope("snapshot", "standing")
    taken = json.loads(done.stdout)
    assert (taken["format"], taken["process"]["pid"], len(taken["tasks"])) == ("taskscope-snapshot", pid, 324)
    assert done.stderr == "Too early to judge: seen in a single look, a verdict takes 18s of watching.\n"
    path = tmp_path / "standing.json.gz"
    done = taskscope("snapshot", str(pid), "-o", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert len(json.loads(gzip.decompress(path.read_bytes()))["tasks"]) == 324
    assert [each.name for each in tmp_path.iterdir()] == ["standing.json.gz"]


def test_a_snapshot_that_cannot_be_written_is_reported(pid: int, tmp_path: Path) -> None:
    assert "cannot write" in refused(3, "snapshot", str(pid), "-o", str(tmp_path / "missing" / "s.json"))


def test_diff_says_what_grew_came_and_went(pid: int, growing: int, tmp_path: Path) -> None:
    a, b, c = (str(tmp_path / name) for name in ("a.json", "b.json", "c.json"))
    taskscope("snapshot", str(growing), "-o", a)
    taskscope("snapshot", str(growing), "-o", b)
    taskscope("snapshot", str(pid), "-o", c)
    done = taskscope("diff", a, b)
    assert done.returncode == 1
    assert re.search(r"^grew +[\d,]+ +[\d,]+ +\+\d+  .*forgotten", done.stdout, re.MULTILINE)
    same = taskscope("diff", b, b)
    assert same.returncode == 0
    assert "No creation site changed its number of live tasks." in same.stdout
    found = json.loads(taskscope("diff", b, c, "--json").stdout)
    states = {each["coroutine"]: each["state"] for each in found["sites"]}
    assert (states["forgotten"], states["sleeper"]) == ("went", "came")
    assert "no such file" in refused(3, "diff", a, str(tmp_path / "missing.json"))


# -- watch


def test_watch_follows_in_lines_with_a_start_and_an_end(growing: int) -> None:
    command = [sys.executable, "-m", "taskscope", "watch", str(growing), "--json", "--follow"]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watcher:
        assert watcher.stdout is not None
        while sum(each["event"] == "sample" for each in lines) < 2 or not any(
            each.get("finding", {}).get("coroutine") == "forgotten" for each in lines
        ):
            lines.append(json.loads(watcher.stdout.readline()))
        watcher.terminate()
        lines += map(json.loads, watcher.stdout)
    start, *middle, end = lines
    assert (start["event"], start["version"], start["target"]["pid"]) == ("start", 1, growing)
    assert {each["event"] for each in middle} <= {"sample", "finding", "cleared"}
    samples = [each["sample"] for each in middle if each["event"] == "sample"]
    assert end["samples"] == len(samples) >= 2
    assert samples[0]["full"]
    assert samples[-1]["tasks"]["live"] > samples[0]["tasks"]["live"]
    assert (end["event"], end["status"]) == ("end", watcher.returncode)
    assert end["findings"][0]["coroutine"] == "forgotten"
    assert bool(end["failed"]) == bool(watcher.returncode)


def test_a_stream_that_was_cut_has_no_end(growing: int) -> None:
    command = [sys.executable, "-m", "taskscope", "watch", str(growing), "--json", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watcher:
        assert watcher.stdout is not None
        first = json.loads(watcher.stdout.readline())
        watcher.kill()
        rest = watcher.stdout.read().splitlines()
    assert first["event"] == "start"
    assert not any('"event":"end"' in line for line in rest)


def test_a_stream_that_was_told_to_end_has_an_end(growing: int) -> None:
    command = [sys.executable, "-m", "taskscope", "watch", str(growing), "--json", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watcher:
        assert watcher.stdout is not None
        while json.loads(watcher.stdout.readline())["event"] != "sample":
            pass
        watcher.terminate()
        *_, last = watcher.stdout.read().splitlines()
        end = json.loads(last)
        assert (end["event"], end["status"]) == ("end", watcher.wait(20))


def is_judged(stderr: str) -> bool:
    """Whether the leak was found, as it is, with status 1, once the program is old enough."""
    said = [line for line in stderr.splitlines() if line.startswith("taskscope watch: ")]
    return any("no all-clear" not in line for line in said)


def test_watch_prints_growth_by_site(growing: int) -> None:
    done = taskscope("watch", str(growing), "--for", "2s", "--interval", "200ms")
    assert done.returncode == is_judged(done.stderr)
    row = re.search(r"^ *([\d,]+) +\+\d+ +\+([\d,.]+) .*forgotten$", done.stdout, re.MULTILINE)
    assert row is not None, done.stdout
    assert 1000 < float(row[2].replace(",", "")) < 3200
    assert "tasks" in done.stderr


def test_watch_fails_when_a_limit_is_passed(pid: int, growing: int) -> None:
    limits = ("--for", "1s", "--interval", "200ms", "--max-growth", "2/min", "--max-percent", "5")
    done = taskscope("watch", str(growing), *limits)
    assert done.returncode == 1
    assert "the limit is 2" in done.stderr
    assert "the limit is 5 %" in done.stderr
    assert taskscope("watch", str(pid), *limits).returncode == 0


def until_first_sample(child: subprocess.Popen[str]) -> None:
    """Reads stderr, where it may say first that it still waits."""
    assert child.stderr is not None
    while not re.search(r"0 s  [\d,]+ tasks", child.stderr.readline()):
        assert child.poll() is None


def test_on_ctrl_c_watch_reports_what_is_known_in_the_fields_of_the_contract(growing: int) -> None:
    command = [*COMMAND, "watch", str(growing), "--for", "1h", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        until_first_sample(child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    seen = json.loads(out)
    assert child.returncode == is_judged(err)
    assert set(seen) == {
        "target",
        "processes",
        "samples",
        "findings",
        "judged_seconds",
        "too_early",
        "silences",
        "ended",
    }
    assert seen["target"]["pid"] == growing
    full, *changes = [each["full"] for each in seen["samples"]]
    assert full
    assert not any(changes)
    assert all(
        right["seq"] > left["seq"] for left, right in zip(seen["samples"], seen["samples"][1:], strict=False)
    )


def test_watch_reports_what_it_saw_when_the_target_ends() -> None:
    with running(STANDING) as target:
        says(target, "standing")
        command = [*COMMAND, "watch", str(target.pid), "--for", "1h"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            until_first_sample(child)
            target.kill()
            out, err = child.communicate(timeout=40)
    assert "the target has ended; the report covers the time before" in err
    assert "sleeper" in out
    assert child.returncode == 0


# -- demo


def test_demo_without_a_name_says_what_there_is() -> None:
    done = taskscope("demo")
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if line and line[0] != " "][:5] == [
        "orders",
        "heartbeat",
        "backend",
        "restarts",
        "rotation",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_headless_demo_runs_until_ctrl_c() -> None:
    # As a script starts it in the background: with SIGINT ignored.
    demo = [*COMMAND, "demo", "orders", "--speed", "50", "--headless"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *demo]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        word, pid, name = child.stdout.readline().split()
        assert (word, name) == ("ready", "orders")
        row = next(each for each in json.loads(taskscope("ps", "--json").stdout) if each["pid"] == int(pid))
        assert row["agent"] == "orders"
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 0
    assert gone(int(pid))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_demo_leaves_no_service_behind_when_it_is_killed(end: signal.Signals) -> None:
    command = [*COMMAND, "demo", "orders", "--headless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline().split()[1])
        child.send_signal(end)
        child.wait(20)
    assert gone(pid)


def gone(pid: int) -> bool:
    """Whether the process ends within bounds."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


# -- manners


def test_a_reader_who_leaves_early_is_no_error(pid: int) -> None:
    command = f"{sys.executable} -m taskscope snapshot {pid} | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout, done.stderr, done.returncode) == ('{"format":', "", 0)


def test_files_are_looked_at_before_the_watching(tmp_path: Path) -> None:
    """Else the unknown name would be the first thing to fail."""
    missing = tmp_path / "missing" / "x"
    assert "cannot write" in refused(3, "watch", "nobody", "--junit", f"{missing}.xml")
    assert "cannot write" in refused(3, "report", "nobody", "-o", f"{missing}.md")
    assert "no such file: base" in refused(3, "watch", "nobody", "--baseline", "base")


def test_output_that_cannot_be_written_is_one_sentence() -> None:
    done = in_bash("ps > /dev/full")
    said = "taskscope ps: cannot write the output: No space left on device\n"
    assert (done.stderr, done.returncode) == (said, 3)


def test_closed_streams_are_no_error() -> None:
    done = in_bash("ps <&- >&- 2>&-")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_ctrl_c_is_caught_before_anything_slow_is_imported() -> None:
    code = "import sys, taskscope.__main__; print({'typing', 'argparse', 're'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPO, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "set()\n"


def in_bash(words: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m taskscope {words}"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=30)


def test_ctrl_c_is_quiet(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)  # so that the snapshot waits
    try:
        with subprocess.Popen([*COMMAND, "snapshot", str(pid)], stderr=subprocess.PIPE, text=True) as child:
            wait_until_connected(child.pid)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=20)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (child.returncode, err) == (130, "")


def wait_until_connected(pid: int) -> None:
    """Until the process has an epoll and a socket open: it waits for an answer."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        links = []
        for each in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):  # closed meanwhile
                links.append(os.readlink(f"/proc/{pid}/fd/{each}"))
        if sum("socket:" in each for each in links) >= 3 and any("eventpoll" in each for each in links):
            return
        time.sleep(0.02)
    raise AssertionError("it does not connect")
