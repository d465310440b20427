"""The limits read for a process, from file trees as Linux presents them in each arrangement."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.agent import Agent
from taskscope.agent.counts import limits
from taskscope.agent.inspect.walk import run
from taskscope.system import system

if TYPE_CHECKING:
    from pathlib import Path

MEGA = 1 << 20
V2 = "29 1 0:26 {top} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = (
    "30 1 0:27 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "31 1 0:28 {top} /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)
ORDINARY = "Threads:\t7\nCapEff:\t0000000000000000\n"


class Machine:
    """Files below a root of their own."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.has("/proc/meminfo", "MemTotal:  1024000 kB\nMemFree: 1 kB\n")
        self.has("/proc/self/status", ORDINARY)
        self.has("/proc/self/uid_map", "0 0 4294967295\n")
        self.has("/proc/loadavg", "0.1 0.2 0.3 1/400 999\n")
        self.has("/proc/sys/kernel/threads-max", "90000\n")

    def has(self, path: str, text: str) -> None:
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as file:
            file.write(text)

    def group(self, mounts: str, path: str) -> None:
        self.has("/proc/self/mountinfo", mounts)
        self.has("/proc/self/cgroup", path)

    @property
    def memory(self) -> int | None:
        return limits.memory_limit(self.root)

    @property
    def threads(self) -> limits.ThreadLimit | None:
        return run(limits.thread_limit(self.root))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return Machine(tmp_path)


def test_without_groups_memory_is_the_machines_and_threads_the_kernels(machine: Machine) -> None:
    assert machine.memory == 1024000 * 1024
    assert machine.threads == limits.ThreadLimit(7 + 90000 - 400, "kernel.threads-max")


def test_the_least_of_nested_groups_counts(machine: Machine) -> None:
    machine.group(V2.format(top="/"), "0::/shop/orders/worker\n")
    for path, memory, most, now in [
        ("", "max", "max", "380"),
        ("/shop", f"{300 * MEGA}", "600", "90"),
        ("/shop/orders", f"{200 * MEGA}", "500", "50"),
        ("/shop/orders/worker", "max", "max", "20"),
        ("/shop/other", "1", "1", "1"),  # somebody else's
    ]:
        machine.has(f"/sys/fs/cgroup{path}/memory.max", memory + "\n")
        machine.has(f"/sys/fs/cgroup{path}/pids.max", most + "\n")
        machine.has(f"/sys/fs/cgroup{path}/pids.current", now + "\n")
    assert machine.memory == 200 * MEGA
    assert machine.threads == limits.ThreadLimit(7 + 450, "pids.max of the control group")
    machine.has("/sys/fs/cgroup/shop/pids.current", "550\n")  # the others of the shop use it up
    assert machine.threads == limits.ThreadLimit(7 + 50, "pids.max of the control group")
    machine.has("/sys/fs/cgroup/shop/pids.max", "500\n")  # lowered below what there is
    assert machine.threads == limits.ThreadLimit(7, "pids.max of the control group")


def test_groups_of_the_first_version(machine: Machine) -> None:
    machine.group(V1.format(top="/"), "8:pids:/shop\n4:cpu,memory:/shop/orders\n0::/\n")
    for path, limit in [("", 9223372036854771712), ("/shop", 400 * MEGA), ("/shop/orders", 500 * MEGA)]:
        machine.has(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes", f"{limit}\n")
    machine.has("/sys/fs/cgroup/pids/shop/pids.max", "100\n")
    machine.has("/sys/fs/cgroup/pids/shop/pids.current", "40\n")
    assert machine.memory == 400 * MEGA
    assert machine.threads == limits.ThreadLimit(67, "pids.max of the control group")


@pytest.mark.parametrize(
    ("top", "path", "place"),
    [
        ("/", "/", ""),  # a namespace of its own: its root is the container's group
        (
            "/docker/abc",
            "/docker/abc",
            "",
        ),  # none: the container's group is mounted, the path is the machine's
        ("/docker/abc", "/docker/abc/job", "/job"),
        ("/", "/../other", ""),  # moved out of its namespace
        ("/../..", "/", ""),  # what is mounted reaches beyond the namespace
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_in_containers(machine: Machine, top: str, path: str, place: str, version: int) -> None:
    if version == 2:
        machine.group(V2.format(top=top), f"0::{path}\n")
        machine.has(f"/sys/fs/cgroup{place}/memory.max", f"{64 * MEGA}\n")
        where = f"/sys/fs/cgroup{place}"
    else:
        machine.group(V1.format(top=top), f"8:pids:{path}\n4:memory:{path}\n")
        machine.has(f"/sys/fs/cgroup/memory{place}/memory.limit_in_bytes", f"{64 * MEGA}\n")
        where = f"/sys/fs/cgroup/pids{place}"
    machine.has(f"{where}/pids.max", "30\n")
    machine.has(f"{where}/pids.current", "10\n")
    assert machine.memory == 64 * MEGA
    assert machine.threads == limits.ThreadLimit(27, "pids.max of the control group")


@pytest.mark.parametrize(
    ("uid", "capabilities", "map", "counts"),
    [
        (1000, 0, "0 0 4294967295", True),
        (0, 0, "0 0 4294967295", False),
        (1000, 1 << 24, "0 0 4294967295", False),
        (1000, 1 << 21, "0 0 4294967295", False),
        (0, -1, "0 100000 65536", True),  # root in a container is a user outside
    ],
)
def test_a_users_limit_counts_for_all_but_root(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, uid: int, capabilities: int, map: str, counts: bool
) -> None:
    machine.has("/proc/self/status", f"Threads:\t7\nCapEff:\t{capabilities & (1 << 40) - 1:016x}\n")
    machine.has("/proc/self/uid_map", map + "\n")
    for pid, threads in ((10, 4), (11, 2)):
        for number in range(threads):
            os.makedirs(f"{machine.root}/proc/{pid}/task/{number}")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (50, 60))
    monkeypatch.setattr(system, "getuid", lambda: uid)
    monkeypatch.setattr(system, "stat", lambda path: _as_of_proc(os.stat(path), path, uid))
    found = machine.threads
    assert found is not None
    if counts:
        assert found == limits.ThreadLimit(7 + 50 - 6, "RLIMIT_NPROC of the user")
    else:
        assert found.by == "kernel.threads-max"


def _as_of_proc(status: os.stat_result, path: str, uid: int) -> os.stat_result:
    """With the owner and the links that ``/proc`` would show; not every file system counts links."""
    fields = list(status)
    fields[3], fields[4] = 2 + len(os.listdir(path)), uid
    return os.stat_result(fields)


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path) -> None:
    assert limits.memory_limit(str(tmp_path)) is None
    assert run(limits.thread_limit(str(tmp_path))) is None


def test_a_changed_limit_comes_with_a_sample() -> None:
    agent = Agent("x", interval=1.0, control=False, version="0")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
        assert run(agent.tick()).process is None  # not at each sample
        agent.described._next_limits = 0.0
        told = run(agent.tick()).process
        assert told is not None
        assert told.fd_limit == before[0] - 1
        assert agent.hello().process == told
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        agent._undo()
