"""Tasks created without a factory: ``asyncio.Task(coro)``, as aiohttp does from Python 3.12 on.

asyncio keeps a weak set of all tasks, and up to Python 3.13 the constructor calls the set's ``add``: the only
place to observe such a birth.  Later versions have no such set; there a periodic search finds these tasks
after a while (see ``adopt``).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.hooks.parts import Link

    Add = Callable[[Any], None]


def known_sets() -> list[WeakSet[Any]]:
    """This Python's sets of all tasks, if the task constructor calls their ``add``."""
    if sys.version_info >= (3, 14):
        return []
    tasks = sys.modules["asyncio"].tasks
    found = [getattr(tasks, name, None) for name in ("_all_tasks", "_scheduled_tasks")]
    return [each for each in found if type(each) is WeakSet]


def noticing(known: WeakSet[Any], note: Callable[..., Any], link: Link) -> Add:
    """A ``known.add`` that also records plain tasks, unless ``link.before()`` says that a factory does.

    Called for every task.  It inlines ``WeakSet.add`` (unchanged from Python 3.11 to 3.13), since a call
    would cost 0.2 µs more; tasks of our class cost one comparison.
    """
    plain = sys.modules["asyncio"].Task
    weak: Any = known
    remember, remove, pending = weak.data.add, weak._remove, weak._pending_removals

    def add_and_note(task: Any) -> None:
        if pending:
            weak._commit_removals()
        remember(ref(task, remove))
        if type(task) is plain:
            is_noted = link.before
            try:
                if is_noted is not None and not is_noted():
                    note(task.get_loop(), task.get_coro(), task=task)
            except RecursionError:
                pass  # the program is at its recursion limit: the periodic search finds the task
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)

    return add_and_note


def itself(coro: Any, *, loop: Any, task: Any) -> Any:
    """Stands in for a task class: the task already exists."""
    return task
