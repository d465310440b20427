"""``taskscope demo``: one of the demonstration systems as a real child process, with the app on it."""

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

from taskscope.commands.common import Failure, UsageError, has_terminal, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from types import FrameType

READY_WITHIN = 20.0
"""Seconds; a start takes well under one, even when the machine is busy."""
WATCHED_FOR = 20.0
_PR_SET_PDEATHSIG = 1


def register(parser: ArgumentParser) -> None:
    """Sets the parser's description and adds the verb's arguments."""
    from taskscope.demo import SYSTEMS

    parser.description = (
        "Starts a small leaking service with the agent in it, and the app on it.  Without a terminal: "
        "watches it for 20 s and prints what was seen.  Without a name: says what there is to look at."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(SYSTEMS))
    parser.add_argument("--fixed", action="store_true", help="the version without the leak")
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="N",
        help="speed multiplier; 1: the true rates (default: the rate that shows it best)",
    )
    parser.add_argument(
        "--headless", action="store_true", help="no app: prints `ready PID NAME` and runs until Ctrl-C"
    )


def _speed(text: str) -> float:
    from argparse import ArgumentTypeError

    with contextlib.suppress(ValueError):
        if 0 < (speed := float(text)) < 1e6:
            return speed
    raise ArgumentTypeError(f"{text!r} is not a number of times faster, like 10")


def main(options: Namespace) -> int:
    """Starts the service, shows it, and ends it."""
    from taskscope.demo import SYSTEMS

    if options.name is None:
        _list()
        return 0
    if options.name not in SYSTEMS:
        raise UsageError(f"there is no system {options.name!r}; there are {', '.join(SYSTEMS)}")
    with _service(options) as child:
        if options.headless:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
            print(f"ready {child.pid} {options.name}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                raise Failure(f"{options.name} has ended by itself, with status {child.wait()}")
            return 0
        if not has_terminal():
            return _watch(child.pid)
        from taskscope.tui.app import run

        return run(str(child.pid))


def _list() -> None:
    """What there is, and what to look at in each."""
    from taskscope.demo import SYSTEMS

    for system in SYSTEMS.values():
        print(f"{system.name}: {system.title}\n")
        print("\n".join(f"    {line}" for line in system.look.splitlines()), end="\n\n")
    print("Start one with `taskscope demo NAME`, or its healthy twin with `taskscope demo NAME --fixed`.")


def _watch(pid: int) -> int:
    """Prints what `taskscope watch` would; a leak is what a demo is for, so that is no failure."""
    import asyncio

    from taskscope.commands.observe import Observation, observe
    from taskscope.commands.report import report
    from taskscope.sources.resolve import resolve

    async def watch() -> Observation:
        source = resolve(str(pid))
        observation = Observation(source, await source.open())
        try:
            await observe(observation, WATCHED_FOR, 1.0, lambda _: None)
        finally:
            await source.close()
        return observation

    say(f"no terminal here: watching process {pid} for {WATCHED_FOR:.0f} s")
    print(report(asyncio.run(watch())))
    return 0


@contextlib.contextmanager
def _service(options: Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """The running service, ready to be attached to; ended on the way out, however that is."""
    command = [sys.executable, "-m", "taskscope", "run", "--name", options.name]
    from taskscope.demo import SYSTEMS

    speed = SYSTEMS[options.name].speed if options.speed is None else options.speed
    command += ["-m", f"taskscope.demo.{options.name}", "--speed", f"{speed:g}"]
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
            stdout=output,  # not into the app's screen
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for us; we end it
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
    """If we are killed outright, the service gets SIGTERM from the kernel (Linux; survives exec)."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(child: subprocess.Popen[bytes], output: int) -> None:
    """Returns when the agent in ``child`` answers."""
    from taskscope.attach.presence import agent_in

    give_up = time.monotonic() + READY_WITHIN
    while agent_in(child.pid) is None:
        if child.poll() is not None:
            said = os.pread(output, 10_000, 0).decode(errors="replace").strip().splitlines() or [
                "nothing said"
            ]
            raise Failure(f"the service ended at once, with status {child.returncode}: {said[-1]}")
        if time.monotonic() > give_up:
            raise Failure(
                f"the agent in the service (pid {child.pid}) did not answer in {READY_WITHIN:.0f} s"
            )
        time.sleep(0.02)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
