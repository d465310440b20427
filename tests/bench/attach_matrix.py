"""Attaches to every kind of target under every Python version and prints what came of it.

    python -m tests.bench.attach_matrix [--version 3.13] [--program "fastapi"]

For each: the way in, milliseconds from the request to the first data (target examined, agent brought in,
first sample read), and the longest time that a thread of the target stood still.  Interpreters are those that
``tests.pythons`` finds; uvloop and fastapi must be importable in ``$TASKSCOPE_VENVS/VERSION/bin/python``.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.attach import inject
from taskscope.attach.errors import AttachError
from tests import pythons, targets
from tests.agent_client import AgentClient
from tests.bench.attach_cycles import interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACES = {
    "in a container": targets.container(),
    "in a chroot": targets.container(targets.CHROOT, "chroot ."),
}
ROWS = (*targets.PROGRAMS, *PLACES)


@dataclass(frozen=True)
class Cell:
    """One row under one version.  ``way`` is empty if it failed, and then ``error`` says why."""

    way: str
    first_data: float
    stopped: float
    error: str = ""

    def __str__(self) -> str:
        if not self.way:
            return self.error
        return f"{self.way} {self.first_data * 1000:.0f} ms, {self.stopped * 1000:.1f} ms"


def attach(python: Path, row: str) -> Cell:
    """Attaches, reads the first sample, detaches, and looks whether the target lives."""
    before = PLACES.get(row, ())
    said: list[str] = []
    with targets.running(python, "asyncio idle" if before else row, before=before) as target:
        try:
            with load(target, row) as failures:
                began = time.monotonic()
                point = inject.ensure_agent(target.pid, progress=said.append)
                client = AgentClient(point.path)
                client.sample()
                took = time.monotonic() - began
                client.detach()
                if failures or not target.alive:
                    return Cell("", 0, 0, f"harmed: {failures or target.child.returncode}")
        except AttachError as error:
            return Cell("", 0, 0, str(error))
    words = [text.split() for text in said if "was stopped for" in text]
    stopped = max((float(line[line.index("for") + 1]) / 1000 for line in words), default=0.0)
    return Cell("injected", took, stopped)


@contextmanager
def load(target: targets.Program, row: str) -> Iterator[list[str]]:
    """Requests to a web server, one after the other; the list gets those that failed."""
    failures: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)
        try:
            while not stop.is_set():
                connection.request("GET", "/")
                answer = connection.getresponse()
                if answer.status != 200 or answer.read() != b'{"hello":"world"}':
                    failures.append(f"status {answer.status}")
        except OSError as error:
            failures.append(str(error))
        finally:
            connection.close()

    clients = [threading.Thread(target=ask) for _ in range(4 if row == "fastapi" else 0)]
    for client in clients:
        client.start()
    try:
        yield failures
    finally:
        stop.set()
        for client in clients:
            client.join()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", choices=pythons.SUPPORTED, action="append")
    parser.add_argument("--program", choices=ROWS, action="append")
    options = parser.parse_args()
    versions = options.version or pythons.SUPPORTED
    print(f"{'':18}" + "".join(f"{version:32}" for version in versions))
    cells: list[Cell] = []
    for row in options.program or ROWS:
        print(f"{row:18}", end="", flush=True)
        for version in versions:
            python = interpreter(version, row)
            cell = attach(python, row) if python is not None else None
            print(f"{cell or 'not here'!s:32}", end="", flush=True)
            cells += [cell] if cell is not None else []
        print()
    good = [cell for cell in cells if cell.way]
    print(
        f"{len(good)} of {len(cells)} attached; first data after "
        f"{statistics.median(cell.first_data for cell in good) * 1000:.0f} ms (median), "
        f"longest stop {max(cell.stopped for cell in good) * 1000:.1f} ms"
    )
    return 0 if len(good) == len(cells) else 1


if __name__ == "__main__":
    sys.exit(main())
