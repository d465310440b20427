"""``taskscope serve``: the app in a browser, on this machine's loopback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from taskscope.commands.common import CommandError, add_targets, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Serves the app to browsers of this machine, or behind a port-forward to it, and prints the address "
        "to open, which holds a token.  Every page is an app of its own.  Needs the package textual-serve."
    )
    add_targets(parser)
    parser.add_argument("--port", type=int, default=8123, metavar="8123", help="port; 0: any that is free")


def main(options: Namespace) -> int:
    """Serves until Ctrl-C."""
    import shlex

    from taskscope.companion import AddressError, listening
    from taskscope.tui.browser import serve

    try:
        listener = listening(f"127.0.0.1:{options.port}")
    except AddressError as error:
        raise CommandError(str(error)) from None
    words = [sys.executable, "-m", "taskscope", "attach"]
    words += ["--children"] if options.children else []
    words += ["--via", options.via] if options.via else []
    serve(
        shlex.join([*words, "--", *options.targets]),
        listener,
        f"TaskScope: {' '.join(options.targets)}",
        _tell,
    )
    return 0


def _tell(url: str) -> None:
    print(url, flush=True)
    say("Open this address in a browser; Ctrl-C ends.")
