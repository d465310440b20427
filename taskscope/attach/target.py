"""What a process is, and whether it can be attached to, determined without touching it.

Everything here only reads: /proc, and the process's memory through /proc/PID/mem, which requires the same
permission as a debugger.  So a process that passes may be attached to, and one that fails is unchanged.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import builds, elf, privilege, procfs
from taskscope.attach.architectures import BY_MACHINE, Architecture
from taskscope.attach.errors import AttachError, BeingTracedError, OutOfReachError
from taskscope.attach.loaded import Loaded
from taskscope.attach.reading.memory import Memory
from taskscope.interpreter import NEWEST, OLDEST
from taskscope.values import dataclass
from taskscope.wire import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 1.0
"""Seconds to wait for another client that is attaching; it takes a few milliseconds."""

C_API = ("Py_IsInitialized", "PyGILState_Ensure", "PyRun_SimpleString", "PyGILState_Release")
THREADS, MEMORY = ("pthread_create", "pthread_detach"), ("munmap",)
"""Functions of the C library; before glibc 2.34 the first two have a library of their own."""

_LIBC = r"libc[.-]|libpthread[.-]"
_NOT_CPYTHON = (
    "it does not export CPython's C API: not CPython, linked without its symbols, or still starting"
)
_IF_CPYTHON = "if it is Python, start it with `taskscope run`"


@dataclass(frozen=True, slots=True)
class Target:
    """A running CPython.  ``inner_pid`` and ``inner_uid`` are its own view of them, ``addresses`` those of
    ``C_API`` and of the C library; instructions in ``text`` belong to the interpreter.  ``root`` is the
    prefix that makes its paths reachable from here; ``any_file``: no mode of a file keeps it out.
    """

    pid: int
    inner_pid: int
    started: int
    uid: int
    inner_uid: int
    groups: frozenset[int]
    any_file: bool
    executable: str
    architecture: Architecture
    version: tuple[int, int, int]
    same_bytecode: bool
    stopped: bool
    other_pids: bool
    root: str
    addresses: dict[str, int]
    text: tuple[range, ...]


def examine(pid: int, patience: float = 0.0) -> Target:
    """The process as it is now.  Raises AttachError if it cannot be attached to.

    Waits up to ``patience`` seconds for another client that is attaching.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _examine(pid)
        except BeingTracedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _examine(pid: int) -> Target:
    if not procfs.is_here():
        raise procfs.missing()
    with explained(pid):
        status = procfs.status(pid)
        _refuse_by_status(pid, status)
        executable = _executable(pid)
        maps = procfs.maps(pid)
        build = builds.of_files("\n".join([executable, *{each.path for each in maps}]))
        if build not in ("musl", "free-threaded"):  # those are told with their version
            builds.refuse(pid, build)
        with Memory(pid) as memory:
            images = Loaded(memory.read_if_there, maps, executable)
            found = images.python(C_API)
            if found is None:
                builds.refuse(pid, build if build != "musl" else "")
                raise AttachError(f"process {pid} cannot be attached to: {_NOT_CPYTHON}", _IF_CPYTHON)
            _, python = found
            hexversion = _hexversion(pid, images, python)
            architecture = _architecture(pid, images, python)
            builds.refuse(pid, build)
            libc = images.library(MEMORY, _LIBC)
            threads = images.library(THREADS, _LIBC)
            if libc is None or threads is None:
                raise AttachError(f"process {pid} has no usable C library with threads")
            uid = int(status["Uid"].split()[1])
            inner_uid = procfs.inner_uid(pid, uid)
            return Target(
                pid=pid,
                inner_pid=int(status.get("NSpid", str(pid)).split()[-1]),
                started=procfs.start_time(pid),
                uid=uid,
                inner_uid=inner_uid,
                groups=frozenset(map(int, (status["Gid"].split()[1], *status.get("Groups", "").split()))),
                any_file=inner_uid == uid and privilege.may_use_any_file(status),
                executable=executable,
                architecture=architecture,
                version=(hexversion >> 24, hexversion >> 16 & 0xFF, hexversion >> 8 & 0xFF),
                same_bytecode=_kind(hexversion) == _kind(sys.hexversion),
                stopped=status["State"][:1] in "Tt",
                other_pids=procfs.namespace(pid, "pid") != procfs.namespace("self", "pid"),
                root=procfs.root(pid),
                addresses=_addresses(python, C_API)
                | _finalizing(pid, python)
                | _addresses(threads, THREADS)
                | _addresses(libc, MEMORY),
                # An executable with its own malloc may be stopped inside it, holding its lock.
                text=() if python.symbol("malloc") else python.text,
            )


