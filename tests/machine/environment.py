"""One environment: what makes it, what is seen of a process in it, and what must be said."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import attempt
from tests.machine.look import Seen
from tests.patience import FACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

REPO = Path(__file__).parents[2]

USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
"""Before a command: as an ordinary user."""

PYTHON = next((str(each) for each in Path("/usr/bin").glob("python3.1[1-9]")), sys.executable)
"""One that every user may run."""

_TOLD_BY_PS = (
    "no permission",
    "process PID is being debugged",
    "process PID is stopped",
    "process PID is frozen",
)
"""How refusals begin that are seen without reading the memory of a process."""


class Missing(Exception):
    """The environment cannot be made here; the message says what is missing."""


def works(_: Seen) -> str:
    """What the table says of an environment in which attaching works."""
    return "works"


@dataclass(frozen=True, slots=True)
class Environment:
    """``running``: a process in it, as a pid; ``look``: what makes a command one of whoever looks.

    ``says``: a pattern of the table's second column, which ``note`` writes if attaching works.
    """

    name: str
    running: Callable[[], AbstractContextManager[int]]
    says: str
    look: tuple[str, ...] = ()
    note: Callable[[Seen], str] = works


@dataclass(frozen=True, slots=True)
class Row:
    """``problem``: what is wrong with what was seen; empty if nothing."""

    name: str
    says: str
    problem: str = ""
    seconds: float = 0.0


def observed(environment: Environment, shelf: Path) -> Row:
    """Makes it, looks, and compares what is left with what was there.  Raises Missing."""
    with environment.running() as pid:
        before = _state(pid)
        seen = looked(pid, environment.look, shelf)
        left = _left(pid, before)
    says = (seen.attach or environment.note(seen)).replace(str(pid), "PID")
    says = re.sub(r"process \d+", "process N", says)
    return Row(environment.name, says, _problem(environment, seen, says) or left, seen.seconds)


def _problem(environment: Environment, seen: Seen, says: str) -> str:
    if not re.search(environment.says, says):
        return f"it was to say {environment.says}"
    if seen.doctor != seen.attach:
        return f"doctor says {seen.doctor!r}"
    if seen.path and f"{place(seen)}/taskscope" not in seen.facts["agent"]:
        return f"doctor says {seen.facts['agent']!r}"
    if seen.listed and bool(seen.ps) != says.startswith(_TOLD_BY_PS):
        return f"ps says {seen.ps!r}"
    return seen.detach


def place(seen: Seen) -> str:
    """The directory in which that of the agents is, as the process sees it."""
    return re.sub(r"^/proc/\d+/root|/taskscope[-/].*", "", seen.path)


def _state(pid: int) -> tuple[int, int]:
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def _left(pid: int, before: tuple[int, int]) -> str:
    deadline = time.monotonic() + 10 * FACTOR
    while (now := _state(pid)) != before:
        if time.monotonic() > deadline:
            return f"{now} threads and descriptors are left instead of {before}"
        time.sleep(0.05)
    pending = attempt.waiting(pid)
    return f"{pending} is left" if pending is not None else ""


def looked(pid: int, look: Sequence[str], shelf: Path) -> Seen:
    """What the product says to whoever ``look`` makes of us."""
    command = [*look, PYTHON, "-S", "-m", "tests.machine.look", str(pid)]
    environment = {"PYTHONPATH": str(shelf), "PATH": os.environ["PATH"], "TASKSCOPE_PATIENCE": str(FACTOR)}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return Seen(**said | {"progress": tuple(said["progress"])})


@contextmanager
def shelf() -> Iterator[Path]:
    """A copy of the product, and of who looks, that every user may read."""
    with tempfile.TemporaryDirectory(prefix="taskscope-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(REPO / "taskscope", folder / "taskscope")
        for each in (
            "__init__.py",
            "agent_client.py",
            "patience.py",
            "machine/__init__.py",
            "machine/look.py",
        ):
            (folder / "tests" / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / "tests" / each, folder / "tests" / each)
        yield folder


def rows(environments: Sequence[Environment]) -> Iterator[Row]:
    """What is seen in each, one after another."""
    with shelf() as folder:
        for each in environments:
            try:
                yield observed(each, folder)
            except Missing as missing:
                yield Row(each.name, f"not tried: {missing}")
            except Exception as error:
                yield Row(each.name, f"failed: {type(error).__name__}", str(error))
