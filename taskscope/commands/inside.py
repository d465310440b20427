"""Runs a program in this process, where python itself cannot run it with the agent (see ``run``).

A new ``__main__`` replaces ours, and ``sys.argv`` and ``sys.path[0]`` become the program's.  An uncaught
exception propagates to the interpreter, which handles SystemExit and SIGINT; ``sys.excepthook`` is wrapped
to drop our frames from the traceback.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def run(command: list[str], start: dict[str, Any]) -> int:
    """Runs ``command``, the arguments of ``python``, with the agent; raises what the program raises."""
    import taskscope

    program = _prepare(command)
    _start_agent(taskscope, start)
    try:
        program()
    except BaseException:
        sys.excepthook = _without_our_frames(sys.excepthook)
        raise
    return 0


def _start_agent(taskscope: Any, start: dict[str, Any]) -> None:
    try:
        taskscope.start(**start)
    except Exception as error:  # noqa: BLE001  the program comes first: it runs without an agent then
        sys.stderr.write(f"taskscope: the agent could not start; running the program without it: {error}\n")


def _prepare(command: list[str]) -> Callable[[], object]:
    """Sets up the interpreter as it is before a program's first line; returns a call that runs it."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    head, *rest = command
    if head in {"-c", "-m"}:
        sys.argv[:] = [head, *rest[1:]]
        _first_on_path("" if head == "-c" else str(Path.cwd()))
        if head == "-m":
            return lambda: _run_module(rest[0], alter_argv=True)
        return lambda: exec(compile(rest[0], "<string>", "exec", dont_inherit=True), main.__dict__)  # noqa: S102
    sys.argv[:] = command
    if head != "-" and pkgutil.get_importer(head) is not None:  # a directory or a zip file
        sys.path.insert(0, str(Path(head).absolute()))
        return lambda: _run_module("__main__", alter_argv=False)
    return _script(head, main)


def _script(path: str, main: ModuleType) -> Callable[[], object]:
    name = "<stdin>" if path == "-" else str(Path(path).absolute())
    _first_on_path("" if path == "-" else str(Path(path).resolve().parent))
    try:
        source = sys.stdin.buffer.read() if path == "-" else Path(name).read_bytes()
    except OSError as error:
        sys.stderr.write(
            f"{sys.executable}: can't open file {name!r}: [Errno {error.errno}] {error.strerror}\n"
        )
        raise SystemExit(2) from None
    if path != "-":
        main.__file__, main.__loader__ = name, SourceFileLoader("__main__", name)
        if sys.version_info < (3, 15):
            main.__dict__["__cached__"] = None
    return lambda: exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)  # noqa: S102


def _run_module(name: str, *, alter_argv: bool) -> object:
    """Runs a module with the function that ``python -m`` calls."""
    import runpy

    return runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _first_on_path(entry: str) -> None:
    """Replaces our own script's directory by ``entry``, unless ``-P`` keeps both out of ``sys.path``."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _without_our_frames(hook: Any) -> Any:
    """Wraps ``hook`` so that its traceback begins at the program's first frame."""

    def trimmed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        while trace is not None and not _is_last_of_ours(trace):
            trace = trace.tb_next
        trace = trace.tb_next if trace is not None else None
        error.__traceback__ = trace
        hook(kind, error, trace)

    return trimmed


def _is_last_of_ours(trace: TracebackType) -> bool:
    following = trace.tb_next
    ours = trace.tb_frame.f_code.co_filename == __file__
    return ours and (following is None or following.tb_frame.f_code.co_filename != __file__)
