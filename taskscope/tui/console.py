"""Suspends the app into aiomonitor's own console on the target, and comes back when it is left."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from taskscope import wire
from taskscope.sources.base import Consoled

if TYPE_CHECKING:
    from textual.app import App

    from taskscope.tui.context import Context


async def enter(app: App[Any], context: Context) -> None:
    """Opens the console and waits until it is left; says in the status line why it cannot be had."""
    source = context.source
    if not isinstance(source, Consoled):
        context.error("A saved state has no console: it needs a running process.")
        return
    context.status("Looking for aiomonitor's console of the target …")
    where = await context.ask(source.console())
    if where is None:
        return
    host, port = where
    if importlib.util.find_spec("aiomonitor") is None:
        context.error(f"aiomonitor is not installed here; its console listens at {host}:{port} (telnet).")
        return
    try:
        problem = _run(app, command(host, port))
    except SuspendNotSupported:
        context.error("The app cannot hand over this terminal to a console.")
        return
    if problem:
        context.error(
            f"No console at {host}:{port}, which is where the target has it (in a container that is "
            f"another place than here): {problem}"
        )
    else:
        context.status(f"Back from the console at {host}:{port}.")


def _run(app: App[Any], words: list[str]) -> str:
    """Gives the terminal to the console until it ends (the app's loop stands still); says what failed."""
    with app.suspend():
        done = subprocess.run(words, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.strip().splitlines() or [f"its client ended with status {done.returncode}"]
    return wire.clean_text(lines[-1]) if done.returncode else ""


def command(host: str, port: int) -> list[str]:
    """aiomonitor's own client."""
    return [sys.executable, "-m", "aiomonitor.cli", "-H", host, "-p", str(port)]
