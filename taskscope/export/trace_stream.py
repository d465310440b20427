"""A snapshot as a trace, as its parts come: each live task lasts until the snapshot was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.checked import unpack, unpack_all
from taskscope.export.check import check_with_stacks
from taskscope.export.tasks import TaskStream
from taskscope.export.trace import Span, Trace
from taskscope.model import Ended, Sample, Stall
from taskscope.model.snapshot import SECTIONS, Agent

if TYPE_CHECKING:
    from collections.abc import Callable

STALLS = next(each for each in SECTIONS if each.name == "stalls")

OLDER = "before the agent"
"""How a span says that it began earlier than shown."""


class TraceStream(TaskStream):
    """Feed it the parts in order, then `close` it.  Raises WireError."""

    READ = (*TaskStream.READ, "agent", "sample", "ended", "stalls")

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__(self)
        self._write = write
        self._trace: Trace | None = None
        self._since = 0.0
        self._stalls: list[dict[str, Any]] = []

    def part(self, section: str, value: Any) -> None:
        super().part(section, value)
        if section == "agent":
            self._since = unpack(Agent, value).since
        elif section == "sample":
            self._trace_now().sample(unpack(Sample, value))
        elif section == "ended":
            for each in unpack_all(Ended, value):
                self._ended(each)
        elif section == "stalls":
            if type(value) is not list:
                raise wire.WireError("stalls: is not a list")
            self._stalls += value  # their stacks may come later

    def take(self, row: dict[str, Any], stack: int | None) -> None:
        """The next live task."""
        args: dict[str, Any] = {"state": row["state"]}
        if row["birth"] is None:
            args["began"] = OLDER
        if frames := self.stack(stack):
            args["at"] = f"{frames[0].function} ({frames[0].file}:{frames[0].line})"
        names = (row["serial"], row["name"], row["coroutine"], row["site"], row["loop"], row["parent"])
        begin = self._since if row["birth"] is None else row["birth"]
        self._trace_now().span(Span(*names, self._wall(begin), self.times.wall, args))

    def close(self) -> None:
        """Writes the end."""
        check_with_stacks(STALLS, self._stalls, range(len(self.stacks)))
        for row in self._stalls:
            packed = {**row, "stack": wire.pack(self.stack(row.get("stack")))}
            stall = unpack(Stall, packed)
            self._trace_now().stall(stall, self._wall(stall.began))
        self._trace_now().close()

    def _ended(self, each: Ended) -> None:
        begin = self._since if each.birth is None else each.birth
        args = {"ended": each.outcome, **({"error": each.error} if each.error else {})}
        names = (each.serial, each.name, each.coroutine, each.site, 0, 0)
        self._trace_now().span(Span(*names, self._wall(begin), self._wall(each.end), args))

    def _wall(self, monotonic: float) -> float:
        return self.times.wall - self.times.monotonic + monotonic

    def _trace_now(self) -> Trace:
        if self._trace is None:
            if self.process is None:
                raise wire.WireError("it does not tell of which process it is")
            self._trace = Trace(self._write, self.process)
            self._trace.sites = self.sites
        return self._trace
