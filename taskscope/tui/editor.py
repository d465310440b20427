"""Opens the user's own editor at a line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

if TYPE_CHECKING:
    from textual.app import App

    from taskscope.model import Frame

_COLON = {"code": ["-g", "-w"], "codium": ["-g", "-w"], "subl": ["-w"], "zed": ["-w"], "hx": [], "helix": []}
"""Editors that take ``file:line``, with the options that make them wait; all others take ``+line file``."""


class EditorError(Exception):
    """The editor was not opened or failed; the message is for the user."""


def edit(app: App[Any], frame: Frame, elsewhere: str = "") -> None:
    """Opens ``frame`` in the editor and returns when it exits.  Raises EditorError.

    ``elsewhere``: where the file is, if not here: a file of that name here is another one.
    """
    if elsewhere:
        raise EditorError(f"{frame.file} is {elsewhere}, and the editor opens files of this machine")
    command = _command(frame)
    status: int | OSError
    try:
        with app.suspend():
            status = _run(command)
    except SuspendNotSupported:
        raise EditorError("the app cannot hand this terminal over to an editor") from None
    if isinstance(status, OSError):
        raise EditorError(f"cannot start {command[0]}: {status.strerror}; set $EDITOR")
    if status:
        raise EditorError(f"{command[0]} exited with status {status}")


def _run(command: list[str]) -> int | OSError:
    """Returns the exit status or the error: an exception inside ``suspend`` would leave the app suspended."""
    try:
        return subprocess.run(command, check=False).returncode
    except OSError as problem:
        return problem


def _command(frame: Frame) -> list[str]:
    path = Path(frame.file)
    if not path.is_absolute() or not path.is_file():
        raise EditorError(f"{frame.file} is not on this machine")
    chosen = (
        os.environ.get("VISUAL") or os.environ.get("EDITOR") or shutil.which("vi") or shutil.which("nano")
    )
    if not chosen:
        raise EditorError("no editor found; set $VISUAL or $EDITOR")
    words = shlex.split(chosen)
    options = _COLON.get(Path(words[0]).name)
    if options is not None:
        return [*words, *options, f"{frame.file}:{frame.line}"]
    return [*words, f"+{frame.line}", frame.file]
