"""The Python processes on this machine: which have an agent, and which can get one.

Called by the app every few seconds: a process that is not Python costs one ``readlink``, the rest is read
from ``/proc`` without touching the process.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from taskscope import endpoint, wire
from taskscope.attach import builds, family, peers, privilege, procfs
from taskscope.attach.presence import agent_in
from taskscope.model.vocabulary import Role  # noqa: TC001  (checked.py reads the types at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_EXECUTABLE = re.compile(r"(?:python|pypy|graalpy)[\d.]*t?(?: \(deleted\))?$")
_LIBRARY = re.compile(r"/libpython\d")
_LONGEST_COMMAND = 200
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class PythonProcess:
    """One Python process.  ``cpu``: cores since the last look (at first: over its life); ``started``: wall
    seconds; ``rss``: bytes; ``python``: like ``3.11``, empty if unknown.

    ``agent``: its agent's name, None if it has none.  ``asyncio``: whether it is loaded, None if unknown.
    ``obstacle``: why it cannot be attached to, empty if it can.  ``monitor``: the TARGET of the aiomonitor it
    seems to run, empty if none.  ``parent``: the nearest Python process above it, 0 if there is none.
    ``stack``: the address of its stack, which each exec moves; 0 if unknown.  ``directory``: in which it
    works; ``folder``: that of its script, if it runs one, else the same; empty if unknown.
    """

    pid: int
    user: str
    command: str
    started: float
    rss: int
    cpu: float
    threads: int
    python: str
    agent: str | None
    asyncio: bool | None
    obstacle: str
    own: bool
    monitor: str = ""
    parent: int = 0
    role: Role = ""
    stack: int = 0
    directory: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class _Build:
    """What the mapped files of a process reveal; nothing if they are unreadable."""

    python: str
    asyncio: bool | None
    may_be_monitored: bool = False
    kind: builds.Build = ""


_last_cpu: dict[int, tuple[float, float]] = {}
"""By pid, for the processes of the last look: the time, and CPU seconds until then."""


def processes(
    known: Mapping[int, PythonProcess] = MappingProxyType({}), only: Collection[int] | None = None
) -> tuple[PythonProcess, ...]:
    """Every Python process but this one, likeliest targets first.

    Those ``known`` to have an agent, by pid, are not looked at again: that costs milliseconds each.
    ``only``: no others than these.  Raises AttachError.
    """
    demand_list()
    found: list[PythonProcess] = []
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        if pid == os.getpid() or (only is not None and pid not in only):
            continue
        try:
            before = known.get(pid)
            if before is not None and before.agent is not None and _is_still(before):
                found.append(before)
                continue
            build = _build(pid)
            if build is not None:
                found.append(_look(pid, build))
        except OSError:
            continue  # it has just ended
    for gone in _last_cpu.keys() - {process.pid for process in found}:
        del _last_cpu[gone]
    fresh = any(known.get(each.pid) is not each for each in found)
    return tuple(sorted(_related(found) if fresh else found, key=_unlikely))


def is_this(process: PythonProcess) -> bool:
    """Whether it is the process that asks, as somebody else lists it, maybe on another machine."""
    if process.pid != os.getpid() or not procfs.is_here():
        return False
    return abs(process.started - _began(procfs.usage(process.pid))) < 1.0


def demand_list() -> None:
    """Raises AttachError where processes cannot be listed; it names the agents, which can be."""
    if not procfs.is_here():
        agents = [each.name for each in endpoint.listing() if endpoint.answers(each.path)]
        raise procfs.missing(", ".join(agents))


def _related(found: list[PythonProcess]) -> list[PythonProcess]:
    """The processes, each with its parent among them and what it is for that one."""
    above, by_pid = family.parents(), {each.pid: each for each in found}
    related = []
    for each in found:
        parent = by_pid.get(family.ancestor(each.pid, above, by_pid))
        if parent is None:
            related.append(each)
            continue
        role = family.role_beside(each.command, each.role, parent.command, parent.role)
        related.append(replace(each, parent=parent.pid, role=role))
    return related


def _unlikely(process: PythonProcess) -> tuple[object, ...]:
    return (
        _is_ours(process.command),
        process.agent is None,
        bool(process.obstacle) and not process.monitor,
        not process.own,
        not process.asyncio,
        -process.rss,
        process.pid,
    )


def _is_ours(command: str) -> bool:
    """Whether it is a TaskScope at work, not a program that one runs."""
    return command.startswith("taskscope ") and not command.startswith("taskscope run ")


def _build(pid: int) -> _Build | None:
    """None: not a Python program.  If the files are unreadable, its name decides."""
    try:
        executable = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115  (a path object is half the cost)
    except PermissionError:
        executable = ""
    except FileNotFoundError:
        return None  # a kernel thread
    if not executable:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return _Build(builds.version_in(name), None) if _EXECUTABLE.match(name) else None
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except PermissionError:
        maps = ""
    if not _EXECUTABLE.match(executable.rpartition("/")[2]) and not _LIBRARY.search(maps):
        return None
    files = f"{executable}\n{maps}"
    return _Build(
        builds.version_in(files), _asyncio(maps), peers.may_run_monitor(maps), builds.of_files(files)
    )


def _asyncio(maps: str) -> bool | None:
    if "/_asyncio." in maps or "/uvloop/" in maps:
        return True
    return False if "/lib-dynload/" in maps else None  # without lib-dynload it may be built in


def _is_still(before: PythonProcess) -> bool:
    """Whether it still runs, and runs the same program."""
    usage = procfs.usage(before.pid)
    return (before.started, before.stack) == (_began(usage), usage.stack)


def _began(usage: procfs.Usage) -> float:
    """When it started, in wall seconds."""
    return _booted() + usage.started / _TICK


def _look(pid: int, build: _Build) -> PythonProcess:
    status, usage = procfs.status(pid), procfs.usage(pid)
    uid = int(status["Uid"].split()[1])
    started = _began(usage)
    agent, command, directory = agent_in(pid), procfs.command(pid), procfs.directory(pid)
    return PythonProcess(
        pid=pid,
        user=user_name(int(status["Uid"].split()[0])),
        command=wire.clean_text(readable(command) or status["Name"]),
        started=started,
        rss=procfs.resident(pid),
        cpu=_cpu(pid, started, usage.cpu / _TICK),
        threads=usage.threads,
        python=build.python,
        agent=agent.name if agent is not None else None,
        asyncio=build.asyncio,
        obstacle="" if agent is not None else _obstacle(pid, build),
        own=uid == os.geteuid(),
        monitor=peers.monitor_of(pid) if build.may_be_monitored else "",
        role=family.role_by(command),
        stack=usage.stack,
        directory=wire.clean_text(directory),
        folder=wire.clean_text(folder_of(command, directory)),
    )


@functools.cache
def _booted() -> float:
    """When this machine started, in wall seconds."""
    found = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def user_name(uid: int) -> str:
    try:
        return wire.clean_text(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)


def readable(command: list[str]) -> str:
    """A short command line: without the interpreter and directories."""
    if not command:
        return ""
    words = _program(command)
    if not words:
        return command[0].rpartition("/")[2]
    if words[0] == "-m":
        words = words[1:]
    elif words[0] == "-c":
        words = ["python", *words]
    else:
        words = [words[0].rpartition("/")[2], *words[1:]]
    return " ".join(" ".join(words).split())[:_LONGEST_COMMAND]


def _program(command: list[str]) -> list[str]:
    """What the interpreter runs, and the arguments of that."""
    words = command[1:] if _EXECUTABLE.match(command[0].rpartition("/")[2]) else command
    while words and words[0].startswith("-") and words[0] not in {"-c", "-m", "-"}:
        words = words[2:] if words[0] in {"-X", "-W"} else words[1:]
    return words


def folder_of(command: list[str], directory: str) -> str:
    """The folder of the script that ``command`` runs in ``directory``; without one, ``directory``."""
    script = next(iter(_program(command)), "") if command else ""
    folder = os.path.normpath(os.path.join(directory, os.path.dirname(script)))  # noqa: PTH118,PTH120
    return directory if not script or script.startswith("-") else folder if folder.startswith("/") else ""


def _cpu(pid: int, started: float, seconds: float) -> float:
    now = time.time()
    since, before = _last_cpu.get(pid, (started, 0.0))
    _last_cpu[pid] = (now, seconds)
    return max(0.0, seconds - before) / max(now - since, 0.01)


def _obstacle(pid: int, build: _Build) -> str:
    if not privilege.may_inspect(pid):
        return privilege.remedy(pid)
    python = build.python
    if build.kind not in {"", "musl"}:
        return builds.hint(build.kind)
    if builds.is_old(python):
        return f"Python {python}: 3.11 or later is needed"
    if build.kind:
        return builds.hint(build.kind)
    status = procfs.status(pid)
    if status.get("State", "")[:1] in {"Z", "X"}:
        return "its main thread has ended" if procfs.is_headless(status) else "has ended"
    if status.get("TracerPid", "0") != "0":
        return f"being debugged by process {status['TracerPid']}"
    if status.get("State", "")[:1] == "T":
        return f"stopped: kill -CONT {pid}"
    if procfs.frozen(pid):
        return "frozen with its control group"
    return ""
