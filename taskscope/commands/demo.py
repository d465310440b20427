"""``taskscope demo``: runs a demo service as a child process and opens the app on it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.commands.app import has_terminal
from taskscope.commands.common import CommandError, UsageError, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from types import FrameType

READY_WITHIN = 20.0
"""Seconds to wait for the agent; starting takes well under one, even on a busy machine."""
WATCHED_FOR = 20.0
_PR_SET_PDEATHSIG = 1


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    from taskscope.demo import SYSTEMS

    parser.description = (
        "Starts a small service that leaks, with the agent in it, and opens the app on it.  Without a "
        "terminal, watches it for 20 s and prints a report.  Without NAME, describes the services."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(SYSTEMS))
    parser.add_argument("--fixed", action="store_true", help="run the version without the leak")
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="N",
        help="speed multiplier; 1 is real time (default: what shows the leak best)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="run it in N processes, of which one leaks"
    )
    parser.add_argument(
        "--headless", action="store_true", help="no app; print `ready PID NAME` and run until Ctrl-C"
    )


def _speed(text: str) -> float:
    from argparse import ArgumentTypeError

    with contextlib.suppress(ValueError):
        if 0 < (speed := float(text)) < 1e6:
            return speed
    raise ArgumentTypeError(f"{text!r} is not a speed multiplier like 10")


def main(options: Namespace) -> int:
    """Starts the service, shows it, and stops it."""
    from taskscope.demo import SYSTEMS

    if options.name is None:
        _list()
        return 0
    if options.workers < 1:
        raise UsageError("--workers takes a number from 1")
    if options.name not in SYSTEMS:
        raise UsageError(f"unknown demo {options.name!r}; choose from {', '.join(SYSTEMS)}")
    with _service(options) as child:
        if options.headless:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it after `&`
            print(f"ready {child.pid} {options.name}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                raise CommandError(f"{options.name} exited with status {child.wait()}")
            return 0
        if not has_terminal():
            return _watch(child.pid, children=options.workers > 1)
        from taskscope.tui.opening import run

        return run([str(child.pid)], children=options.workers > 1)


def _list() -> None:
    """Prints each service and what to look at in it."""
    from taskscope.demo import SYSTEMS

    for system in SYSTEMS.values():
        print(f"{system.name}: {system.title}\n")
        print("\n".join(f"    {line}" for line in system.look.splitlines()), end="\n\n")
    print("Start one with `taskscope demo NAME`, or its fixed twin with `taskscope demo NAME --fixed`.")


def _watch(pid: int, *, children: bool) -> int:
    """Prints the report of `taskscope watch`; returns 0, because a demo is meant to leak."""
    import asyncio

    from taskscope.commands.observe import Observation, observe
    from taskscope.commands.summary import report
    from taskscope.sources.group import observed

    async def watch() -> Observation:
        source = observed([str(pid)], children=children)
        observation = Observation(source, await source.open())
        try:
            await observe(observation, WATCHED_FOR, 1.0, lambda _: None)
        finally:
            await source.close()
        return observation

    say(f"No terminal; watching process {pid} for {WATCHED_FOR:.0f} s.")
    print(report(asyncio.run(watch())))
    return 0


@contextlib.contextmanager
def _service(options: Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the service until the context is left; yields it once its agent answers."""
    command = [sys.executable, "-m", "taskscope", "run", "--name", options.name]
    from taskscope.demo import SYSTEMS

    speed = SYSTEMS[options.name].speed if options.speed is None else options.speed
    command += ["-m", f"taskscope.demo.{options.name}", "--speed", f"{speed:g}"]
    command += ["--workers", str(options.workers)] if options.workers > 1 else []
    if options.fixed:
        command.append("--fixed")
    house = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [house, os.environ.get("PYTHONPATH")]))
    before = signal.signal(signal.SIGTERM, _leave)
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,  # keep it off the app's screen
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches only us; we stop the service
            preexec_fn=_end_with_parent,  # noqa: PLW1509  no thread has been started yet
        ) as child,
    ):
        try:
            _wait_until_ready(child, output.fileno())
            yield child
        finally:
            _end(child)
            signal.signal(signal.SIGTERM, before)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    """Has the kernel send SIGTERM to the service if we are killed (Linux; survives exec)."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(child: subprocess.Popen[bytes], output: int) -> None:
    """Returns once the agent in ``child`` answers.  Raises CommandError if it does not."""
    from taskscope.attach.presence import agent_in

    give_up = time.monotonic() + READY_WITHIN
    while agent_in(child.pid) is None:
        if child.poll() is not None:
            said = os.pread(output, 10_000, 0).decode(errors="replace").strip().splitlines() or ["no output"]
            raise CommandError(f"the service exited with status {child.returncode}: {said[-1]}")
        if time.monotonic() > give_up:
            raise CommandError(
                f"the agent in the service (pid {child.pid}) did not answer within {READY_WITHIN:.0f} s"
            )
        time.sleep(0.02)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
