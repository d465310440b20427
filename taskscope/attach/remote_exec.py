"""Asks CPython itself to run the agent: ``sys.remote_exec``, 3.14 and later.

Nothing is stopped, but only a target whose main thread executes bytecode soon ever answers; one that is idle
in its event loop does not.  What was asked for cannot be taken back: the target runs the script whenever its
main thread wakes up, and complains on its stderr if it never did before it ended.  So only a target that is
seen to be awake is asked, the wait is short, and another way follows.  After the wait the script is one that
only removes itself, and the agent's once-token stands guard over the moment in between.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.attach import payload, procfs

if TYPE_CHECKING:
    from taskscope.attach.target import Target

SINCE = (3, 14)

WAIT = 0.3
"""Seconds.  A target that executes bytecode has answered within 0.1 s; another one never will."""

_STARTED = 2.0
"""Seconds of age at which a program has begun its work."""

_WATCH = 0.05
"""Seconds for which an idle main thread is watched."""

_LOAD_SECONDS = 10.0
"""For so long the agent may take to load in a busy target, once the script has begun."""

_PREFIX = "taskscope-attach-"

_ASK = "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])"
_ASK_SECONDS = 5.0

_FIRST = "try: __import__('os').unlink({script!r})\nexcept OSError: pass\n"
_ALL = _FIRST + "try: __import__('os').rmdir({folder!r})\nexcept OSError: pass\n"


def possible(target: Target) -> bool:
    """Whether it can be asked, and would answer.

    Its own interpreter can be run here and reads the script where we write it; it is past its start, when
    a script in the midst of its imports would do no good; and its main thread is awake now and then.
    """
    return _reachable(target) and procfs.age(target.pid) > _STARTED and _awake(target.pid)


def _reachable(target: Target) -> bool:
    return (
        target.version[:2] >= SINCE
        and not (target.other_pids or target.root or target.stopped)
        and os.access(target.executable, os.X_OK)
    )


def attempt(target: Target) -> dict[str, Any] | None:
    """Brings the agent in; its reply (see ``bootstrap.py``), or None if it has not come this way."""
    try:
        _sweep()
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{target.pid}-"))
    except OSError:
        return None
    script, reply = folder / "agent.py", folder / "reply"
    names = {"script": str(script), "folder": str(folder)}
    armed = False
    try:
        script.write_text(_FIRST.format(**names) + payload.for_file("remote_exec", WAIT, str(reply)))
        os.chown(folder, target.uid, target.gid)
        os.chown(script, target.uid, target.gid)
        armed = _ask(target, script)
        return _reply(target.pid, script, reply) if armed else None
    except OSError:
        return None
    finally:
        if armed and script.exists():  # it has not run yet
            disarmed = folder / "disarmed"
            disarmed.write_text(_ALL.format(**names))
            os.chown(disarmed, target.uid, target.gid)
            disarmed.rename(script)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _awake(pid: int) -> bool:
    """Whether its main thread runs, or wakes up within a moment."""
    before = procfs.wakes(pid)
    deadline = time.monotonic() + _WATCH
    while time.monotonic() < deadline:
        if procfs.blocked_in(pid, pid) is None or procfs.wakes(pid) != before:
            return True
        time.sleep(0.005)
    return False


def _sweep() -> None:
    """Removes what we left for targets that ended before they ran it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _ask(target: Target, script: Path) -> bool:
    """Has a process of the target's own interpreter arm the request; false if it refuses."""
    command = [target.executable, "-I", "-S", "-c", _ASK, str(target.pid), str(script)]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _reply(pid: int, script: Path, reply: Path) -> dict[str, Any] | None:
    """What the target says; None if it has not begun within WAIT, or has ended, or takes far too long."""
    started = time.monotonic()
    while time.monotonic() < started + (WAIT if script.exists() else _LOAD_SECONDS) and not procfs.ended(pid):
        with contextlib.suppress(FileNotFoundError):
            answer: dict[str, Any] = json.loads(reply.read_bytes())
            return answer
        time.sleep(0.005)
    return None
