"""The processes of a container on this machine, by its name or by its control group.

Docker and Podman are asked for one number, the container's first process, and only because the user names
one of them.  What else belongs to it is read from /proc: the control group tells, whatever started a process.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from taskscope import wire
from taskscope.attach import procfs
from taskscope.attach.errors import AttachError
from taskscope.attach.family import below, parents

ENGINES = ("docker", "podman")
GROUP = "cgroup"

_known: dict[tuple[str, str], tuple[int, int]] = {}
"""Pid and start time of the first process, by engine and name."""

PATIENCE = 10.0
"""Seconds for an answer of Docker or Podman."""


def is_container(target: str) -> bool:
    """Whether it has the form ``docker:NAME``, ``podman:NAME`` or ``cgroup:PATH``."""
    kind, colon, name = target.partition(":")
    return bool(colon and name) and kind in (*ENGINES, GROUP)


def members(target: str) -> set[int]:
    """Its processes now, Python or not.  Raises AttachError if there is no such container."""
    kind, _, name = target.partition(":")
    if kind == GROUP:
        return _of_group(name)
    first = _known_first(kind, name)
    own = {
        each: path for each, path in _groups(first).items() if path not in ("/", _groups("self").get(each))
    }
    if not own:  # the engine makes no control groups
        return {first, *below(first, parents())}
    return {pid for pid in parents() if _is_within(pid, own)}


def _known_first(engine: str, name: str) -> int:
    """The engine is asked again only when that process has ended: a group looks every second."""
    pid, started = _known.get((engine, name), (0, 0))
    with contextlib.suppress(OSError):
        if pid and procfs.start_time(pid) == started:
            return pid
    pid = _first_process(engine, name)
    with contextlib.suppress(OSError):
        _known[engine, name] = pid, procfs.start_time(pid)
    return pid


def _first_process(engine: str, name: str) -> int:
    """The pid, here, of the process the container was started with."""
    command = [engine, "inspect", "--type", "container", "--format", "{{.State.Pid}}", "--", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        raise AttachError(
            f"there is no {engine} here to ask for {name}", "name a pid of the container, or cgroup:PATH"
        ) from None
    except subprocess.TimeoutExpired:
        raise AttachError(f"{engine} has not answered within {PATIENCE:g} s") from None
    said = wire.clean_text(done.stderr.strip().rpartition("\n")[2])
    if done.returncode or not done.stdout.strip().isdigit():
        raise AttachError(f"{engine} knows no container {name}: {said or f'status {done.returncode}'}")
    pid = int(done.stdout)
    if not pid:
        raise AttachError(f"the container {name} is not running")
    if not Path(f"/proc/{pid}").exists():
        raise AttachError(
            f"process {pid} of the container {name} is not visible here",
            f"run taskscope where the engine runs, or in the container: --via '{engine} exec -i {name}'",
        )
    return pid


def _of_group(name: str) -> set[int]:
    """The processes of a control group and those below it: by its path in /proc/PID/cgroup, or its folder."""
    folder = Path(name)
    if (folder / "cgroup.procs").exists():
        return {int(pid) for each in folder.rglob("cgroup.procs") for pid in each.read_text().split()}
    path = f"/{name.strip('/')}"
    found = {pid for pid in parents() if any(_below(each, path) for each in _groups(pid).values())}
    if not found:
        raise AttachError(
            f"no process is in the control group {path}", "/proc/PID/cgroup shows that of a process"
        )
    return found


def _is_within(pid: int, groups: dict[str, str]) -> bool:
    theirs = _groups(pid)
    return all(_below(theirs.get(each, ""), path) for each, path in groups.items())


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}/")


def _groups(pid: int | str) -> dict[str, str]:
    """The control groups of a process, by hierarchy; none if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return {}
    return {each[1]: each[2] for line in lines if len(each := line.split(":", 2)) == 3}
