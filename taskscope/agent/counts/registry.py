"""Live tasks and threads by creation site: births, ends, outcomes.

Everything the hot path touches is here and in ``site_record``, as raw code objects and numbers; names and
lines are resolved on request.  Tasks are referenced only weakly.

Threads: any thread may count, since a task ends where its last reference goes; only the agent's thread reads
all.  There are no locks.  Each write is one dictionary operation, or one statement without a call or a loop:
CPython switches threads at those only, so nothing comes between the load of a counter and its store.  A chunk
is copied (one call into C) before it is walked.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.counts.failures import Failures
from taskscope.agent.counts.joined import Joined
from taskscope.agent.counts.mishaps import MishapLog
from taskscope.agent.counts.site_record import ENDED_A_SITE, SiteRecord
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.looking import class_name, number, text
from taskscope.model import requests
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.counts.site_record import Chunk
    from taskscope.model.vocabulary import Known, Outcome, SiteKind

MAX_CODES = 200
"""Keys kept per site; more mean code that is compiled repeatedly, which we must not keep alive."""

MAX_ERROR = 200
"""Characters kept per error."""

ENDED_KEPT = 2_000
"""Ended tasks kept, over all sites."""

_Shown = tuple["SiteKind", model.Frame, "model.Frame | None", str, "Known", "model.Frame | None"]
"""Everything about a site except its number."""

ANY = "(any)"
"""Stands for the coroutines of the sites that are not kept apart."""

_OTHER = model.Frame("", 0, "(other sites)", "library")


def _said(failure: object) -> str:
    """Type and message of an error, without running code of the program's."""
    kind = class_name(failure)
    given = _arguments_of(failure)
    said = text(given[0]) or number(given[0]) if given else ""
    return f"{kind}: {said}"[:MAX_ERROR] if said or said == 0 else kind


_arguments_of: Any = BaseException.__dict__["args"].__get__


class Registry:
    """All sites of this process."""

    def __init__(self) -> None:
        self.next_serial = itertools.count(1).__next__
        self.records: dict[tuple[object, ...], SiteRecord] = {}
        self.by_id: dict[int, SiteRecord] = {}
        self._of_kind: dict[SiteKind, dict[int, SiteRecord]] = {"task": {}, "thread": {}}
        self.ended: deque[tuple[int, int, str, Outcome, str, float | None, float]] = deque(maxlen=ENDED_KEPT)
        self.failures = Failures()
        self.mishaps = MishapLog()
        self.joined = Joined()
        self.arriving = False  # tasks older than the agent are still being registered
        self.counter = 0  # of asyncio's tasks, as the agent came, as far as is known
        self.dropped: defaultdict[str, int] = defaultdict(int)
        self._ids = itertools.count(1)
        self._shown: dict[_Shown, SiteRecord] = {}

    def drop(self, what: str) -> None:
        """Counts something dropped because of a bound; shown to the user."""
        self.dropped[what] += 1

    def add(
        self,
        key: tuple[object, ...],
        kind: SiteKind,
        frame: model.Frame,
        user_frame: model.Frame | None,
        coroutine: str,
        codes: tuple[object, ...],
        known: Known = "exact",
        via: model.Frame | None = None,
    ) -> SiteRecord:
        """The record for ``key``, created on first use.

        Keys that look the same to a user (two calls on a line, recompiled code) share one record; beyond
        ``MAX_SITES`` all further keys do: programs have hundreds of sites, but one that generates code must
        not make us grow.
        """
        record = self.records.get(key)
        if record is not None:
            return record
        shown: _Shown = (kind, frame, user_frame, coroutine, known, via)
        record = self._shown.get(shown)
        if record is None and len(self.by_id) >= requests.MAX_SITES:
            self.drop("sites")
            shown = (kind, _OTHER, None, ANY, "unknown", None)
            record = self._shown.get(shown)
            codes = ()
        if record is None:
            kind, frame, user_frame, coroutine, known, via = shown
            site = model.Site(next(self._ids), kind, frame, user_frame, coroutine, known, (), via)
            record = self._shown.setdefault(shown, SiteRecord(site))
            self.by_id[record.id] = self._of_kind[kind][record.id] = record
        if codes and len(record.codes) < MAX_CODES:
            record.codes.append(codes)
            self.records[key] = record
        return record

    def find(self, serial: int) -> Any | None:
        """The live task with that serial, or None.  Costs one lookup per chunk."""
        for record in list(self.by_id.values()):
            for chunk in list(record.chunks):
                reference = chunk.get(serial)
                if reference is not None:
                    return reference()
        return None

    def task_records(self) -> list[SiteRecord]:
        return list(self._of_kind["task"].values())

    def thread_records(self) -> list[SiteRecord]:
        return list(self._of_kind["thread"].values())

    def note_end(self, task: Any, record: SiteRecord, outcome: Outcome, error: str) -> None:
        """Records how a task ended, within the budget of its site."""
        if record.keep > 0 or outcome != "finished":
            record.keep -= 1
            if record.keep < -ENDED_A_SITE:
                return
            name = futures.name_of(task)
            self.ended.append(
                (
                    task._taskscope_serial,
                    record.id,
                    name,
                    outcome,
                    error,
                    task._taskscope_birth,
                    clock.monotonic(),
                )
            )

    def settle(self, task: Any, chunk: Chunk) -> None:
        """Counts the end of a done task, if this call is the one that removes it from its chunk."""
        record = chunk.site
        outcome: Outcome
        if futures.state_of(task) == "CANCELLED":
            record.cancelled += 1
            outcome, error = "cancelled", ""
        else:
            failure = futures.field(task, "_exception")  # `exception()` would mark it as retrieved
            if failure is None:
                record.finished += 1
                outcome, error = "finished", ""
            else:
                record.failed += 1
                outcome, error = "failed", _said(failure)
                self.failures.add(record.id, failure, error, task._taskscope_serial, clock.monotonic())
        self.note_end(task, record, outcome, error)
