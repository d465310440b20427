"""The command line: imports only the given verb's module, and reports expected failures in one sentence."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from taskscope import __version__
from taskscope.commands import VERBS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class _Parser(ArgumentParser):
    """An ArgumentParser that reports a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status: 0 to 3, or 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0].partition("=")[0] == "--theme":
        return _guarded("attach", words)
    if words[0] in VERBS:
        if words[0] == "run":  # unguarded: exceptions belong to the program
            return _call("run", words[1:])
        return _guarded(words[0], words[1:])
    if words[0].startswith("-"):
        _overview().parse_args(words)  # exits
        return 2
    return _unknown(words[0])


def _guarded(verb: str, words: list[str]) -> int:
    """Runs ``verb`` and returns its exit status; an expected failure is one sentence on stderr."""
    try:
        status = _call(verb, words)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader closed the pipe.  Python flushes stdout again at exit: send that to /dev/null.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "taskscope":
            raise
        sys.stderr.write(f"taskscope {verb}: {package} is not installed for {sys.executable}\n")
        return 3
    except Exception as error:
        from taskscope.commands.common import exit_status, say

        expected = exit_status(error)
        if expected is None:
            raise
        say(f"taskscope {verb}: {error}")
        return expected


def _unknown(verb: str) -> int:
    from difflib import get_close_matches

    meant = get_close_matches(verb, VERBS, 1)
    hint = f"did you mean {meant[0]}?" if meant else "see taskscope --help"
    sys.stderr.write(f"taskscope: unknown command {verb!r}; {hint}\n")
    return 2


def _call(verb: str, words: list[str]) -> int:
    try:
        module = _module(verb)
    except ModuleNotFoundError as error:
        if error.name != f"taskscope.commands.{verb}":
            raise
        return _unknown(verb)
    parser = _Parser(prog=f"taskscope {verb}", allow_abbrev=False)
    module.register(parser)
    status: int = module.main(parser.parse_args(words))
    return status


def _module(verb: str) -> ModuleType:
    return import_module(f"taskscope.commands.{verb}")


def _overview() -> ArgumentParser:
    """The parser of ``taskscope`` itself, which lists the verbs without importing them."""
    from importlib.util import find_spec

    present = {verb: text for verb, text in VERBS.items() if find_spec(f"taskscope.commands.{verb}")}
    parser = _Parser(
        prog="taskscope",
        allow_abbrev=False,
        usage="taskscope [--theme NAME] [VERB ...]",
        description="htop for asyncio tasks and threads.  Without a verb: pick a process and attach to it.",
        epilog="See taskscope VERB --help for the options of a verb.",
    )
    parser.add_argument("--version", action="version", version=f"taskscope {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", prog="taskscope")
    for verb, text in present.items():
        verbs.add_parser(verb, help=text, add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