def out_of_sight(pid: int) -> OutOfReachError:
    """What to raise for a process that /proc does not show: there is none, or it is hidden from us."""
    if not Path(f"/proc/{pid}").exists() and privilege.exists(pid):
        return OutOfReachError(f"process {pid} cannot be seen", privilege.HIDDEN)
    return OutOfReachError(f"no such process: {pid}")


@contextlib.contextmanager
def explained(pid: int) -> Iterator[None]:
    """Turns errors from inspecting a process into AttachError."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError):
        raise out_of_sight(pid) from None
    except PermissionError:
        raise OutOfReachError(f"no permission to inspect process {pid}", privilege.remedy(pid)) from None
    except OSError as error:
        if Path(f"/proc/{pid}").exists():
            raise AttachError(
                f"the memory of process {pid} cannot be read ({error.strerror}): it is starting or ending",
                "try again",
            ) from None
        raise AttachError(f"process {pid} has just ended") from None


def _refuse_by_status(pid: int, status: dict[str, str]) -> None:
    state = status.get("State", "?")
    if state[0] in "ZX":
        raise AttachError(procfs.end(pid))
    if int(status["Tgid"]) != pid:
        raise AttachError(f"{pid} is a thread", f"attach to its process, {status['Tgid']}")
    tracer = int(status.get("TracerPid", "0"))
    if tracer:
        raise BeingTracedError(f"process {pid} is being debugged by process {tracer}", "stop that first")


def _executable(pid: int) -> str:
    found = procfs.executable(pid)
    if not found:
        raise AttachError(f"process {pid} is a kernel thread, not a Python program")
    return found


def _architecture(pid: int, images: Loaded, python: elf.Image) -> Architecture:
    """Raises AttachError if it is not supported, or emulated."""
    found = BY_MACHINE.get(python.machine)
    if found is None:
        known = " and ".join(each.name for each in BY_MACHINE.values())
        raise AttachError(
            f"process {pid} is for another processor; TaskScope attaches to {known}", builds.RUN
        )
    if images.machine(images.executable) not in (0, python.machine):
        emulator = clean_text(Path(images.executable).name)
        raise AttachError(
            f"process {pid} is a program for {found.name} that {emulator} emulates; no agent can enter it",
            builds.RUN,
        )
    return found


def _addresses(image: elf.Image, names: tuple[str, ...]) -> dict[str, int]:
    return {name: image.symbol(name) or 0 for name in names}


def _finalizing(pid: int, python: elf.Image) -> dict[str, int]:
    """``Py_IsFinalizing``, which had an underscore before 3.13."""
    address = python.symbol("Py_IsFinalizing") or python.symbol("_Py_IsFinalizing")
    if address is None:
        raise AttachError(f"process {pid} cannot be attached to: {_NOT_CPYTHON}")
    return {"Py_IsFinalizing": address}


def _kind(hexversion: int) -> int:
    """Equal for versions with the same bytecode, which is fixed once a minor version is released."""
    return hexversion >> 16 if hexversion & 0xF0 == 0xF0 else hexversion


def _hexversion(pid: int, images: Loaded, python: elf.Image) -> int:
    """Its version in the format of ``sys.hexversion``, from the constant ``Py_Version`` (3.11 on).

    Raises AttachError if it is not supported.
    """
    constant = python.symbol("Py_Version")
    if constant is None:
        raise builds.too_old(pid, images.old_version())
    code = int.from_bytes(images.read(constant, 4), "little")
    version = (code >> 24, code >> 16 & 0xFF, code >> 8 & 0xFF)
    if not OLDEST <= version[:2] <= NEWEST:
        raise builds.too_old(pid, ".".join(map(str, version)))
    if builds.is_free_threaded(python, images.read):
        builds.refuse(pid, "free-threaded", version)
    return code
