"""Attaches to and detaches from a program under load, again and again, and looks for any harm done.

    python -m tests.bench.attach_cycles [--cycles 500] [--version 3.13] [--program "asyncio echo"]

A client sends lines to an echo server all the while and counts what fails or is late.  Versions are those
that ``tests.pythons`` finds; uvloop must be importable in an interpreter of ``$TASKSCOPE_VENVS/VERSION`` for
the uvloop rows.
"""

from __future__ import annotations

import argparse
import math
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from taskscope.attach import attempt, inject, injection
from taskscope.attach.errors import AttachError
from taskscope.attach.target import examine
from tests import pythons, targets
from tests.agent_client import AgentClient
from tests.patience import FACTOR, settled

PROGRAMS = ("asyncio echo", "echo with threads", "uvloop echo")


@dataclass
class Load:
    """One client of an echo server, in a thread."""

    port: int
    stop: threading.Event = field(default_factory=threading.Event)
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    worst: float = 0.0

    def run(self) -> None:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port)) as connection,
                connection.makefile("rb") as lines,
            ):
                connection.settimeout(30 * FACTOR)
                while not self.stop.is_set():
                    text = b"%d\n" % self.answers
                    begin = time.monotonic()
                    connection.sendall(text)
                    if lines.readline() not in (text, b"\0" * len(text)):
                        self.failures.append(f"answer {self.answers} is wrong")
                        return
                    self.worst = max(self.worst, time.monotonic() - begin)
                    self.answers += 1
                    time.sleep(0.001)
        except OSError as error:
            self.failures.append(str(error))


@dataclass(frozen=True)
class Usage:
    threads: int
    descriptors: int
    mappings: int
    megabytes: float

    @classmethod
    def of(cls, program: targets.Program) -> Usage:
        return cls(program.threads(), program.descriptors(), program.mappings(), program.rss() / 1e6)


@dataclass
class Result:
    cycles: int = 0
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    worst: float = 0.0
    stops: list[float] = field(default_factory=list)
    after_first: Usage | None = None
    after_last: Usage | None = None

    def __str__(self) -> str:
        assert self.after_first is not None
        assert self.after_last is not None
        first, last = self.after_first, self.after_last
        stops = sorted(self.stops) or [0.0]
        return (
            f"{self.cycles} cycles, {self.answers} answers, {len(self.failures)} failures, "
            f"worst answer {self.worst * 1000:.0f} ms, "
            f"stops median {stops[len(stops) // 2] * 1000:.1f} ms worst {stops[-1] * 1000:.1f} ms, "
            f"threads {first.threads}->{last.threads}, descriptors {first.descriptors}->{last.descriptors}, "
            f"mappings {first.mappings}->{last.mappings}, {first.megabytes:.1f}->{last.megabytes:.1f} MB"
        )


def measure(
    python: Path, program: str, cycles: int, seconds: float = math.inf, *, bare: bool = False
) -> Result:
    """Runs the cycles; usage is compared from when a tenth of them has warmed everything up."""
    result = Result()
    deadline = time.monotonic() + seconds

    def told(text: str) -> None:
        words = text.split()
        if "was stopped for" in text:
            result.stops.append(float(words[words.index("for") + 1]) / 1000)

    with targets.running(python, program) as target:
        load = Load(target.port)
        client = threading.Thread(target=load.run)
        client.start()
        try:
            for cycle in range(cycles):
                if bare:
                    result.stops.append(_enter(target.pid))
                else:
                    AgentClient(inject.ensure_agent(target.pid, progress=told).path).detach()
                result.cycles += 1
                if cycle in (0, cycles // 10):
                    result.after_first = Usage.of(target)
                if load.failures or not target.alive or time.monotonic() > deadline:
                    break
        except AttachError as error:
            result.failures.append(str(error))
        finally:
            load.stop.set()
            client.join()
        time.sleep(0.2)  # the last thread may still be leaving
        if target.alive:
            result.after_last = Usage.of(target)
        else:
            result.failures.append(f"the program ended with {target.child.returncode}")
    result.answers, result.worst = load.answers, load.worst
    result.failures += load.failures
    return result


def _enter(pid: int) -> float:
    """Brings a thread in that does nothing; how long a thread of the program was stopped for that."""
    done = injection.inject(examine(pid), attempt.TAKEN_BACK, 5 * FACTOR, lambda: True)
    os.close(done.reply)
    settled(lambda: attempt.waiting(pid), None)
    return done.stopped


def interpreter(version: str, program: str) -> Path | None:
    """The interpreter for a row; None: not here, or without the package that the program needs."""
    package = next((each for each in ("uvloop", "fastapi") if each in program), "sys")
    own = Path(os.environ.get("TASKSCOPE_VENVS", "/nowhere"), version, "bin", "python")
    for path in (own, pythons.installed().get(version)):
        if path is not None and path.exists():
            tried = subprocess.run([path, "-c", f"import {package}"], capture_output=True, check=False)
            if tried.returncode == 0:
                return path
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--bare", action="store_true", help="without an agent: it is only entered")
    parser.add_argument("--seconds", type=float, default=math.inf, help="for each, at most")
    parser.add_argument("--version", choices=pythons.SUPPORTED, action="append")
    parser.add_argument("--program", choices=PROGRAMS, action="append")
    options = parser.parse_args()
    failed = False
    for version in options.version or pythons.SUPPORTED:
        for program in options.program or PROGRAMS:
            python = interpreter(version, program)
            if python is None:
                print(f"{version:5} {program:20} not here")
                continue
            result = measure(python, program, options.cycles, options.seconds, bare=options.bare)
            failed = failed or bool(result.failures)
            print(
                f"{version:5} {program:20} {result}",
                *result.failures,
                sep="\n    " if result.failures else "",
            )
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
