"""Finds a process's agent wherever it listens: in our directories, its container, or its TASKSCOPE_DIR."""

from __future__ import annotations

import math
import os
import stat
from typing import TYPE_CHECKING

from taskscope import endpoint
from taskscope.attach import procfs
from taskscope.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.endpoint import Endpoint


def agent_in(pid: int) -> Endpoint | None:
    """The agent of process ``pid``; None if it has none that we can see.

    File names are not trusted: they hold the pid as the agent sees it, and may be left from another process.
    The name counts only if the agent accepts no connection (a stopped process).
    """
    try:
        status = procfs.status(pid)
        owners = {*map(int, status["Uid"].split())}
        inner = int(status.get("NSpid", str(pid)).split()[-1])
    except (OSError, KeyError):
        if procfs.is_here():
            return None
        owners, inner = {os.geteuid()}, pid
    for folder in _folders(pid, owners):
        # Ours may be in the place of theirs: root in a user namespace and root outside share a /tmp.
        for who in dict.fromkeys((frozenset(owners), frozenset({os.geteuid()}))):
            for point in endpoint.listing_in(folder, who):
                if point.pid in {pid, inner} and _serves(pid, point.path):
                    return point
    return None


def staying(pids: Sequence[int], lingers: float = math.inf) -> str:
    """That agents stay in these processes, and until when: what removes them, or so long without a client."""
    one = len(pids) == 1
    who = f"the agent stays in process {pids[0]}" if one else f"agents stay in {plural(len(pids), 'process')}"
    until = f"`taskscope detach {' '.join(map(str, pids))}`"
    if not math.isinf(lingers):
        until = f"{lingers:g} s after {'its' if one else 'their'} last client"
    return f"{who}, idle, until {until}"


def _serves(pid: int, path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False  # a link could lead to a socket that only we may connect to
        peer = endpoint.peer(path)
    except OSError:
        return False
    except endpoint.BusyError:
        return True
    return peer is not None and peer.pid == pid


def _folders(pid: int, owners: set[int]) -> list[str]:
    """Where its agent may listen, as seen from here; also in ours, as it may have dropped rights."""
    folders = [folder for uid in (*owners, os.geteuid()) for folder in endpoint.candidates(uid)]
    try:
        root = procfs.root(pid)
        own = procfs.environment(pid).get("TASKSCOPE_DIR")
        inner = {procfs.inner_uid(pid, uid) for uid in owners}
    except OSError:
        return list(dict.fromkeys(folders))  # another user's process: we could not connect either
    folders += [folder for uid in inner for folder in endpoint.standard(uid, root)]
    if own:
        folders.append(root + own)
    return list(dict.fromkeys(folders))
