"""What a process is, as far as /proc tells."""

from __future__ import annotations

import resource
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.attach import procfs
from taskscope.attach.discover import readable, user_name
from taskscope.wire import clean_text

if TYPE_CHECKING:
    from taskscope.attach.reading.frames import Stacks
    from taskscope.model.vocabulary import Unseen


def describe(pid: int, python: str, stacks: Stacks, *, sees_tasks: bool) -> model.Process:
    """``python``: its version; ``stacks``: what its threads do; ``sees_tasks``: those of asyncio were found.

    Raises OSError if the process has ended.
    """
    argv = procfs.command(pid)
    return model.Process(
        pid=pid,
        name=clean_text(readable(argv))[:40],
        python=python,
        implementation="cpython",
        executable=clean_text(str(Path(f"/proc/{pid}/exe").readlink())),
        argv=tuple(map(clean_text, argv)),
        host=socket.gethostname(),
        user=user_name(int(procfs.status(pid)["Uid"].split()[0])),
        cwd=clean_text(str(Path(f"/proc/{pid}/cwd").readlink())),
        started_wall=time.time() - procfs.age(pid),
        fd_limit=_fd_limit(pid),
        unseen=_unseen(pid, stacks, sees_tasks=sees_tasks),
    )


def _unseen(pid: int, stacks: Stacks, *, sees_tasks: bool) -> tuple[Unseen, ...]:
    """What runs tasks in it that are not found."""
    frames = [frame for thread in stacks.threads for frame in thread.frames]
    found: list[Unseen] = [
        each
        for each, (functions, file) in model.RUNNERS.items()
        if any(
            frame.file.endswith(file) and frame.function.rpartition(".")[2] in functions for frame in frames
        )
    ]
    return (*found, *(() if sees_tasks or not _runs_asyncio(pid) else ("asyncio",)))


def _runs_asyncio(pid: int) -> bool:
    return any("/_asyncio." in each.path for each in procfs.maps(pid))


def _fd_limit(pid: int) -> int | None:
    """None: no limit, or unknown."""
    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except (OSError, ValueError):
        return None
    return None if soft == resource.RLIM_INFINITY else soft
