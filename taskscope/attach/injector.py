"""Carries out an injection in a process of its own, so that nothing that hits the attacher hits it half-way.

While a thread of the target stands still, whoever holds it must not die.  The attacher may be an app with
threads (a signal blocked in one is taken by another), may be hung up on, interrupted or killed.  So the
short dangerous part is left to a child of it that has a session of its own, one thread and every signal
blocked; it goes away by itself as soon as it has let go of the target and its parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from taskscope.attach.target import Target

_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from taskscope.attach import injector; injector.main()"
_ROOT = str(Path(__file__).resolve().parent.parent.parent)

MAX_REPLY = 1 << 16


class Injector:
    """The parent's end: starts the child; then ``event`` yields what it tells, one dict at a time."""

    def __init__(self, target: Target, program: str, seconds: float) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",  # ours may be deleted by now
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        order = {"pid": target.pid, "started": target.started, "program": program, "seconds": seconds}
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        self._child.stdin.flush()
        self._output = self._child.stdout.fileno()
        self._buffer = b""

    def event(self, seconds: float) -> dict[str, Any] | None:
        """What it tells next: ``injected``, ``refused`` or ``reply`` (see ``main``); ``ended`` at the end.

        None: nothing within ``seconds``.
        """
        while b"\n" not in self._buffer:
            if not select.select([self._output], [], [], seconds)[0]:
                return None
            data = os.read(self._output, MAX_REPLY)
            if not data:
                return {"event": "ended"}
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """Lets it go; it finishes what must be finished by itself."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def main() -> None:
    """The child: reads its order, injects, and hands on the reply until its parent is gone."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _come_first()
    from taskscope.attach import injection, target
    from taskscope.attach.errors import AttachError

    order = json.loads(sys.stdin.buffer.readline())
    try:
        found = target.examine(order["pid"], target.PATIENCE)
        if found.started != order["started"]:
            raise AttachError(f"process {order['pid']} has ended, and another one got its number")
        done = injection.inject(found, order["program"], order["seconds"], _wanted)
    except AttachError as error:
        _tell({"event": "refused", "sentence": error.sentence, "remedy": error.remedy})
        return
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _tell({"event": "injected", "thread": done.thread, "tries": done.tries, "stopped": done.stopped})
    answer = _answer(done.reply)
    if answer is not None:
        _tell({"event": "reply", "text": answer.decode("utf-8", "replace")})


def _come_first() -> None:
    """While a thread stands still nobody else's work comes before ours, nor are we killed for want of memory.

    Only root may ask for that.  On a machine with ten programs for two processors it makes the stop 10 times
    shorter.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-1000")


def _wanted() -> bool:
    """Whether our parent is there: it keeps our standard input open and says no more on it."""
    return not select.select([0], [], [], 0)[0]


def _answer(reply: int) -> bytes | None:
    """The line that the target writes into its pipe, whatever it may say.

    None: there is none, or our parent has closed our standard input.
    """
    waiting = select.poll()
    waiting.register(reply, select.POLLIN)
    waiting.register(0, select.POLLIN)
    data = b""
    while b"\n" not in data and len(data) < MAX_REPLY:
        ready = dict(waiting.poll())
        if reply not in ready:
            return None
        more = os.read(reply, MAX_REPLY)
        if not more:
            return None
        data += more
    return data.partition(b"\n")[0]


def _tell(event: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(event).encode() + b"\n")
