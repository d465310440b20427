"""Shared by the verbs that open the app: its terminal, its theme, and what it compares with."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from taskscope.commands.common import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.model.changes import Side


def has_terminal() -> bool:
    """Whether stdin and stdout are a terminal, which the app needs, or a browser takes its place."""
    return "TEXTUAL_DRIVER" in os.environ or (sys.stdin.isatty() and sys.stdout.isatty())


def needs_terminal(verb: str) -> None:
    """Raises UsageError if there is no terminal to draw the app on."""
    if not has_terminal():
        raise UsageError(f"{verb} needs a terminal; `taskscope watch` and `taskscope snapshot` do not")


def add_theme(parser: ArgumentParser) -> None:
    """Adds ``--theme``, for the verbs that open the app."""
    parser.add_argument(
        "--theme", type=_theme, default="dark", metavar="NAME", help="dark, light, or one of Textual's themes"
    )


def add_baseline(parser: ArgumentParser) -> None:
    """Adds ``--baseline``: D in the app shows what changed since."""
    parser.add_argument("--baseline", metavar="FILE", help="snapshot or recording to compare with (key D)")


def baseline_of(options: Namespace) -> tuple[Side, str] | None:
    """What to compare with, and its name.  Raises CommandError, SourceError."""
    if options.baseline is None:
        return None
    from pathlib import PurePath

    from taskscope.commands.diff import read_baseline

    return read_baseline(options.baseline), PurePath(options.baseline).name


def _theme(name: str) -> str:
    if name not in ("dark", "light"):
        from taskscope.tui.theme import names  # costs half a second: only if needed

        if name not in names():
            raise ArgumentTypeError(f"unknown theme {name!r}; choose from {', '.join(names())}")
    return name
