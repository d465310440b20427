"""From a TARGET to a source: a pid, a name, a socket path, a snapshot file, an aiomonitor.

The only place that knows what a TARGET may be, for every verb and the app.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope import endpoint
from taskscope.attach import procfs
from taskscope.attach.containers import is_container, members
from taskscope.attach.errors import AttachError
from taskscope.attach.presence import agent_in
from taskscope.endpoint import Endpoint
from taskscope.export.recording_file import is_recording
from taskscope.sources.base import SourceError
from taskscope.sources.live import LiveSource
from taskscope.sources.recorded import RecordedSource
from taskscope.sources.saved import SavedSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.sources.base import Source

    Progress = Callable[[str], None]

_MONITOR = "aiomonitor://"
_WITHOUT_AGENT = "no agent in process {}: `taskscope attach` in a terminal, `watch` and `snapshot` inject one"


def resolve(
    target: str,
    *,
    via: str = "",
    inject: bool = True,
    read_only: bool = False,
    progress: Progress = lambda text: None,
) -> Source:
    """The source for ``target``, not yet opened.  Raises SourceError with the remedy.

    A process without an agent gets one injected unless ``inject`` is false; ``progress`` gets sentences
    about that.  ``via``: the command to whose far end ``target`` belongs; a file is always one of ours.
    ``read_only``: a process is read from outside, whether it has an agent or not.
    """
    if read_only:
        return _outside(target, via)
    if via:
        from taskscope.sources.way import Way

        if target.startswith(_MONITOR):
            raise SourceError(
                "--via reaches agents, no aiomonitor: forward its port, as by `ssh -L`, and attach to "
                f"{target} without it"
            )
        return LiveSource(Way.to(target, via, inject=inject, progress=progress), progress=progress)
    if target.startswith(_MONITOR):
        from taskscope.sources.aiomonitor.source import AiomonitorSource

        return AiomonitorSource.at(target)
    if (
        not _is_pid(target)
        and not is_container(target)
        and _mode(target)
        and not stat.S_ISSOCK(_mode(target))
    ):
        if stat.S_ISREG(_mode(target)):
            return saved(target)
        raise SourceError(f"{target} is neither a socket nor a snapshot nor a recording")
    return LiveSource(endpoint_of(target, inject=inject, progress=progress).path, progress=progress)


def _outside(target: str, via: str) -> Source:
    from taskscope.sources.outside.source import OutsideSource

    if via:
        raise SourceError("--read-only reads processes of this machine: run it at the far end of --via")
    return OutsideSource(pid_of(target))


def endpoint_of(
    target: str, *, inject: bool, lingers: float = math.inf, progress: Progress = lambda text: None
) -> Endpoint:
    """Where the one agent listens that ``target`` means: a pid, a name, a socket, a container of one process.

    Raises SourceError.  ``lingers``: see `ensure_agent`.
    """
    if _is_pid(target) or is_container(target):
        return agent_of(pid_of(target), inject=inject, lingers=lingers, progress=progress)
    if stat.S_ISSOCK(_mode(target)):
        return Endpoint(target, 0, "")
    return agent_named(target)


def pid_of(target: str) -> int:
    """The process that ``target`` means, with or without an agent.  Raises SourceError."""
    if is_container(target):
        return _only_one_in(target)
    return int(target) if _is_pid(target) else agent_named(target).pid


def pids_in(container: str, via: str = "") -> set[int]:
    """The processes of ``docker:NAME`` and the like.  Raises SourceError."""
    if via:
        from taskscope.sources.via import reached

        return reached(via).contained(container)
    try:
        return members(container)
    except AttachError as error:
        raise SourceError(str(error)) from None


def process_of(target: str) -> int:
    """The process, if ``target`` is a pid or a container; else 0.  Raises SourceError."""
    return pid_of(target) if _is_pid(target) or is_container(target) else 0


def _only_one_in(container: str) -> int:
    """Its only Python process."""
    from taskscope.attach.discover import processes

    inside = pids_in(container)
    found = [each.pid for each in processes() if each.pid in inside]
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(f"no Python process runs in {container}")
    pids = ", ".join(map(str, sorted(found)))
    raise SourceError(f"{len(found)} Python processes run in {container}: one by pid ({pids}), or --children")


def _is_pid(target: str) -> bool:
    return target.isascii() and target.isdigit()


def _mode(path: str) -> int:
    """What kind of file is there; 0: none."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0


