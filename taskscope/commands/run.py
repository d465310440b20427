"""``taskscope run``: runs a program with the agent, and otherwise as plain ``python`` does.

Only python runs a program exactly as python does.  So this process replaces itself (``execve``, same pid)
by ``python [its own options] script.py ARGS``.  PYTHONPATH leads the new interpreter to a ``sitecustomize``
module of ours (``bootstrap/``), which restores the environment, starts the agent and then runs the
environment's own ``sitecustomize``.  ``__main__``, ``sys.path``, ``sys.orig_argv``, tracebacks, the recursion
limit, signals, stdin and ``ps`` output are python's own, with no frame of ours below the program.  An
interpreter that ignores its environment (``-I``, ``-E``, ``-S``) cannot be reached that way; there the
program runs in this process (``inside``), and our frames are cut from the traceback of an uncaught exception.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import REMAINDER
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.commands.common import RULES_HELP, CommandError, UsageError, checked_rules, duration, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

HANDOVER = "TASKSCOPE_RUN"
"""Environment variable that carries our settings to ``bootstrap/sitecustomize.py``, which removes it."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.usage = (
        "taskscope run [--name NAME] [--interval 1s] [--control] [--on RULES DO] [--metrics HOST:PORT] "
        "(script.py | COMMAND | -m MODULE | -c CODE) [ARGS ...]"
    )
    parser.description = (
        "Runs a Python program with the agent in it from the first line; argv, __main__, exit status and "
        "signals are as under plain python.  COMMAND is a console script on PATH, like gunicorn.  Attach "
        "from another terminal: taskscope attach NAME."
    )
    parser.add_argument("--name", help="name to attach by (default: the program's name)")
    parser.add_argument("--interval", type=duration, default=1.0, metavar="1s", help="time between samples")
    parser.add_argument("--control", action="store_true", help="let clients cancel tasks")
    parser.add_argument("--on", nargs=2, action="append", metavar=("RULES", "DO"), help=RULES_HELP)
    parser.add_argument("--metrics", metavar="HOST:PORT", help="serve metrics there")
    parser.add_argument("-m", nargs=REMAINDER, metavar="MODULE", help="run a module, as python -m does")
    parser.add_argument("-c", nargs=REMAINDER, metavar="CODE", help="run code, as python -c does")
    parser.add_argument(
        "program", nargs=REMAINDER, metavar="script.py", help="file, directory, zip file, or command"
    )


def main(options: Namespace) -> int:
    """Replaces this process by the program; returns only where the program runs in this process."""
    try:
        command = _command(options)
        script = None if _is_there(command[0]) else _on_path(command[0])
        checked_rules(options.on or ())
    except CommandError as error:
        say(f"taskscope run: {error}")
        return error.status
    start = {
        "name": options.name or _name(command),
        "interval": options.interval,
        "control": options.control,
        "on": [f"{words} {do}" for words, do in options.on or ()],
        "metrics": options.metrics,
    }
    sys.stdout.flush()
    if script is not None:
        python, arguments = script
        os.execve(python, [*arguments, *command[1:]], _environment(start))  # noqa: S606
    if sys.executable and not (sys.flags.ignore_environment or sys.flags.no_site):
        environment = _environment(start)
        os.execve(  # noqa: S606  it is python itself that follows
            sys.executable, [sys.executable, *interpreter_options(sys.orig_argv), *command], environment
        )
    from taskscope.commands import inside

    return inside.run(command, start)


def _command(options: Namespace) -> list[str]:
    """The arguments of ``python`` that run the program."""
    for flag in ("m", "c"):
        given: list[str] | None = getattr(options, flag)
        if given is not None:
            if not given:
                raise UsageError(f"-{flag} requires {'a module name' if flag == 'm' else 'code'}")
            return [f"-{flag}", *given, *options.program]
    program: list[str] = options.program
    if program[:1] == ["--"]:
        program = program[1:]
    if not program:
        raise UsageError("no program given; pass script.py, -m MODULE or -c CODE")
    return program


def _is_there(program: str) -> bool:
    """Whether ``python`` has something to run under that name."""
    path = Path(program)
    return program.startswith("-") or path.is_file() or (path / "__main__.py").is_file()


def _on_path(name: str) -> tuple[str, list[str]] | None:
    from taskscope.commands import console_script

    return console_script.found(name)


def _name(command: list[str]) -> str:
    """The name to attach by: the module's, the script's, or of the directory around ``__main__.py``."""
    if command[0] == "-c" or command[0] == "-":
        return "python"
    if command[0] == "-m":
        return command[1].removesuffix(".__main__").rpartition(".")[2]
    path = Path(command[0])
    return path.absolute().parent.name if path.stem == "__main__" else path.stem


def _environment(start: dict[str, object]) -> dict[str, str]:
    before = os.environ.get("PYTHONPATH")
    bootstrap = str(Path(__file__).parent / "bootstrap")
    handover = json.dumps({"start": start, "path": before, "hook": bootstrap})
    path = bootstrap + os.pathsep + before if before else bootstrap
    environment = {**os.environ, "PYTHONPATH": path, HANDOVER: handover}
    if _set_by_python("LC_CTYPE"):
        del environment["LC_CTYPE"]
    return environment


def _set_by_python(variable: str) -> bool:
    """Whether our interpreter set the variable itself: PEP 538 coerces the C locale, again in the program."""
    try:
        at_start = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return variable in os.environ and not any(each.startswith(f"{variable}=".encode()) for each in at_start)


def interpreter_options(command: list[str]) -> list[str]:
    """The interpreter's own options in ``sys.orig_argv``: all before the script, ``-m`` or ``-c``."""
    found: list[str] = []
    words = iter(command[1:])
    for word in words:
        if word == "-" or not word.startswith("-"):
            break
        if word.startswith("--"):
            found += [
                word,
                next(words, ""),
            ]  # only --check-hash-based-pycs takes a value
            continue
        for index, letter in enumerate(word[1:], 1):
            if letter in "mc":
                return [*found, word[:index]] if index > 1 else found
            if letter in "WX":
                found += [word] if word[index + 1 :] else [word, next(words, "")]
                break
        else:
            found.append(word)
    return found
