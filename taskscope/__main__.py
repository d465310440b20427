"""The command line: imports only the given verb's module, and reports expected failures in one sentence.

Everything is imported inside the functions, where Ctrl-C is caught.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as `typing` has it, which takes 10 ms to import
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence
    from types import ModuleType


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status: 0 to 3, or 130 after Ctrl-C."""
    from taskscope.interpreter import stranger

    if reason := stranger():
        sys.stderr.write(f"taskscope: {reason}\n")
        return 3
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:  # unguarded: exceptions belong to the program
        return _call("run", words[1:])
    try:
        return _main(words)
    except KeyboardInterrupt:
        return 130


def _main(words: list[str]) -> int:
    from taskscope.commands import VERBS

    if not words or words[0].partition("=")[0] == "--theme":
        return _guarded("attach", words)
    if words[0] in VERBS:
        return _guarded(words[0], words[1:])
    if words[0].startswith("-"):
        _overview().parse_args(words)  # exits
        return 2
    return _unknown(words[0])


def _guarded(verb: str, words: list[str]) -> int:
    """Runs ``verb`` and returns its exit status; an expected failure is one sentence on stderr."""
    try:
        _open_streams()
        status = _call(verb, words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _discard_output()  # the reader closed the pipe
        return 0
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "taskscope":
            raise
        sys.stderr.write(f"taskscope {verb}: {package} is not installed for {sys.executable}\n")
        return 3
    except Exception as error:
        from taskscope.commands.common import exit_status, say

        if isinstance(error, OSError) and _is_of_stdout(error):
            _discard_output()
            say(f"taskscope {verb}: cannot write the output: {error.strerror}")
            return 3
        expected = exit_status(error)
        if expected is None:
            raise
        say(f"taskscope {verb}: {error}")
        return expected


def _is_of_stdout(error: OSError) -> bool:
    """Whether a write to stdout failed; the verbs say themselves which of their files cannot be written."""
    import errno

    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _open_streams() -> None:
    """Puts /dev/null where stdin, stdout or stderr is closed, lest a file of ours take its number."""
    import os

    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115


def _discard_output() -> None:
    """Sends what is left of the output to /dev/null, as Python flushes it once more at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unknown(verb: str) -> int:
    from difflib import get_close_matches

    from taskscope.commands import VERBS

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
    from taskscope.commands.parser import Parser

    parser = Parser(prog=f"taskscope {verb}", allow_abbrev=False)
    module.register(parser)
    status: int = module.main(parser.parse_args(words))
    return status


def _module(verb: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"taskscope.commands.{verb}")


def _overview() -> ArgumentParser:
    """The parser of ``taskscope`` itself, which lists the verbs without importing them."""
    from importlib.util import find_spec

    from taskscope import __version__
    from taskscope.commands import VERBS
    from taskscope.commands.parser import Parser

    present = {verb: text for verb, text in VERBS.items() if find_spec(f"taskscope.commands.{verb}")}
    parser = Parser(
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
