"""Runs an injection in a child process, so that nothing can interrupt it half-way.

While a thread of the target is stopped, its tracer must not die.  The client may be an app with threads (a
signal blocked in one is delivered to another), and may be hung up, interrupted or killed.  So the short
critical part runs in a child with its own session, one thread and every signal blocked; it exits once it has
released the target and its parent is gone.
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
    """The parent's end: starts the child; ``event`` returns its reports, one dict at a time."""

    def __init__(self, target: Target, program: str, seconds: float) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",  # ours may be deleted
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        order = {"pid": target.pid, "started": target.started, "program": program, "seconds": seconds}
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        self._child.stdin.flush()
        self._output = self._child.stdout.fileno()
        self._buffer = b""

    def event(self, seconds: float) -> dict[str, Any] | None:
        """The next report: ``injected``, ``refused`` or ``reply`` (see ``main``); ``ended`` at the end.

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
        report: dict[str, Any] = json.loads(line)
        return report

    def close(self) -> None:
        """Disconnects from the child, which completes the critical part on its own."""
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
    """The child: reads its order, injects, and forwards the reply until its parent is gone."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _come_first()
    from taskscope.attach import injection, target
    from taskscope.attach.errors import AttachError

    order = json.loads(sys.stdin.buffer.readline())
    try:
        found = target.examine(order["pid"], target.PATIENCE)
        if found.started != order["started"]:
            raise AttachError(f"process {order['pid']} has ended, and its pid was reused")
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
    """Raises our priority and exempts us from the OOM killer while a thread is stopped.

    Only root may do so.  With ten busy programs on two cores it makes the stop 10 times shorter.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-1000")


def _wanted() -> bool:
    """Whether our parent lives: it keeps our standard input open and writes nothing more."""
    return not select.select([0], [], [], 0)[0]


def _answer(reply: int) -> bytes | None:
    """The untrusted line that the target writes into its pipe.

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
