"""All hooks in this process, armed and undone together: for the agent and for ``no_leaks``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.agent.hooks import adopt, spawning
from taskscope.agent.hooks.births import Births
from taskscope.agent.hooks.factories import TaskHooks
from taskscope.agent.hooks.imports import ImportWatch
from taskscope.agent.hooks.parts import Part, insist
from taskscope.agent.hooks.threads import ThreadHooks
from taskscope.agent.inspect.walk import PAUSE, live_tasks, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.parts import Tell
    from taskscope.agent.inspect.walk import Job


class Presence:
    """The parts that change the program.  ``tell(name, error)`` records failures.

    ``on_loop`` is called with each new loop, ``on_tasks`` with the existing loops once asyncio is imported,
    which may be later or never.
    """

    def __init__(
        self,
        registry: Registry,
        tell: Tell,
        on_loop: Callable[[Any], None] = lambda loop: None,
        on_tasks: Callable[[list[Any]], None] = lambda loops: None,
    ) -> None:
        self._registry = registry
        self._tell = tell
        self._on_loop = on_loop
        self._on_tasks = on_tasks
        self.heirs: dict[str, Any] | None = None
        """Settings of the agent for children that multiprocessing starts anew; None: they get none."""
        self._parts: list[Part] = []
        self._marks = self.part("marks")
        self._tasks = self.part("tasks")
        self._imports = self.part("imports")
        self._import_watch = ImportWatch(self._imports)
        self._spawning = self.part("spawning")
        self.threads = ThreadHooks(registry, self.part("threads"))
        self.hooks: TaskHooks | None = None

    def part(self, name: str) -> Part:
        """A new part, undone with the others in reverse order."""
        part = Part(name, self._tell)
        self._parts.append(part)
        return part

    def when(self, name: str, part: Part, act: Callable[[Any], None]) -> None:
        """Arms ``part`` by ``act(module)`` once that module is loaded."""
        self._imports.guard(self._import_watch.when, name, lambda module: part.arm(act, module))

    @property
    def sees_tasks(self) -> bool:
        return self.hooks is not None and self._tasks.armed

    def arm(self) -> None:
        """Changes the program.  Never raises: a part that fails undoes itself."""
        self.arm_threads()
        self._imports.arm(self._import_watch.when, "asyncio", lambda _: self._tasks.arm(self._arm_tasks))
        if self.heirs is not None:
            self._imports.guard(self._import_watch.when, spawning.MODULE, self._arm_spawning)

    def arm_threads(self) -> None:
        self.threads.part.arm(self.threads.arm)

    def births(self, part: Part) -> Births:
        """What records births, in ``part``."""
        return Births(self._registry, part)

    def older_loops(self) -> list[Any]:
        """Existing loops."""
        return adopt.find_loops()

    def _arm_spawning(self, module: Any) -> None:
        self._spawning.arm(spawning.follow, self._spawning, module, self.heirs)

    def _arm_tasks(self) -> None:
        hooks = TaskHooks(self._registry, self._tasks, self.births(self._tasks), self._on_loop)
        self._marks.on_undo(hooks.births.release_class)
        self._marks.on_undo(self._release)
        hooks.arm()
        self.hooks = hooks
        self._imports.guard(
            self._import_watch.when,
            "uvloop",
            lambda module: self._tasks.guard(hooks.add_loop_class, module.Loop),
        )
        loops = self.older_loops()
        for loop in loops:
            hooks.add_loop(loop)
        self._on_tasks(loops)

    def undo(self) -> None:
        """Undoes everything; failed steps are retried once.  Never raises."""
        undo = [part.undo for part in reversed(self._parts)]
        insist("undoing", self._tell, *undo, *undo)

    def _release(self) -> None:
        run(self._take_marks_off(), PAUSE)

    def _take_marks_off(self) -> Job[None]:
        """Removes our marks from live tasks; those of ended tasks hold nothing."""
        records = self._registry.task_records()
        for task in live_tasks(records):
            if task is None:
                yield
            else:
                adopt.release(task)
            del task
        for record in records:
            for chunk in record.chunks:
                chunk.clear()
            record.chunks.clear()
            record.codes.clear()
            record.kept.clear()
