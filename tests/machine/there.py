"""Environments that take a kernel of their own: Yama."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests import targets
from tests.machine.environments import PYTHON, USER, Environment
from tests.machine.linux import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = Machine(packages=("python3.11", "util-linux"))

_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


@contextmanager
def yama(scope: int) -> Iterator[int]:
    """A user's program where Yama restricts ptrace so."""
    _SCOPE.write_text(str(scope))
    with targets.running(PYTHON, "asyncio idle", before=USER) as found:
        yield found.pid
    if scope < 3:  # it cannot be lowered
        _SCOPE.write_text("0")


THERE = (
    Environment("Yama 1, one's own", partial(yama, 1), r"ptrace_scope is 1: set it to 0, or run", USER),
    Environment("Yama 1, as root", partial(yama, 1), "^works"),
    Environment("Yama 2, one's own", partial(yama, 2), r"ptrace_scope is 2: run taskscope as root", USER),
    Environment("Yama 2, as root", partial(yama, 2), "^works"),
    Environment("Yama 3, one's own", partial(yama, 3), "ptrace_scope is 3: until a reboot nobody", USER),
    Environment("Yama 3, as root", partial(yama, 3), "ptrace_scope is 3: until a reboot nobody"),
)