def is_file(target: str) -> bool:
    """Whether it is a snapshot or a recording, if anything."""
    return not _is_pid(target) and stat.S_ISREG(_mode(target))


def is_name(target: str, via: str = "") -> bool:
    """Whether it can only be the name of agents: now or later, of one or several."""
    return (
        (bool(via) or not _mode(target))
        and "/" not in target
        and not _is_pid(target)
        and not is_container(target)
    )


def saved(path: str) -> SavedSource | RecordedSource:
    """The source for a file: a recording by its first bytes, else a snapshot."""
    try:
        with open(path, "rb", buffering=0, opener=_regular) as file:
            begin = file.read(64)
    except (OSError, ValueError):
        begin = b""  # whoever opens it says why
    return RecordedSource(path) if is_recording(begin) else SavedSource(path)


def _regular(path: str, flags: int) -> int:
    """Does not wait for a pipe without a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def agent_of(
    pid: int, *, inject: bool, lingers: float = math.inf, progress: Progress = lambda text: None
) -> Endpoint:
    """Where the agent of process ``pid`` listens, in any container.  Raises SourceError."""
    found = agent_in(pid)
    if found is not None:
        return found
    if not procfs.is_here():
        raise SourceError(str(procfs.missing()))
    if not Path(f"/proc/{pid}").exists():
        from taskscope.attach.target import out_of_sight

        raise SourceError(str(out_of_sight(pid)))
    if inject:
        return _injected_into(pid, lingers, progress)
    raise SourceError(_why_none_can_come(pid) or _WITHOUT_AGENT.format(pid))


def agents_named(name: str, via: str = "") -> list[Endpoint]:
    """This user's agents named ``name`` (for root: any user's); none if it is a pid, a path or an address.

    Our TASKSCOPE_DIR goes first; a process without it has its agent in a standard directory.
    """
    if via:
        from taskscope.sources.via import reached

        return list(reached(via).named(name))
    for folders in (endpoint.candidates, endpoint.standard):
        listed = (
            point
            for uid in _uids()
            for folder in folders(uid)
            for point in endpoint.listing_in(folder, (uid,))
        )
        named = {point.path: point for point in listed if point.name == name}
        found = [point for point in named.values() if endpoint.answers(point.path)]
        if found:
            return found
    return []


def agent_named(name: str) -> Endpoint:
    """The only one named ``name``.  Raises SourceError."""
    found = agents_named(name)
    if not found:
        looks_like_path = "/" in name or name.endswith((".json", ".gz", ".rec", ".sock"))
        if looks_like_path:
            raise SourceError(f"no such file: {name}")
        raise SourceError(f"no agent is named {name!r}: `taskscope ps` lists the processes that have one")
    if len(found) > 1:
        pids = ", ".join(str(point.pid) for point in found)
        raise SourceError(f"{len(found)} processes are named {name!r}: choose one by pid ({pids})")
    return found[0]


def _injected_into(pid: int, lingers: float, progress: Progress) -> Endpoint:
    """The agent injected into a process that has none."""
    from taskscope.attach.inject import ensure_agent

    try:
        return ensure_agent(pid, lingers=lingers, progress=progress)
    except AttachError as error:
        raise SourceError(f"{error}{_other_way(pid)}") from None


def _why_none_can_come(pid: int) -> str:
    """Why no agent can be injected; "" if one can."""
    from taskscope.attach.target import examine

    try:
        examine(pid)
    except AttachError as error:
        return f"{error}{_other_way(pid)}"
    return ""


def _other_way(pid: int) -> str:
    """The alternative if aiomonitor runs in the process."""
    from taskscope.attach import peers

    monitor = peers.monitor_of(pid) if peers.may_run_monitor(peers.maps_of(pid)) else ""
    return f"; it seems to run aiomonitor: `taskscope attach {monitor}` shows its tasks" if monitor else ""


def _uids() -> list[int]:
    own = os.geteuid()
    if own != 0 or not procfs.is_here():
        return [own]
    found = {own}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.add(folder.stat().st_uid)
            except OSError:
                continue
    return sorted(found)
