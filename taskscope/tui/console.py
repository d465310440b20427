"""Suspends the app into aiomonitor's own console on the target, and comes back when it is left."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from taskscope import wire
from taskscope.model import requests
from taskscope.sources.base import SourceError
from taskscope.tui.confirm import ConfirmScreen

if TYPE_CHECKING:
    from textual.app import App

    from taskscope.tui.context import Context


OPENS = """\
None runs in {name} (pid {pid}) yet.  This starts aiomonitor in it:

· two TCP ports on 127.0.0.1, for the console and for a web page
· no authentication: every user of that machine can connect, cancel tasks and run Python in the process
· about {memory} more memory, for aiomonitor, aiohttp and their thread; the modules stay loaded

The ports are closed when you leave the console, and when the app ends."""

MEMORY = "33 MB"
"""Measured on CPython 3.11 with aiomonitor 0.7.1."""


async def enter(app: App[Any], context: Context) -> None:
    """Asks before one is opened, waits until it is left, and closes what was opened for it."""
    source = context.source
    context.status("Looking for aiomonitor's console of the target …")
    try:
        where, opened = await source.ask(requests.Console()), False
        if where.host is None:
            if not await app.push_screen_wait(_question(context)):
                context.status("No console was opened.")
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
        context.error(f"aiomonitor is not installed here; its console listens at {host}:{port} (telnet).")
        return
    try:
        problem = _run(
            app, command(host, port), f"Connecting to aiomonitor at {host}:{port} …  exit leaves it."
        )
    except SuspendNotSupported:
        context.error("The app cannot hand over this terminal to a console.")
        return
    if problem:
        context.error(
            f"aiomonitor's client failed at {host}:{port} (the target's own address; that of a container "
            f"is not reached from here): {problem}"
        )
    else:
        context.status(f"Back from the console at {host}:{port}.")


def _run(app: App[Any], words: list[str], hint: str) -> str:
    """Gives the terminal to the console until it ends (the app's loop stands still); says what failed."""
    with app.suspend():
        print(hint, flush=True)  # its client takes a second to start, and says nothing until it is connected
        done = subprocess.run(words, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.strip().splitlines() or [f"its client ended with status {done.returncode}"]
    return wire.clean_text(lines[-1]) if done.returncode else ""


def command(host: str, port: int) -> list[str]:
    """aiomonitor's own client."""
    return [sys.executable, "-m", "aiomonitor.cli", "-H", host, "-p", str(port)]
