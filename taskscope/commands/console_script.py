"""A console script on PATH, like gunicorn's, as the command of ``python`` that the kernel makes of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from shutil import which

from taskscope.commands.common import CommandError, UsageError

_SH = ("/bin/sh", "/usr/bin/sh")
"""How a script starts whose interpreter's path is long or holds blanks: its next line execs that."""

LONGEST = 4096
"""Bytes read of a script."""


def found(name: str) -> tuple[str, list[str]] | None:
    """The interpreter, and its arguments from its own name to the script; None: ``name`` is not on PATH.

    Raises UsageError if it is no Python.
    """
    path = which(name) if "/" not in name else None
    if path is None:
        return None
    words = _interpreter(path)
    if not words:
        raise UsageError(f"{path} is no Python program: run starts scripts, modules and console scripts")
    python = which(words[0])
    if python is None:
        raise CommandError(f"{path} wants {words[0]}, which is not there")
    for word in words[1:]:
        if word.startswith("-") and set(word) & set("IES"):
            raise UsageError(
                f"{path} runs python with {word}, which keeps the agent out: attach to it instead"
            )
    return python, [*words, path]


def _interpreter(path: str) -> list[str]:
    """The words of its first line that name Python; none if it is something else."""
    try:
        with Path(path).open("rb") as file:
            lines = file.read(LONGEST).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    if not lines or not lines[0].startswith("#!"):
        return []
    words = lines[0][2:].split()
    if words[:1] and words[0] in _SH and len(lines) > 1 and lines[1].startswith("'''exec' "):
        words = [each for each in shlex.split(lines[1].removeprefix("'''exec' ")) if each not in ("$0", "$@")]
    if words[:1] and Path(words[0]).name == "env":
        words = [each for each in words[1:] if each != "-S"]
    name = Path(words[0]).name if words else ""
    return words if name.startswith(("python", "pypy")) else []
