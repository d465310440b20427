"""Which Python process started which, and what a process is for its parent, as seen from outside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from taskscope.attach import procfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from taskscope.model.vocabulary import Role

Row = TypeVar("Row")

_BY_CODE: tuple[tuple[str, Role], ...] = (
    ("from multiprocessing.resource_tracker import main", "resource tracker"),
    ("from multiprocessing.semaphore_tracker import main", "resource tracker"),
    ("from multiprocessing.forkserver import main", "fork server"),
    ("import sys; from multiprocessing.forkserver import main", "fork server"),  # 3.14 and later
    ("from multiprocessing.spawn import spawn_main", "spawned"),
)
"""How multiprocessing starts its processes: by the code after ``-c``."""


def role_by(command: Sequence[str]) -> Role:
    """What the command line says; "" if nothing."""
    return next((role for start, role in _BY_CODE if any(word.startswith(start) for word in command)), "")


def role_beside(command: str, own: Role, parents_command: str, parents: Role) -> Role:
    """The role of a process whose parent is known: whoever has its command line was forked from it."""
    if parents == "fork server" and own == "fork server":
        return "forked"
    return "forked" if not own and command == parents_command else own


def parents() -> dict[int, int]:
    """The parent of every process, Python or not.  Raises AttachError."""
    if not procfs.is_here():
        raise procfs.missing()
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  (a path object is half the cost)
        if name.isdecimal():
            try:
                stat = Path(f"/proc/{name}/stat").read_bytes()
            except OSError:
                continue  # it has just ended
            found[int(name)] = int(stat[stat.rindex(b")") + 2 :].split()[1])
    return found


def ancestor(pid: int, above: Mapping[int, int], among: Iterable[int]) -> int:
    """The nearest ancestor that is one of ``among``; 0 if there is none.  Shells in between do not count."""
    known, seen = set(among), {pid}
    while (pid := above.get(pid, 0)) and pid not in seen:
        if pid in known:
            return pid
        seen.add(pid)
    return 0


def below(pid: int, parent_of: Mapping[int, int]) -> set[int]:
    """The process and everything under it."""
    found = {pid}
    while more := {each for each, parent in parent_of.items() if parent in found} - found:
        found |= more
    return found


def tree(
    rows: Iterable[Row], pid: Callable[[Row], int], parent: Callable[[Row], int]
) -> list[tuple[str, Row]]:
    """The rows with each parent's children below it, and the branch to draw before each.

    A family stands where its first member stood; children stay in their order.
    """
    every = list(rows)
    of_pid = {pid(row): row for row in every}
    children: dict[int, list[Row]] = {}
    for row in every:
        children.setdefault(parent(row) if parent(row) in of_pid else 0, []).append(row)
    placed: list[tuple[str, Row]] = []
    done: set[int] = set()

    def place(row: Row, lead: str, last: bool | None) -> None:
        done.add(pid(row))
        placed.append((lead + ("" if last is None else "└─ " if last else "├─ "), row))
        under = [each for each in children.get(pid(row), ()) if pid(each) not in done]
        deeper = lead + ("" if last is None else "   " if last else "│  ")
        for each in under:
            place(each, deeper, each is under[-1])

    parent_of = {pid(row): parent(row) for row in every}
    for row in every:
        top, passed = pid(row), {pid(row)}
        while (up := parent_of[top]) in of_pid and up not in passed:  # a circle, if pids are used again
            top = up
            passed.add(top)
        if top not in done:
            place(of_pid[top], "", None)
    return placed
