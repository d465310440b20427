"""``taskscope metrics`` and metrics from inside: addresses, formats, targets that come and go."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics import parser

import taskscope as api
from tests.integration.children import GROWING, STANDING, running, says, taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def until(true: Callable[[], object], within: float = 40.0) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def get(url: str, accept: str = "application/openmetrics-text; version=1.0.0") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values by name of the metric and pid."""
    families = parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {(each.name, each.labels["pid"]): each.value for family in families for each in family.samples}


@contextmanager
def serving(*targets: str) -> Iterator[str]:
    """``metrics TARGETS`` on a free port; its URL."""
    command = [sys.executable, "-m", "taskscope", "metrics", *targets, "--listen", ":0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            yield child.stderr.readline().split()[-1]
        finally:
            child.terminate()
            assert child.wait(20) == 0


def test_once_it_prints_what_the_official_parser_reads() -> None:
    with running(STANDING, "--name", "printed", "--interval", "100ms") as child:
        says(child, "standing")
        done = taskscope("metrics", str(child.pid))
    assert (done.returncode, done.stderr) == (0, "")
    found = samples(done.stdout)
    assert found["taskscope_up", str(child.pid)] == 1
    assert found["taskscope_tasks", str(child.pid)] >= 323
    assert found["taskscope_loop_latency_seconds_count", str(child.pid)] > 0


def test_a_target_that_ends_is_a_state_and_one_that_returns_is_seen_again() -> None:
    with serving("comes-and-goes", "stays") as url, running(STANDING, "--name", "stays") as stays:
        assert url.startswith("http://127.0.0.1:")
        for _ in range(2):
            with running(GROWING, "--name", "comes-and-goes") as child:
                pid = str(child.pid)
                until(lambda pid=pid: samples(get(url)).get(("taskscope_up", pid)) == 1)  # type: ignore[misc]
            until(lambda pid=pid: samples(get(url)).get(("taskscope_up", pid)) == 0)  # type: ignore[misc]
        last = samples(get(url))
        assert ("taskscope_tasks", pid) not in last
        until(lambda: samples(get(url)).get(("taskscope_tasks", str(stays.pid)), 0) >= 323)
        older = get(url, "text/plain")
        assert "# TYPE taskscope_site_born_total counter" in older
        assert "# EOF" not in older
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(url.replace("/metrics", "/etc/passwd"))
        for nonsense in (b"\0" * 20_000, b"POST /metrics HTTP/1.1\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) as raw:
                raw.sendall(nonsense)
        assert samples(get(url))


def test_a_name_means_every_process_that_has_it() -> None:
    options = ("--name", "workers", "--interval", "100ms")
    with (
        serving("workers") as url,
        running(STANDING, *options) as first,
        running(STANDING, *options) as second,
    ):
        pids = {str(first.pid), str(second.pid)}

        def up() -> dict[str, float]:
            return {pid: value for (name, pid), value in samples(get(url)).items() if name == "taskscope_up"}

        until(lambda: up() == dict.fromkeys(pids, 1))
        once = taskscope("metrics", "workers")
        assert {pid for name, pid in samples(once.stdout) if name == "taskscope_tasks"} == pids
        first.kill()
        until(lambda: up() == {str(first.pid): 0, str(second.pid): 1})
        with running(STANDING, *options) as third:  # in its place
            until(lambda: up() == {str(third.pid): 1, str(second.pid): 1})
            third.send_signal(signal.SIGINT)  # it exits: one fewer, none down
            until(lambda: up() == {str(second.pid): 1})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("9464x", "'9464x' is not an address like 127.0.0.1:9464"),
        ("127.0.0.1:99999", "'127.0.0.1:99999' is not an address like 127.0.0.1:9464"),
        ("192.0.2.1:9464", "cannot listen at 192.0.2.1:9464: Cannot assign requested address"),
        ("no.such.host.invalid:9464", "cannot listen at no.such.host.invalid:9464: "),
    ],
)
def test_a_bad_address_is_one_sentence(address: str, said: str) -> None:
    """Only what is no address is wrong usage."""
    done = taskscope("metrics", "1", "--listen", address)
    assert (done.returncode, done.stdout) == (3 if said.startswith("cannot") else 2, "")
    assert done.stderr.startswith(f"taskscope metrics: {said}")
    assert done.stderr.count("\n") == 1


def test_no_such_target_is_status_3_when_it_prints_once() -> None:
    done = taskscope("metrics", "999999999")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)


INSIDE = """
import asyncio, sys
import taskscope
taskscope.start("inside", interval=0.1, metrics=sys.argv[1])
app = taskscope.metrics_app()
async def main():
    for _ in range(50):
        asyncio.create_task(asyncio.sleep(3600))
    sent = []
    async def send(message): sent.append(message)
    while True:
        sent.clear()
        await app({"type": "http", "headers": [(b"accept", b"application/openmetrics-text")]}, None, send)
        body = sent[1]["body"].decode()
        if "taskscope_tasks" in body:
            break
        await asyncio.sleep(0.1)
    print(sent[0]["status"], len(asyncio.all_tasks()), flush=True)
    print(body, flush=True)
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


def test_from_inside_it_serves_at_an_address_and_as_an_asgi_application() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", INSIDE, f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        status, tasks = child.stdout.readline().split()
        assert (status, tasks) == ("200", "51")  # the application itself adds no task
        text = "".join(iter(child.stdout.readline, "# EOF\n")) + "# EOF\n"
        assert samples(text)["taskscope_tasks", str(child.pid)] >= 50
        url = f"http://127.0.0.1:{port}/metrics"
        until(lambda: samples(get(url)).get(("taskscope_tasks", str(child.pid)), 0) >= 50)
        child.stdin.close()
        assert child.wait(20) == 0
    until(lambda: not listens(port))  # the companions have ended


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_start_refuses_an_address_that_is_taken_and_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(api.StartError, match=f"cannot listen at {address}: Address already in use"):
            api.start(metrics=address)
    assert api._agent is None


async def test_without_a_companion_the_application_says_so(tmp_path: object) -> None:
    from taskscope.asgi import MetricsApp

    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        sent.append(message)  # type: ignore[arg-type]

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0)
        return {}

    await MetricsApp(f"{tmp_path}/nobody.http")({"type": "http", "headers": []}, receive, send)
    assert sent[0]["status"] == 503


def test_a_stopped_target_is_not_up() -> None:
    with running(STANDING, "--name", "halted", "--interval", "100ms") as child, serving("halted") as url:
        pid = str(child.pid)
        until(lambda: samples(get(url)).get(("taskscope_up", pid)) == 1)
        child.send_signal(signal.SIGSTOP)
        until(lambda: samples(get(url)).get(("taskscope_up", pid)) == 0)
        child.send_signal(signal.SIGCONT)
        until(lambda: samples(get(url)).get(("taskscope_up", pid)) == 1)
