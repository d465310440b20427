"""A service in trouble: what the agent did, what the clients said, and what the service noticed.

``python -m tests.attack.bad_moments [WORD…]`` prints the table (of the moments with a WORD in their name);
``test_bad_moments.py`` holds each row to it.  Service, agent and clients are real processes, the moments too.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope import wire
from taskscope.attach.presence import agent_in
from tests.integration.children import REPO, wait_for_agent
from tests.pythons import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(__file__).with_name("moment_service.py")
NOBODY = 65534


class Service:
    """The service; it obeys words on its standard input."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        self.pid = child.pid

    def tell(self, words: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(words + "\n")
        self.child.stdin.flush()

    def hear(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def ask(self, words: str) -> str:
        """What it prints until it is done."""
        self.tell(words)
        said = self.hear()
        if not said.startswith("done"):
            assert self.hear() == f"done {words.partition(' ')[0]}"
        return said


@dataclass(frozen=True, slots=True)
class Said:
    """Result of one of our commands: exit status, last line on either stream, seconds taken."""

    status: int
    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Felt:
    """What the service noticed: heartbeats, the latest of them in seconds, failures of its own calls."""

    beats: int
    worst: float
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ``snapshot`` and ``watch`` said in the moment, and ``snapshot`` and ``detach`` after it.

    ``agent``: what it tells of itself afterwards.  ``felt`` is None where the service is no more.
    """

    during: Said
    watch: Said
    after: Said
    agent: str
    detach: Said
    felt: Felt | None


@dataclass(frozen=True, slots=True)
class Moment:
    """``begin`` brings the service into it, ``end`` out of it; ``words`` go on its command line.

    ``prepared``: the agent is there from the first line; else the clients have to bring it in.  ``full``:
    there is no room for the files that the clients write.
    """

    name: str
    begin: Callable[[Service, ExitStack], object] = lambda service, stack: None
    end: Callable[[Service], object] = lambda service: None
    prepared: bool = True
    full: bool = False
    words: tuple[str, ...] = ()


@contextmanager
def served(moment: Moment, stderr: Path) -> Iterator[Service]:
    """The service in its own process, with few descriptors, so that they are soon used up."""
    prepared = ["-m", "taskscope", "run", "--name", "service"] if moment.prepared else []
    command = ["prlimit", "--nofile=256:256", for_everybody(), *prepared, str(PROGRAM), *moment.words]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with (
        stderr.open("w") as errors,
        subprocess.Popen(
            command, stdin=-1, stdout=-1, stderr=errors, text=True, env=environment
        ) as child,
    ):  # fmt: skip
        try:
            if moment.prepared:
                wait_for_agent(child)
            service = Service(child)
            assert service.hear() == "ready"
            yield service
        finally:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGCONT)
            child.kill()
            with suppress(BrokenPipeError):
                child.communicate()


@functools.cache
def for_everybody() -> str:
    """An interpreter that any user may run: in one moment the service gives up root."""
    for path in (Path(sys.executable).resolve(), *installed().values()):
        if all(folder.stat().st_mode & 0o001 for folder in path.parents):
            return str(path)
    pytest.skip("no Python here that any user may run")


def run(*words: str, timeout: float = 60) -> Said:
    """Runs one of our commands."""
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "taskscope", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Said(-1, f"no word in {timeout:g} s", time.monotonic() - begun)
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return Said(done.returncode, lines[-1] if lines else "", time.monotonic() - begun)


def outcome(moment: Moment, folder: Path) -> Outcome:
    """Runs one moment; files go into ``folder``."""
    with served(moment, folder / "stderr") as service, ExitStack() as stack:
        pid = str(service.pid)
        moment.begin(service, stack)
        place = _full(stack) if moment.full else folder
        during = run("snapshot", pid, "-o", str(place / "during.json"))
        watch = run("watch", pid, "--for", "4s")
        moment.end(service)
        after = run("snapshot", pid, "-o", str(folder / "after.json"))
        agent = _says(folder / "after.json") if after.status == 0 else "does not answer"
        detach = run("detach", pid)
        return Outcome(during, watch, after, agent, detach, _felt(service, folder / "stderr"))


def _full(stack: ExitStack) -> Path:
    """A folder on a full disk."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", folder], check=True)
    stack.callback(lambda: subprocess.run(["umount", folder], check=True))
    with suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return folder


