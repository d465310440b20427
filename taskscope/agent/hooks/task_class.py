"""The class of tasks created under the hooks: it counts their ends (see ``births``)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry


def build_task_class(registry: Registry) -> Any:  # noqa: C901  (one piece: calls cost)
    """A subclass of ``asyncio.Task`` that counts its own end.  One class per start of the agent."""
    import asyncio

    base: Any = asyncio.Task
    base_del = base.__del__
    settle = registry.settle

    class Task(base):  # type: ignore[misc]
        __slots__ = (
            "_taskscope_birth",
            "_taskscope_chunk",
            "_taskscope_lineage",
            "_taskscope_parent",
            "_taskscope_serial",
        )

        def __del__(self) -> None:
            try:
                chunk = self._taskscope_chunk
                if chunk is None:  # detached meanwhile
                    pass
                elif chunk.pop(self._taskscope_serial, None) is None:
                    chunk.site.retained -= 1  # the sweep has already counted it
                elif self._state == "FINISHED":
                    site = chunk.site
                    if self._exception is None and site.keep <= 0:
                        site.finished += 1
                        return
                    settle(self, chunk)
                elif self._state == "CANCELLED":
                    settle(self, chunk)
                else:
                    chunk.site.lost += 1
                    registry.mishaps.lost(chunk.site.id, self)
                    registry.note_end(self, chunk.site, "lost", "")
            except AttributeError:
                pass  # the constructor failed, or the interpreter is shutting down
            except Exception as error:  # noqa: BLE001  (an outer edge: the program must not see it)
                registry.drop(f"ends ({type(error).__name__})")
            base_del(self)

    if sys.version_info[:2] == (3, 13):

        def set_name(self: Any, name: object) -> None:
            if name is not None:
                base.set_name(self, name)

        Task.set_name = set_name  # with a factory, 3.13 calls set_name(None), which would name it "None"
    Task.__qualname__ = "Task"
    Task.__module__ = base.__module__
    return Task
