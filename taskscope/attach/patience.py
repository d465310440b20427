"""Waits for the GIL of a process before anything enters it, so that nothing of ours is left behind there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskscope.attach.errors import AttachError
from taskscope.attach.reading.frames import Interpreter
from taskscope.attach.reading.holding import Holding
from taskscope.attach.reading.memory import AbsentError, Memory
from taskscope.interpreter import READ_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.attach.reading.holding import Held

SAID_AFTER = 1.0
"""Seconds after which is said what is waited for."""

PAUSE = 0.1


def await_gil(pid: int, seconds: float, progress: Callable[[str], None], wanted: Callable[[], bool]) -> None:
    """Returns when no thread keeps the GIL from those that ask for it; soon, unless one does.

    Waits up to ``seconds``, while it is ``wanted``; not at all for one that has kept it for longer than that.
    Raises AttachError: it is kept, or Python has ended there; the process is as it was.
    """
    begun, said = time.monotonic(), False
    try:
        with Memory(pid) as memory:
            holding, first = _holding(memory), None
            while holding is not None and (found := holding.look()) is not None:
                first = first or found
                if not found.same_holder(first):
                    return
                waited = time.monotonic() - begun
                if found.seconds > seconds or waited > seconds or not wanted():
                    raise _error(pid, found)
                if waited > SAID_AFTER and not said:
                    progress(f"{found.text}; waiting")
                    said = True
                time.sleep(PAUSE)
    except AbsentError as error:
        raise AttachError(str(error)) from None
    except OSError:
        return  # it has changed, or ended: whoever enters it finds out


def kept(pid: int) -> AttachError | None:
    """Why no agent can start now, if a thread keeps the GIL, or Python has ended there."""
    try:
        with Memory(pid) as memory:
            holding = _holding(memory)
            found = holding.look() if holding is not None else None
    except AbsentError as error:
        return AttachError(str(error))
    except OSError:
        return None
    return _error(pid, found) if found is not None else None


def _holding(memory: Memory) -> Holding | None:
    """One that computes, while no other thread asks for the GIL, may give it back to an agent."""
    interpreter = Interpreter.of(memory)
    return Holding(interpreter, from_others=True) if interpreter is not None else None


def _error(pid: int, found: Held) -> AttachError:
    return AttachError(found.text, f"nothing was changed; {READ_ONLY}")
