"""Environments that root can make on this machine: users, capabilities, mounts, chroots, interpreters."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests import pythons, targets
from tests.machine.environment import PYTHON, USER, Environment, Missing, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.machine.look import Seen

OTHER = ("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--inh-caps=-all")
WITH_MORE = ("--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service")
NO_PTRACE = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
IDLE = targets.PROGRAMS["asyncio idle"]
NOT_DUMPABLE = f"import ctypes; ctypes.CDLL(None).prctl(4, 0)\n{IDLE}"
GIVES_UP_ROOT = f"import os; os.setgroups([]); os.setresgid(*[65534] * 3); os.setresuid(*[65534] * 3)\n{IDLE}"

ROOTLESS = (
    *USER,
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
"""Before a command: as an ordinary user who is root in a user namespace, as in rootless containers."""

INSIDE = (
    *USER,
    "sh",
    "-c",
    'for pid; do :; done; exec nsenter -U -m -p -t $pid --preserve-credentials "$1" "$2" "$3" "$4" 1',
    "sh",
)
"""Before the command that looks: where the program is 1."""

NO_TMP = "mount -t tmpfs -o mode=000 tmpfs /tmp; mount -t tmpfs -o mode=000 tmpfs /run"
NOWHERE = f"{targets.READ_ONLY}\nmount -t tmpfs -o ro tmpfs /dev/shm"


@contextmanager
def program(
    text: str = IDLE,
    before: Sequence[str] = (),
    python: str | Path = PYTHON,
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[int]:
    """A program that runs; its pid."""
    with targets.running(python, text, options, before, env=environment) as found:
        yield found.pid


BY_ANOTHER = ("sh", "-c", 'shift; exec "$0" "$@"', str(pythons.installed().get("3.14", "python3.14")))
"""Before a command of Python: by another one, with another C library."""


def hidepid(level: int, *who: str) -> tuple[str, ...]:
    """Before a command: with a /proc mounted that way."""
    script = f'mount -t proc -o hidepid={level} proc /proc && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh", *who)


def without_ptrace(*who: str) -> tuple[str, ...]:
    """Before a command: under a seccomp profile that forbids this system call and allows all others."""
    filter = (
        "import ctypes, os, struct, sys\n"
        "rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 101), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]\n"
        "code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *each) for each in rules))\n"
        "program = struct.pack('HxxxxxxP', len(rules), ctypes.addressof(code))\n"
        "libc = ctypes.CDLL(None)\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0\n"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return (*who, PYTHON, "-c", filter)


def socket(seen: Seen) -> str:
    """Where the agent listens."""
    return f"works; its socket is in {place(seen)}"


def debugging(seen: Seen) -> str:
    """What doctor says of the owner's wish."""
    return f"works; `doctor`: {seen.facts['debugging']}"


@contextmanager
def stopped() -> Iterator[int]:
    with program() as pid:
        os.kill(pid, signal.SIGSTOP)
        yield pid


