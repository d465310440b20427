"""``watch`` as the gate of a soak run, with the limits by which the ``restarts`` team accepted its fix."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

COMMAND = (sys.executable, "-m", "taskscope")
LIMITS = ("--max-percent", "5", "--max-memory-percent", "10", "--limit", "*=2/min")
KEYS = {
    "level", "kind", "site", "user_site", "via", "coroutine", "live", "rate_per_min", "since",
    "since_wall", "since_at_least", "evidence", "cause",
}  # fmt: skip
SECONDS = 75


@contextmanager
def restarts(*options: str) -> Iterator[str]:
    """The pid of the demo at twenty times its speed: a restart every ten seconds or so."""
    command = [*COMMAND, "demo", "restarts", "--headless", "--speed", "20", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        ready, pid, _ = child.stdout.readline().split()
        assert ready == "ready"
        try:
            yield pid
        finally:
            child.send_signal(signal.SIGINT)


def watch(pid: str, *options: str, seconds: int = SECONDS) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "watch", pid, "--for", f"{seconds}s", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def cases(path: Path) -> dict[str, str]:
    """What a build server shows: each check with its failure."""
    return {
        case.get("name", ""): "; ".join(each.get("message", "") for each in case)
        for case in Xml.parse(path).getroot()
    }


def test_the_leaky_version_fails_and_the_build_server_gets_the_line(tmp_path: Path) -> None:
    with restarts() as pid:
        baseline = tmp_path / "before.json"
        subprocess.run([*COMMAND, "snapshot", pid, "-o", str(baseline)], check=True, capture_output=True)
        done = watch(pid, *LIMITS, "--json", "--github", "--junit", str(tmp_path / "x.xml"),
                     "--baseline", str(baseline))  # fmt: skip
        assert done.returncode == 1, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        assert {"target", "samples", "findings"} <= set(told)
        worst = told["findings"][0]
        assert set(worst) == KEYS
        assert (worst["level"], worst["kind"]) == ("leak", "task")
        assert worst["site"]["function"] == "ChaosController.start"
        assert worst["cause"]["pattern"] == "started twice"
        assert [each["level"] for each in told["findings"]].count("leak") == 1
        failed = {name: failure for name, failure in cases(tmp_path / "x.xml").items() if failure}
        assert len(failed) == 4  # both percents, the site's rate, the leak
        assert failed["growth of all tasks, at most 5 %"].endswith("since the baseline; the limit is 5 %")
        marks = [line for line in done.stderr.splitlines() if line.startswith("::error ")]
        assert len(marks) == 4
        assert f"restarts/controller.py,line={worst['site']['line']}," in marks[-1]

        assert watch(pid, "--ignore", "ChaosController.*", seconds=5).returncode == 0
        command = [*COMMAND, "watch", pid, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stderr is not None
            child.stderr.readline()  # it has seen a sample
            child.send_signal(signal.SIGINT)
            known, _ = child.communicate()
        assert child.returncode == 1
        assert json.loads(known)["findings"][0]["level"] == "leak"


def test_the_fixed_version_passes(tmp_path: Path) -> None:
    with restarts("--fixed") as pid:
        watch(pid, seconds=20)  # its warm-up
        done = watch(pid, *LIMITS, "--fail-on", "suspect", "--junit", str(tmp_path / "x.xml"))
    assert done.returncode == 0, done.stderr
    assert "LEAK" not in done.stdout
    assert set(cases(tmp_path / "x.xml").values()) == {""}
    assert len(cases(tmp_path / "x.xml")) == 4
