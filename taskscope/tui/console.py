"""Suspends the app, runs aiomonitor's console on the target, and resumes when the user leaves it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from taskscope import wire
from taskscope.model import requests
from taskscope.sources.base import SourceError
from taskscope.sources.live import LiveSource
from taskscope.sources.way import Way
from taskscope.tui.confirm import ConfirmScreen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import App

    from taskscope.tui.context import Context


OPENS = """\
No console runs in {name} (pid {pid}).  This starts aiomonitor in it:

· two TCP ports on 127.0.0.1, for the console and a web page
· no authentication: every user of that machine can connect, cancel tasks and run Python in the process
· about {memory} more memory, for aiomonitor, aiohttp and their thread; the modules stay loaded

The ports close when you leave the console or the app."""

MEMORY = "33 MB"
"""Measured with CPython 3.11 and aiomonitor 0.7.1."""


async def enter(app: App[Any], context: Context) -> None:
    """Runs a console; if none is open, asks before opening one and closes it afterwards."""
    source = context.source
    if isinstance(source, LiveSource) and isinstance(source.reach, Way):
        context.error(f"No console: it would listen {context.elsewhere}, and --via carries no other port")
        return
    context.status("Looking for a console in the target …")
    try:
        where, opened = await source.ask(requests.Console()), False
        if where.host is None:
            if not await app.push_screen_wait(_question(context)):
                context.status("No console opened.")
                return
            where, opened = await source.ask(requests.Console(start=True)), True
    except SourceError as problem:
        context.error(str(problem))
        return
    try:
        if where.host is not None and where.port is not None:
            _visit(app, context, where.host, where.port)
    finally:
        if opened:
            await context.ask(source.ask(requests.LeaveConsole()))


def _question(context: Context) -> ConfirmScreen:
    assert context.store.hello is not None
    process = context.store.hello.process
    text = OPENS.format(name=process.name, pid=process.pid, memory=MEMORY)
    return ConfirmScreen("Open a console in the target?", text, "opens it")


def _visit(app: App[Any], context: Context, host: str, port: int) -> None:
    if importlib.util.find_spec("aiomonitor") is None:
        context.error(f"aiomonitor is not installed here; reach its console by telnet at {host}:{port}.")
        return
    try:
        problem = _run(
            app, command(host, port), f"Connecting to aiomonitor at {host}:{port} …  Type exit to leave."
        )
    except SuspendNotSupported:
        context.error("The app cannot hand this terminal over to a console.")
        return
    if problem:
        context.error(
            f"aiomonitor's client failed at {host}:{port} (an address in the target's network; a container's "
            f"may not be reachable from here): {problem}"
        )
    else:
        context.status(f"Left the console at {host}:{port}.")


def _run(app: App[Any], words: list[str], hint: str) -> str:
    """Runs the client in the terminal, which blocks the app's loop; returns the error, or ""."""
    with app.suspend(), _without_end_of_file():
        print(hint, flush=True)  # the client takes a second to start and prints nothing until it is connected
        done = subprocess.run(words, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.strip().splitlines() or [f"it exited with status {done.returncode}"]
    return wire.clean_text(lines[-1]) if done.returncode else ""


@contextmanager
def _without_end_of_file() -> Iterator[None]:
    """Turns Ctrl-D into an ordinary key: as end of file it crashes the client while that starts."""
    terminal = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
    try:
        before = termios.tcgetattr(terminal)
    except (OSError, ValueError, termios.error):  # not a terminal
        yield
        return
    changed = [*before[:6], [*before[6]]]
    changed[6][termios.VEOF] = b"\0"
    termios.tcsetattr(terminal, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def command(host: str, port: int) -> list[str]:
    """The command that runs aiomonitor's own client."""
    return [sys.executable, "-m", "aiomonitor.cli", "-H", host, "-p", str(port)]
