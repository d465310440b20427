"""Environments that take a kernel of their own: Yama, control groups of version 2, containers by runc."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import targets
from tests.containers.in_a_container import NAME, Container
from tests.machine.environment import PYTHON, USER, Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.machine.look import Seen

PACKAGES = ("python3.11", "util-linux", "runc", "golang-github-containers-common")
"""What they take, of Debian's."""

_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_GROUPS = Path("/sys/fs/cgroup")
_PROFILE = Path("/usr/share/containers/seccomp.json")

INSIDE = ("sh", "-c", f'exec runc exec --env PYTHONPATH="$PYTHONPATH" {NAME} "$1" "$2" "$3" "$4" 1', "sh")
"""Before the command that looks: in the container, where the program is 1."""


@contextmanager
def yama(scope: int) -> Iterator[int]:
    """A user's program where Yama restricts ptrace so."""
    _SCOPE.write_text(str(scope))
    with targets.running(PYTHON, "asyncio idle", before=USER) as found:
        yield found.pid
    if scope < 3:  # it cannot be lowered
        _SCOPE.write_text("0")


@contextmanager
def limited(**limits: int | str) -> Iterator[int]:
    """A program in a control group that has these limits once it runs; ``memory_left``: bytes."""
    (_GROUPS / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    group = _GROUPS / "limited"
    group.mkdir()
    with targets.running(PYTHON, "asyncio idle") as found:
        (group / "cgroup.procs").write_text(str(found.pid))
        if "memory_left" in limits:
            used = int((group / "memory.current").read_text())
            limits["memory_max"] = used + int(limits.pop("memory_left"))
        for name, value in limits.items():
            (group / name.replace("_", ".", 1)).write_text(str(value))
        yield found.pid
        (group / "cgroup.freeze").write_text("0")
    group.rmdir()


@contextmanager
def contained(change: Callable[[dict[str, Any]], None] = lambda spec: None) -> Iterator[int]:
    """A program in a container of runc's, whose specification is changed so."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        container = Container(folder, change)
        try:
            yield container.pid
        finally:
            container.end()


def with_seccomp(spec: dict[str, Any]) -> None:
    """Gives it the default profile of Docker and Podman, for the capabilities that it has."""
    profile = json.loads(_PROFILE.read_text())
    granted = set(spec["process"]["capabilities"]["bounding"])

    def applies(rule: dict[str, Any]) -> bool:
        needed, forbidden = rule.get("includes") or {}, rule.get("excludes") or {}
        here = "amd64" in needed.get("arches", ["amd64"]) and "amd64" not in forbidden.get("arches", ())
        has = granted.issuperset(needed.get("caps", ()))
        return here and has and not granted.intersection(forbidden.get("caps", ()))

    rules = [
        {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key) is not None}
        for rule in profile["syscalls"]
        if applies(rule)
    ]
    spec["linux"]["seccomp"] = {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }


def with_users(spec: dict[str, Any]) -> None:
    """Gives it a user namespace: its root is nobody outside."""
    spec["linux"]["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
    spec["mounts"].pop()  # it has no right to what is to be shared
    spec["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}


def meters(seen: Seen) -> str:
    """The limits that the agent shows."""
    return f"works; meters: {seen.process['memory_limit'] >> 20} MB, {seen.process['thread_limit']} threads"


def meanwhile(seen: Seen) -> str:
    """What is said while one waits."""
    said = (each.removesuffix("; waiting") for each in seen.progress if each.endswith("; waiting"))
    return "; ".join(["works", *dict.fromkeys(said)])


THERE = (
    Environment("cgroup v2, 8 MB left", partial(limited, memory_left=8 << 20), r"only \d MB left of the"),
    Environment("cgroup v2, pids.max reached", partial(limited, pids_max=1), "may start no more threads"),
    Environment("cgroup v2, pids.max: one is left", partial(limited, pids_max=2), "only 1 more thread"),
    Environment(
        "cgroup v2, enough of both",
        partial(limited, memory_max=128 << 20, pids_max=20),
        "^works; meters: 128 MB, 20 threads",
        note=meters,
    ),
    Environment(
        "cgroup v2, 10 % of a core",
        partial(limited, cpu_max="10000 100000"),
        "^works.* limit of its control group",
        note=meanwhile,
    ),
    Environment("cgroup v2, frozen", partial(limited, cgroup_freeze=1), "is frozen with its control group"),
    Environment("runc, default seccomp profile", partial(contained, with_seccomp), "^works"),
    Environment(
        "runc, default seccomp profile, from inside", partial(contained, with_seccomp), "^works", INSIDE
    ),
    Environment("runc, user namespace", partial(contained, with_users), "^works"),
    Environment("runc, user namespace, from inside", partial(contained, with_users), "^works", INSIDE),
    Environment("Yama 1, one's own", partial(yama, 1), r"ptrace_scope is 1: set it to 0, or run", USER),
    Environment("Yama 1, as root", partial(yama, 1), "^works"),
    Environment("Yama 2, one's own", partial(yama, 2), r"ptrace_scope is 2: run taskscope as root", USER),
    Environment("Yama 2, as root", partial(yama, 2), "^works"),
    Environment("Yama 3, one's own", partial(yama, 3), "ptrace_scope is 3: until a reboot nobody", USER),
    Environment("Yama 3, as root", partial(yama, 3), "ptrace_scope is 3: until a reboot nobody"),
)
