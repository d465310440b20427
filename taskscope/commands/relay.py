"""``taskscope relay``: the far end of ``--via``; with ``--bundle``, writes one file that is all of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from taskscope.commands.common import CommandError, UsageError, say, written

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Serves `taskscope … --via COMMAND` on stdin and stdout: finds processes of this machine, attaches "
        "to them and carries the connections.  Listens nowhere, and ends with its input; an agent that it "
        "has injected leaves then, after 30 seconds without a client."
    )
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        help="write FILE.pyz (- for stdout), which any Python 3.11 or later runs as a relay, with nothing "
        "installed: --via 'ssh HOST python3 FILE.pyz'",
    )


def main(options: Namespace) -> int:
    """Serves until stdin ends, or writes the bundle."""
    if options.bundle is not None:
        _bundle(options.bundle)
        return 0
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UsageError("relay speaks a protocol, not to a terminal: use `taskscope attach --via COMMAND`")
    import asyncio

    from taskscope.mux import MuxError
    from taskscope.sources.relay import serve
    from taskscope.wire import WireError

    try:
        asyncio.run(serve())
    except (WireError, MuxError) as error:
        raise CommandError(f"the near end misbehaves: {error}") from None
    except ConnectionError:
        pass  # it has gone
    return 0


def _bundle(path: str) -> None:
    from pathlib import Path

    from taskscope.export.bundle import bundle
    from taskscope.export.whole import write_whole

    if path == "-":
        sys.stdout.buffer.write(bundle())
        return
    if not path.endswith(".pyz"):
        raise UsageError(f"a bundle is named FILE.pyz, by which --via knows it, not {path}")
    with written(path):
        write_whole(Path(path), bundle())
    say(f"{path}: copy it to where Python 3.11 or later is; --via 'ssh HOST python3 {Path(path).name}'")
