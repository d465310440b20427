"""A real Prometheus, from Debian's packages: what it scrapes, which alerts fire, what the dashboard asks.

Run with ``pytest -m prometheus -n 0 -s``.  It unpacks the package into a folder of its own if there is none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.commands.serving import PATH
from taskscope.export.dashboard import PANELS, dashboard
from tests.integration.children import taskscope, wait_for_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(300)]

SPEED = "100"
"""Of the demo: it restarts every 4.5 s."""

ALERT_WITHIN = 120.0
MAY_BE_EMPTY = "Time to each limit"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``prometheus`` and ``promtool``."""
    found = shutil.which("promtool")
    if found is not None and shutil.which("prometheus") is not None:
        return Path(found).parent
    folder = tmp_path_factory.mktemp("debian")
    folder.chmod(0o755)  # for apt's own user
    if shutil.which("apt-get") is None:
        pytest.skip("neither Prometheus nor apt-get is here")
    subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, check=True, timeout=120)
    (package,) = folder.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=60)
    return folder / "usr/bin"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as `taskscope metrics --rules` prints them."""
    done = taskscope("metrics", "--rules")
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path_factory.mktemp("rules") / "alerts.yaml"
    path.write_text(done.stdout)
    return path


def check(command: Sequence[object], given: str = "") -> str:
    done = subprocess.run(
        [str(each) for each in command], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_rules(programs: Path, rules: Path) -> None:
    assert "SUCCESS: 7 rules found" in check([programs / "promtool", "check", "rules", rules])


def of(name: str, **labels: str) -> str:
    """A series of one process."""
    pairs = {"host": "h", "name": "svc", "pid": "1", **labels}
    joined = ", ".join(f'{key}="{value}"' for key, value in pairs.items())
    return f"taskscope_{name}{{{joined}}}"


FIRES: dict[str, tuple[dict[str, str], str]] = {
    "TaskScopeLeak": ({of("findings", level="leak"): "0x10 1x30"}, "13m"),
    "TaskScopeHang": ({of("findings", level="hang"): "0x10 1x30"}, "12m"),
    "TaskScopeGrowth": ({of("tasks"): "1000+1x2880"}, "40h"),
    "TaskScopeStalls": ({of("stalled_seconds_total"): "0x20 0+6x20"}, "35m"),
    "TaskScopeLimitWithinTheHour": (
        {of("limit_projected_seconds", resource="fds"): "1e9x10 3500x30"},
        "17m",
    ),
    "TaskScopeLimitReached": ({of("open_fds"): "10x10 980x20", of("fds_limit"): "1000x30"}, "13m"),
    "TaskScopeLostTasks": ({of("site_ended_total", site="a.py:1 f", outcome="lost"): "0x20 1x20"}, "22m"),
}
"""Series that make each alert fire at a time, and no other one."""

SILENT: dict[str, str] = {
    of("tasks"): " ".join(f"{100 * (1 + hour % 24)}x59" for hour in range(48)),
    of("stalled_seconds_total"): "0+1x2880",
    of("limit_projected_seconds", resource="fds"): "1e9x1000 3000x2 1e9x1000",
    of("open_fds"): "500x2880",
    of("fds_limit"): "1000x2880",
    of("findings", level="leak"): "0x1000 1x1 0x1000",
    of("findings", level="suspect"): "1x2880",
    of("site_ended_total", site="a.py:1 f", outcome="failed"): "0+1x2880",
}
"""A healthy service: daily load that grows tenfold, a blink of a finding, some stalls."""


def given(series: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]


def test_each_alert_fires_on_what_it_is_for_and_on_no_healthy_service(programs: Path, rules: Path) -> None:
    tests = []
    for fires, (series, at) in FIRES.items():
        queries = [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": at,
                "exp_samples": [{"labels": f'{{alertname="{fires}"}}', "value": 1}],
            }
        ]
        tests.append({"interval": "1m", "input_series": given(series), "promql_expr_test": queries})
    silence = {
        "expr": 'count_over_time(ALERTS{alertstate="firing"}[2d])',
        "eval_time": "48h",
        "exp_samples": [],
    }
    tests.append({"interval": "1m", "input_series": given(SILENT), "promql_expr_test": [silence]})
    path = rules.with_name("tests.yaml")  # JSON is YAML
    path.write_text(
        json.dumps({"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}, indent=1)
    )
    check([programs / "promtool", "test", "rules", path])


@contextmanager
def demo(name: str, *options: str) -> Iterator[int]:
    """The demo `restarts` with an agent named ``name``; its pid."""
    command = [sys.executable, "-m", "taskscope", "run", "--name", name, "-m", "taskscope.demo.restarts"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, "--speed", SPEED, *options], stderr=quiet, stdout=quiet, text=True
    ) as child:
        try:
            wait_for_agent(child)
            yield child.pid
        finally:
            child.kill()


@contextmanager
def exporter(*targets: str) -> Iterator[str]:
    command = [sys.executable, "-m", "taskscope", "metrics", *targets, "--listen", ":0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            yield child.stderr.readline().split()[-1].removeprefix("http://").removesuffix(PATH)
        finally:
            child.terminate()


class Prometheus:
    """A running server; ``ask`` evaluates a query."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}{path}?{query}", timeout=20) as answer:
            return json.load(answer)["data"]

    def ask(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=query)["result"]
        return found


