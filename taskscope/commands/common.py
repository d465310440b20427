"""Shared by the verbs: durations, failures with an exit status, and messages."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from taskscope.text import parsed_seconds

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Awaitable, Iterable, Iterator, Sequence

    from taskscope.analysis.rules import Rule
    from taskscope.model import Hello
    from taskscope.sources.base import Source

_RUNNING = (
    "a pid, a name given to start() or run --name, a socket path, docker:NAME, podman:NAME, cgroup:PATH"
)
_REMOTE = "or aiomonitor://HOST:PORT"
PROCESS_HELP = f"{_RUNNING}, {_REMOTE}"
TARGET_HELP = f"{_RUNNING}, a snapshot or recording, {_REMOTE}"

VIA_HELP = (
    "reach TARGET through COMMAND, which runs the program given after it where TARGET lives: 'ssh HOST', "
    "'docker exec -i NAME', 'kubectl exec -i POD --'; taskscope (or its bundle, see relay) has to be there"
)

GROUP_HELP = "several, or a pattern like 'shop*' for the names and commands of ps, are one group"
CHILDREN_HELP = "with every Python process below TARGET, those that come later too"

RULES_HELP = (
    "when any of RULES is the case (leak, hang, spin, suspect, stall=5s, fds=90%%, memory=80%%, "
    "threads=90%%, growth=5%%/1h; most=6/h and disk=1GB bound it), DO snapshot:DIR, record:DIR, report:DIR "
    "or a command, which gets the finding as JSON on its stdin; repeatable"
)


class CommandError(Exception):
    """The target does not exist or the verb cannot do its work; the message gives the remedy."""

    status = 3


class UsageError(CommandError):
    """The arguments are invalid; the message quotes the offending one."""

    status = 2


def add_via(parser: ArgumentParser) -> None:
    """Adds ``--via``, for the verbs that take a TARGET or list processes."""
    parser.add_argument("--via", default="", metavar="COMMAND", help=VIA_HELP)


def add_one_process(parser: ArgumentParser) -> None:
    """Adds a TARGET that is one process, and ``--via``."""
    parser.add_argument("target", metavar="PID", help="a pid, or the name of its agent")
    add_via(parser)


def add_targets(parser: ArgumentParser) -> None:
    """Adds TARGET…, which `source_of` reads: several are watched as one group."""
    parser.add_argument("targets", metavar="TARGET", nargs="+", help=f"{TARGET_HELP}; {GROUP_HELP}")
    parser.add_argument("--children", action="store_true", help=CHILDREN_HELP)
    add_via(parser)


def add_read_only(parser: ArgumentParser) -> None:
    """Adds ``--read-only``, for the verbs that can do without an agent."""
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="read the process from outside: nothing enters it, none of its threads stops",
    )


def source_of(options: Namespace) -> Source:
    """The source of what `add_targets` has read, not yet opened.  Raises SourceError."""
    from taskscope.sources.group import observed

    return observed(
        options.targets,
        children=options.children,
        via=options.via,
        read_only=options.read_only,
        progress=say,
    )


def say_what_is_missing(hello: Hello) -> None:
    """Says what a process does not tell that is only read, or whose agent only counts."""
    if hello.arrived in ("outside", "counting"):
        for note in hello.notes:
            say(note)


def exit_status(error: Exception) -> int | None:
    """The exit status for an expected failure; None for a bug of ours."""
    from taskscope.attach.errors import AttachError
    from taskscope.endpoint import EndpointError
    from taskscope.export.recording import RecordingError
    from taskscope.export.snapshot import SnapshotError
    from taskscope.sources.base import SourceError
    from taskscope.sources.following import NotRunningError

    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, NotRunningError):
        return UsageError.status
    expected = (SourceError, EndpointError, AttachError, SnapshotError, RecordingError)
    return 3 if isinstance(error, expected) else None


@contextmanager
def written(path: str) -> Iterator[None]:
    """Raises CommandError, with the reason, if ``path`` cannot be written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from None


def check_writable(path: str) -> None:
    """Raises CommandError if ``path`` cannot be written, before work is done that would be lost."""
    from pathlib import Path

    from taskscope.export import whole

    with written(path):
        whole.check_writable(Path(path))


def checked_rules(given: Iterable[Sequence[str]]) -> list[Rule]:
    """What ``--on`` was given.  Raises UsageError; CommandError if one of its folders cannot be written."""
    from pathlib import Path
    from tempfile import TemporaryFile

    from taskscope.analysis.rules import RuleError, parse

    try:
        rules = [parse(words, do) for words, do in given]
    except RuleError as error:
        raise UsageError(str(error)) from None
    for folder in (rule.do.argument for rule in rules if rule.do.kind != "command"):
        with written(folder):
            Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
            TemporaryFile(dir=folder).close()
    return rules


def duration(text: str) -> float:
    """Seconds in ``500ms``, ``30s``, ``10m`` or ``6h``, as an argparse ``type``."""
    seconds = parsed_seconds(text)
    if seconds is None:
        raise ArgumentTypeError(f"{text!r} is not a duration like 500ms, 30s, 10m or 6h")
    return seconds


@contextmanager
def waiting(text: str, after: float = 0.5) -> Iterator[None]:
    """Says on stderr what is going on if it takes longer than ``after`` seconds, terminal or not."""
    timer = Timer(after, say, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


async def until_told(running: Awaitable[int | None]) -> int:
    """Runs it until it ends, its time is up, or a signal says so; returns the exit status."""
    import asyncio
    import signal

    task = asyncio.ensure_future(running)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task or 0
    except (asyncio.CancelledError, TimeoutError):
        return 0


def say(text: str) -> None:
    """Prints a message on stderr: stdout is for output that other programs read."""
    print(text, file=sys.stderr, flush=True)
