"""What /proc says about a process, read without touching it.

Every function raises the kernel's OSError: FileNotFoundError or ProcessLookupError if the process (or thread)
has ended, PermissionError if we may not look.
"""

from __future__ import annotations

import os
from pathlib import Path

from taskscope.attach.errors import AttachError
from taskscope.values import dataclass

PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes: the unit in which memory is mapped, in every process of this machine."""


def is_here() -> bool:
    """Whether this system has a /proc: no other than Linux does."""
    return Path("/proc/self/stat").exists()


def missing(agents: str = "") -> AttachError:
    """Why no process can be listed or attached to without one.  ``agents``: the names of those that run."""
    return AttachError(
        "there is no /proc here to find and enter processes by (Linux has one)",
        "start the program with `taskscope run` or call taskscope.start() in it, then attach by its name or "
        f"pid{f' (agents here: {agents})' if agents else ''}",
    )


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of /proc/PID/maps.  ``path`` is empty for anonymous memory."""

    start: int
    end: int
    executable: bool
    offset: int
    path: str


MOST_MAPS = 32 << 20
"""Bytes of a list of mappings that are read: the kernel's limit of 65,530 takes a third of that, unless their
paths are long."""


def maps(pid: int) -> tuple[Mapping, ...]:
    """The address space; empty for a kernel thread or a process that has ended."""
    found = []
    for line in maps_text(pid).split("\n")[:-1]:
        fields = line.split(None, 5)
        start, _, end = fields[0].partition("-")
        path = fields[5] if len(fields) > 5 else ""
        found.append(Mapping(int(start, 16), int(end, 16), "x" in fields[1], int(fields[2], 16), path))
    return tuple(found)


def maps_text(pid: int) -> str:
    """The same as the kernel writes it, whole lines."""
    return _lines(f"/proc/{pid}/maps")


def file_systems(pid: int) -> dict[str, str]:
    """The types of the file systems that a process sees, by their device as in maps; none if it is hidden."""
    try:
        lines = _lines(f"/proc/{pid}/mountinfo").split("\n")[:-1]
    except OSError:
        return {}
    found = {}
    for line in lines:
        mount, _, system = line.partition(" - ")
        major, _, minor = mount.split(" ", 3)[2].partition(":")
        found[f"{int(major):02x}:{int(minor):02x}"] = system.partition(" ")[0]
    return found


def _lines(path: str) -> str:
    with Path(path).open("rb") as file:
        text = file.read(MOST_MAPS).decode(errors="surrogateescape")
    return text[: text.rfind("\n") + 1]


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status by name."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


_FREEZERS = ("__refrigerator", "do_freezer_trap", "get_signal")
"""Where the kernel keeps frozen threads: those of a control group of version 1, or 2.  What else waits in
``get_signal`` is stopped or traced, which is another state."""


def frozen(pid: int) -> bool:
    """Whether its control group is frozen (``docker pause``): it runs no instruction until that is thawed."""
    return Path(f"/proc/{pid}/wchan").read_text() in _FREEZERS and status(pid)["State"][0] in "SD"


def ended(pid: int) -> bool:
    """Whether the process has ended, or is a zombie none of whose threads runs."""
    try:
        found = status(pid)
        return found["State"][0] in "ZX" and not is_headless(found)
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_headless(found: dict[str, str]) -> bool:
    """Whether the main thread of the process of that status has ended, while others run on."""
    return found["State"][0] == "Z" and int(found.get("Threads", "1")) > 1


def end(pid: int) -> str:
    """How a process has ended that cannot be looked at any more: a sentence without a full stop."""
    try:
        if is_headless(status(pid)):
            return (
                f"the main thread of process {pid} has ended while others run on; such a process is neither "
                "read nor entered"
            )
    except OSError:
        pass
    return f"process {pid} has ended"


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot: together with the pid, its identity."""
    return usage(pid).started


@dataclass(frozen=True, slots=True)
class Usage:
    """``started`` and ``cpu`` are clock ticks: since boot, and used so far by all its threads.

    ``stack``: its address.  Each exec moves it; 0 for a zombie, or if we may not look.
    """

    started: int
    cpu: int
    threads: int
    stack: int


def usage(pid: int) -> Usage:
    """What a process uses.  The kernel does not escape its name, which stands before these fields."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Usage(int(fields[19]), int(fields[11]) + int(fields[12]), int(fields[17]), int(fields[25]))


def command(pid: int) -> list[str]:
    """Its command line; empty for a kernel thread."""
    text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return text.removesuffix("\0").split("\0") if text else []


def directory(pid: int) -> str:
    """In which it works; empty if that cannot be seen."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115  (a path object is half the cost)
    except PermissionError:
        return ""


def executable(pid: int) -> str:
    """The path of the program that it runs, as its maps name it; empty for a kernel thread."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 (a path object is half the cost)
    except FileNotFoundError:
        if Path(f"/proc/{pid}").exists():
            return ""
        raise


def resident(pid: int) -> int:
    """Bytes of its memory that are in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def threads(pid: int) -> tuple[int, ...]:
    """Native ids of its threads, the main thread first."""
    ids = {int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()}
    return (pid, *sorted(ids - {pid}))


def age(pid: int) -> float:
    """Seconds since the process started."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - start_time(pid) / os.sysconf("SC_CLK_TCK")


def wakes(pid: int) -> int:
    """Voluntary context switches of its main thread: they grow while it is active."""
    fields = status(pid)
    return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])


def blocked_in(pid: int, tid: int) -> tuple[int, ...] | None:
    """The system call a thread is blocked in: its number, then the arguments.  None: it is running."""
    fields = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()
    if fields[0] == "running":
        return None
    return (int(fields[0]), *(int(field, 16) for field in fields[1:7]))


def thread_name(pid: int, tid: int) -> str:
    """The name of a thread in the kernel; "" if it is that of the process."""
    name, of_process = (
        Path(f"/proc/{pid}/task/{each}/comm").read_text(errors="replace").strip() for each in (tid, pid)
    )
    shown = "".join(each if each.isprintable() else "?" for each in name)
    return "" if tid != pid and name == of_process else shown


def environment(pid: int) -> dict[str, str]:
    """Its environment at start."""
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape")
    return {
        name: value for name, found, value in (entry.partition("=") for entry in text.split("\0")) if found
    }


def inner_uid(pid: int, uid: int) -> int:
    """What a process in a user namespace of its own (a rootless container) takes our ``uid`` for."""
    for line in Path(f"/proc/{pid}/uid_map").read_text().splitlines():
        inside, outside, count = map(int, line.split())
        if outside <= uid < outside + count:
            return inside + uid - outside
    return uid


def namespace(pid: int | str, kind: str) -> str:
    """Identity of its ``mnt``, ``pid``, ``net``… namespace; equal strings mean the same one."""
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def root(pid: int) -> str:
    """The prefix that makes its paths reachable from here; empty if it sees the same files as we do.

    It sees others in its own mount namespace or a chroot.
    """
    theirs, ours = Path(f"/proc/{pid}/root"), Path("/proc/self/root")
    same = namespace(pid, "mnt") == namespace("self", "mnt") and theirs.samefile(ours)
    return "" if same else str(theirs)
