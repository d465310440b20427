"""Whether a task was left behind: the ``wait`` or ``gather`` it was started for has returned without it.

A ``gather`` that failed leaves its callback on the tasks that still run.  A ``wait`` leaves nothing, so the
code that started the task must show that it waits for the first of several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.inspect import futures, origins
from taskscope.agent.inspect.looking import called, text
from taskscope.agent.inspect.waits import closed_over

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from taskscope import model

    Stacks = Sequence[tuple[int, Sequence[tuple[CodeType, int]]]]
    """Creation stacks by serial: code and instruction, innermost first."""

_EARLY = {"FIRST_COMPLETED", "FIRST_EXCEPTION"}

_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


def starts_a_race(stacks: Stacks, site: model.Frame) -> bool:
    """Whether the code that starts a site's tasks, out to the site itself, waits for the first of several."""
    stack = stacks[0][1] if stacks else ()
    for at, (code, _) in enumerate(stack):
        if origins.file_of(code) == site.file and origins.function_name(code) == site.function:
            around = 1 if origins.name_of(code) in _COMPREHENSIONS else 0
            return any(_waits_for_the_first(each) for each, _ in stack[: at + 1 + around])
    return False


def _waits_for_the_first(code: CodeType) -> bool:
    names = {text(name) for name in code.co_names}
    constants = {each for each in code.co_consts if type(each) is str}
    return "wait" in names and not _EARLY.isdisjoint(names | constants)


def is_left_by_gather(task: object) -> bool:
    """Whether a gather that is over had this task among its own."""
    return any(is_over(callback) for callback in futures.callbacks(task, futures.MAX_CALLBACKS))


def is_over(callback: object) -> bool:
    """Whether it is the callback of a gather that has returned: nobody waits for the rest."""
    outer = closed_over(callback, "outer") if called(callback).startswith("gather.") else None
    return outer is not None and futures.is_done(outer)