def _says(file: Path) -> str:
    """What the agent reports about itself in a snapshot."""
    sample = json.loads(file.read_text())["sample"]
    lost = [f"{what}: {count}" for what, count in dict(sample.get("dropped", {})).items()]
    return "; ".join(["answers", *sample.get("disarmed", ()), *lost])


def _felt(service: Service, stderr: Path) -> Felt | None:
    if service.child.poll() is not None or not _is_python(service.pid):
        return None
    report = json.loads(service.ask("report"))
    errors = (*report["errors"], *stderr.read_text().splitlines())
    return Felt(report["beats"], report["worst"], errors)


def _is_python(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().startswith("python")


# -- the moments -------------------------------------------------------------------------------------


def _mute_clients(service: Service, stack: ExitStack) -> None:
    """As many connections as allowed, which greet, request a lot and never read."""
    point = agent_in(service.pid)
    assert point is not None
    for _ in range(16):
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(point.path)
        client.setblocking(False)
        with suppress(BlockingIOError, BrokenPipeError):
            client.send(wire.request(0, "hello", {"protocol": wire.PROTOCOL, "client": "mute"}))
            client.send(wire.request(1, "subscribe", {}))
            for id in range(2, 30):
                client.send(wire.request(id, "snapshot", {}))


def _watchers(service: Service, stack: ExitStack) -> None:
    for _ in range(10):
        watching = subprocess.Popen(
            [sys.executable, "-m", "taskscope", "watch", str(service.pid), "--for", "60s"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(watching.wait)
        stack.callback(watching.kill)


def _stop(service: Service, stack: ExitStack) -> None:
    os.kill(service.pid, signal.SIGSTOP)


def _go_on(service: Service) -> None:
    os.kill(service.pid, signal.SIGCONT)


def _after(*words: str) -> Callable[[Service, ExitStack], object]:
    """Makes the service do these, one after another."""
    return lambda service, stack: [service.ask(each) for each in words]


def _meanwhile(words: str) -> Callable[[Service, ExitStack], object]:
    """The service begins this and is heard of again at the end."""
    return lambda service, stack: service.tell(words)


def _relieved(service: Service) -> None:
    service.ask("relieve")


MOMENTS = (
    Moment("no free descriptors", _after("descriptors"), _relieved),
    Moment("no free descriptors, no agent yet", _after("descriptors"), _relieved, prepared=False),
    Moment("memory used up", _after("memory"), _relieved),
    Moment("memory used up, no agent yet", _after("memory"), _relieved, prepared=False),
    Moment(
        "no more threads, no agent yet", _after(f"descend {NOBODY}", "threads"), _relieved, prepared=False
    ),
    Moment("full disk", full=True),
    Moment("stopped", _stop, _go_on),
    Moment("stopped, no agent yet", _stop, _go_on, prepared=False),
    Moment("runs another program (exec)", _meanwhile("become 60")),
    Moment("forked a child", _after("fork 30")),
    Moment("gave up root (setuid)", _after(f"descend {NOBODY}")),
    Moment("closed all descriptors", words=("close",)),
    Moment("loop blocked", _meanwhile("block 12"), Service.hear),
    Moment("GIL held", _meanwhile("hold 12"), Service.hear),
    Moment("GIL held, no agent yet", _meanwhile("hold 12"), Service.hear, prepared=False),
    Moment("ten clients watch", _watchers),
    Moment("16 clients that never read", _mute_clients),
)


def main() -> None:
    """Prints the table."""
    print("| moment | the agent afterwards | `snapshot` meanwhile | `watch` meanwhile | the service |")
    print("|---|---|---|---|---|")
    for moment in MOMENTS:
        if sys.argv[1:] and not any(word in moment.name for word in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = outcome(moment, Path(folder))
        cells = (moment.name, found.agent, _said(found.during), _said(found.watch), _felt_words(found.felt))
        print(f"| {' | '.join(cells)} |", flush=True)


def _said(said: Said) -> str:
    return f"{said.status} after {said.seconds:.1f} s: {said.words}"


def _felt_words(felt: Felt | None) -> str:
    if felt is None:
        return "is no more"
    return f"{felt.beats} heartbeats, the latest {1000 * felt.worst:.1f} ms late, {len(felt.errors)} errors"


if __name__ == "__main__":
    main()