@contextmanager
def traced() -> Iterator[int]:
    """With a debugger that has seized it."""
    debugger = (
        "import ctypes, sys; assert ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0; "
        "print('seized', flush=True); sys.stdin.read()"
    )
    with (
        program() as pid,
        subprocess.Popen([sys.executable, "-c", debugger, str(pid)], stdin=-1, stdout=-1) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == b"seized\n"
        yield pid
        child.kill()


@contextmanager
def image() -> Iterator[int]:
    """Python 3.14 and its libraries from Debian's next release, without a shell, as the root of all files."""
    python = _another_libc()
    tree = python.parents[2]
    script = f"""
mount --make-rprivate /; image=$(mktemp -d); mount -t tmpfs tmpfs $image; cd $image
mkdir -p usr proc tmp old .{tree.parent}; mount --rbind {tree}/usr usr; mount -t proc proc proc
ln -s usr/lib lib; ln -s usr/lib64 lib64; ln -s / .{tree}
pivot_root . old; cd /"""
    with program(before=targets.container(script), python="/usr/bin/python3.14") as pid:
        assert not Path(f"/proc/{pid}/root/bin").exists()
        yield pid


@contextmanager
def beside_another() -> Iterator[int]:
    """A program of the machine's own Python, where there is another one to look at it."""
    _another_libc()
    with program() as pid:
        yield pid


def _another_libc() -> Path:
    python = pythons.installed().get("3.14")
    if python is None or not (python.parents[2] / "usr/lib64/ld-linux-x86-64.so.2").exists():
        raise Missing("no Python 3.14 with a C library of its own")
    return python


@contextmanager
def built(*flags: str) -> Iterator[int]:
    """An interpreter linked into an executable of its own, from Debian's library of objects."""
    objects = sorted(Path("/usr/lib/python3.11").glob("config-*/libpython3.11-pic.a"))
    if not objects or shutil.which("gcc") is None:
        raise Missing("no gcc with libpython3.11-dev")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "main.c"
        source.write_text("#include <Python.h>\nint main(int n, char **v) { return Py_BytesMain(n, v); }\n")
        libraries = [f"-l{each}" for each in ("expat", "z", "m", "dl", "util", "pthread")]
        words = ["gcc", "-w", "-I/usr/include/python3.11", *flags, "-o", f"{name}/program", str(source)]
        words += ["-Wl,--whole-archive", str(objects[0]), "-Wl,--no-whole-archive", *libraries]
        subprocess.run(words, check=True, capture_output=True)
        text = targets.PROGRAMS["sleep" if "-static-pie" in flags else "asyncio idle"]
        with program(text, python=f"{name}/program", environment={"PYTHONHOME": "/usr"}) as pid:
            yield pid


@contextmanager
def stripped() -> Iterator[int]:
    """An interpreter and its library with no symbols but those that are needed to load them."""
    home = Path(sys.base_prefix)
    libraries = sorted(home.glob("lib/libpython3.1*.so.1.0"))
    if not libraries or shutil.which("strip") is None:
        raise Missing("no strip, or no shared libpython")
    with tempfile.TemporaryDirectory() as name:
        for each in (home / "bin/python3", libraries[0]):
            shutil.copy(each, name)
            subprocess.run(["strip", "--strip-all", Path(name) / each.name], check=True)
        environment = {"PYTHONHOME": str(home), "LD_LIBRARY_PATH": name}
        with program(python=f"{name}/python3", environment=environment) as pid:
            assert f"{name}/libpython" in Path(f"/proc/{pid}/maps").read_text()
            yield pid


@contextmanager
def newer(*options: str, **environment: str) -> Iterator[int]:
    """A program under Python 3.14, with these options and variables."""
    python = pythons.installed().get("3.14")
    if python is None:
        raise Missing("no Python 3.14")
    with program(python=python, options=options, environment=environment) as pid:
        yield pid


HERE = (
    Environment("another user's process, as root", partial(program, before=USER), "^works"),
    Environment("another user's process", partial(program, before=OTHER), "it belongs to uid 65533", USER),
    Environment("one's own, as an ordinary user", partial(program, before=USER), "^works", USER),
    Environment("root without CAP_SYS_PTRACE", program, "root lacks CAP_SYS_PTRACE here", NO_PTRACE),
    Environment(
        "more capabilities than who looks",
        partial(program, before=(*USER[:-1], *WITH_MORE)),
        "it has more capabilities than taskscope",
        USER,
    ),
    Environment("a seccomp profile forbids ptrace", program, "forbids ptrace here", without_ptrace()),
    Environment("not dumpable", partial(program, NOT_DUMPABLE, USER), r"\(not dumpable\)", USER),
    Environment("not dumpable, as root", partial(program, NOT_DUMPABLE, USER), "^works"),
    Environment("has given up root", partial(program, GIVES_UP_ROOT), r"\(not dumpable\)", USER),
    Environment("hidepid=1, one's own", partial(program, before=USER), "^works", hidepid(1, *USER)),
    Environment("hidepid=1, another user's", program, r"/proc hides", hidepid(1, *USER)),
    Environment("hidepid=2, one's own", partial(program, before=USER), "^works", hidepid(2, *USER)),
    Environment("hidepid=2, another user's", program, r"/proc hides", hidepid(2, *USER)),
    Environment("hidepid=2, as root", partial(program, before=USER), "^works", hidepid(2)),
    Environment(
        "rootless (a user namespace of one's own)", partial(program, before=ROOTLESS), "^works", USER
    ),
    Environment("rootless, as root", partial(program, before=ROOTLESS), "^works"),
    Environment("rootless, from inside", partial(program, before=ROOTLESS), "^works", INSIDE),
    Environment(
        "outside of the user namespace of who looks",
        partial(program, before=USER),
        "it runs outside of our user namespace",
        (*USER, "unshare", "--user", "--map-root-user"),
    ),
    Environment(
        "a read-only root",
        partial(program, before=targets.container(targets.READ_ONLY)),
        "in /dev/shm$",
        note=socket,
    ),
    Environment(
        "no /tmp, /run, HOME",
        partial(program, before=("env", "-i", *targets.container(NO_TMP, " ".join(USER)))),
        "in /dev/shm$",
        note=socket,
    ),
    Environment(
        "nowhere to write", partial(program, before=targets.container(NOWHERE)), "no place to listen"
    ),
    Environment("an image with Python and its libraries alone, another C library", image, "^works"),
    Environment("looked at from another C library", beside_another, "^works", BY_ANOTHER),
    Environment("stripped interpreter", stripped, "^works"),
    Environment("interpreter linked into a program", partial(built, "-rdynamic"), "^works"),
    Environment("static-pie interpreter", partial(built, "-static-pie"), "does not export CPython's C API"),
    Environment(
        "-X disable-remote-debug",
        partial(newer, "-X", "disable-remote-debug"),
        "switched off",
        note=debugging,
    ),
    Environment(
        "PYTHON_DISABLE_REMOTE_DEBUG",
        partial(newer, PYTHON_DISABLE_REMOTE_DEBUG="1"),
        "switched off",
        note=debugging,
    ),
    Environment("a debugger is there", traced, "is being debugged by process"),
    Environment("stopped (SIGSTOP)", stopped, "is stopped, so no agent can start in it; kill -CONT PID"),
)