@contextmanager
def prometheus(programs: Path, rules: Path, address: str, folder: Path) -> Iterator[Prometheus]:
    """Scrapes ``address`` once a second; its alerts do not wait."""
    at_once = folder / "at-once.yaml"
    at_once.write_text(re.sub(r"for: \d+m", "for: 1s", rules.read_text()))
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    scrape = {"job_name": "taskscope", "static_configs": [{"targets": [address]}]}
    config = folder / "prometheus.yaml"
    config.write_text(json.dumps({"global": every, "rule_files": [str(at_once)], "scrape_configs": [scrape]}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        listens = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        str(programs / "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={listens}",
    ]
    log = folder / "log"
    with log.open("w") as said, subprocess.Popen(command, stderr=said, stdout=said) as child:
        try:
            server = Prometheus(f"http://{listens}")
            until(lambda: answers(server), 30, log.read_text)
            yield server
        finally:
            child.terminate()


def answers(server: Prometheus) -> bool:
    try:
        server.ask("1")
    except OSError:
        return False
    return True


def until(true: Callable[[], object], within: float, why: Callable[[], object]) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.5)


@pytest.fixture(scope="module")
def leak_found(programs: Path, rules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a leaky and a fixed demo, at the moment its alert fires."""
    with ExitStack() as stack:
        stack.enter_context(demo("leaky"))
        stack.enter_context(demo("fixed", "--fixed"))
        address = stack.enter_context(exporter("leaky", "fixed"))
        server = stack.enter_context(
            prometheus(programs, rules, address, tmp_path_factory.mktemp("prometheus"))
        )
        firing = 'ALERTS{alertname="TaskScopeLeak", alertstate="firing", name="leaky"}'
        begun = time.monotonic()
        until(lambda: server.ask(firing), ALERT_WITHIN, lambda: server.ask("taskscope_findings"))
        print(f"the alert fired after {time.monotonic() - begun:.0f} s")
        server.address = address  # type: ignore[attr-defined]
        yield server


def test_both_processes_are_scraped(leak_found: Prometheus) -> None:
    assert {each["metric"]["name"] for each in leak_found.ask("taskscope_up == 1")} == {"leaky", "fixed"}
    (scraped,) = leak_found.get("/api/v1/targets")["activeTargets"]
    assert (scraped["health"], scraped["lastError"]) == ("up", "")


def test_the_alert_fires_on_the_leaky_one_and_none_ever_on_the_fixed_one(leak_found: Prometheus) -> None:
    assert leak_found.ask('count_over_time(ALERTS{name="fixed"}[10m])') == []
    (alert,) = [
        each
        for each in leak_found.get("/api/v1/alerts")["alerts"]
        if each["labels"]["alertname"] == "TaskScopeLeak"
    ]
    pid = alert["labels"]["pid"]
    host = os.uname().nodename
    assert alert["annotations"]["description"].endswith(f"On {host}: taskscope attach {pid}")
    assert alert["annotations"]["attach"] == f"taskscope attach --via 'ssh {host}' {pid}"
    (worst,) = leak_found.ask('topk(1, taskscope_site_live{name="leaky"})')
    assert re.fullmatch(r"controller\.py:\d+ .*start", worst["metric"]["site"])


def test_promtool_accepts_what_is_served(leak_found: Prometheus, programs: Path) -> None:
    address = leak_found.address  # type: ignore[attr-defined]
    with urllib.request.urlopen(f"http://{address}{PATH}", timeout=20) as answer:
        text = answer.read().decode()
    assert check([programs / "promtool", "check", "metrics"], text) == ""


def test_every_query_of_the_dashboard_has_an_answer(leak_found: Prometheus) -> None:
    board = json.loads(dashboard())
    assert [each["title"] for each in board["panels"]] == [each.title for each in PANELS]
    for panel in board["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in (("$name", ".*"), ("$pid", ".*"), ("$__rate_interval", "15s")):
                query = query.replace(variable, value)
            assert "$" not in query
            found = leak_found.ask(query)
            assert found or panel["title"] == MAY_BE_EMPTY, panel["title"]
            for each in found:
                legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                assert legend <= each["metric"].keys(), panel["title"]
