"""Which interpreters TaskScope runs in, and why it does not in others.

Imported before anything else, so any Python from 3.8 on, CPython or not, has to be able to read it.
"""

from __future__ import annotations

import sys

OLDEST, NEWEST = (3, 11), (3, 15)
"""The tested minor versions of CPython."""

CRASHES = "an agent that reads tasks while other threads change them may crash it"
"""Why none runs in a build without a GIL."""

OLDEST_READ = (3, 14)
"""Of those builds, the oldest in which tasks are counted, and that can be read from outside."""

READ_ONLY = "`--read-only` of attach, watch, snapshot or report shows it as it is"
"""The remedy for a process that no agent enters, whichever verb was refused."""

_NAMES = {"pypy": "PyPy", "graalpy": "GraalPy"}


def stranger() -> str:
    """Why TaskScope cannot run here at all; empty if it can."""
    needed = f"TaskScope needs CPython {OLDEST[0]}.{OLDEST[1]} or later"
    kind = sys.implementation.name
    if kind != "cpython":
        return f"this is {_NAMES.get(kind, kind)}; {needed}"
    if sys.platform == "win32":
        return "this is Windows; TaskScope runs on Linux and macOS (on Windows in WSL)"
    if sys.version_info < OLDEST:
        return f"this is Python {sys.version_info[0]}.{sys.version_info[1]}; {needed}"
    return ""


def obstacle() -> str:
    """Why no agent can run in this interpreter; empty if one can, or at least one that only counts."""
    if reason := stranger():
        return reason
    if sys.version_info < OLDEST_READ and (reason := hazard()):
        return reason
    if not _is_main():
        return "TaskScope cannot run in a subinterpreter, which could never end: start it in the main one"
    return ""


def hazard() -> str:
    """Why no agent may look at tasks in this interpreter; empty if one may."""
    if not is_free_threaded():
        return ""
    instead = f"; {READ_ONLY}" if sys.version_info >= OLDEST_READ else ""
    return f"this is a free-threaded Python; {CRASHES}{instead}"


def is_free_threaded() -> bool:
    """Whether this build has no GIL, even if it runs with one now: an import may decide that later."""
    return "t" in getattr(sys, "abiflags", "")


def _is_main() -> bool:
    import _thread

    return bool(getattr(_thread, "_is_main_interpreter", lambda: True)())  # new in 3.12
