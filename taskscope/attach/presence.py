"""Whether a process has an agent, wherever that listens: in our directories, in its container, where its own
environment says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taskscope import endpoint
from taskscope.attach import procfs

if TYPE_CHECKING:
    from taskscope.endpoint import Endpoint


def agent_in(pid: int) -> Endpoint | None:
    """The agent of process ``pid``; None if it has none that we can see.

    A file name is not trusted: it holds the pid as the agent sees it, and may be left from another process.
    """
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        inner = int(procfs.status(pid).get("NSpid", str(pid)).split()[-1])
    except OSError:
        return None
    for folder in _folders(pid, uid):
        for point in endpoint.listing_in(folder):
            if point.pid in {pid, inner} and endpoint.listener(point.path) == pid:
                return point
    return None


def _folders(pid: int, uid: int) -> list[str]:
    """Where its agent may listen, as seen from here."""
    folders = [*endpoint.candidates(uid)]
    try:
        root = procfs.root(pid)
        own = procfs.environment(pid).get("TASKSCOPE_DIR")
    except OSError:
        return folders  # another user's: then we could not connect either
    folders += endpoint.standard(uid, root)
    if own:
        folders.append(root + own)
    return list(dict.fromkeys(folders))
