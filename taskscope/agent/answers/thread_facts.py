"""Why the threads of a suspected site do not end."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers.older import older_threads
from taskscope.agent.answers.proofs import PROVABLE
from taskscope.agent.answers.wakeups import MOST, listens, thread_marks
from taskscope.agent.inspect import closed, origins, stacks, taking
from taskscope.agent.inspect.paths import is_in_loop
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from taskscope.agent.answers.proofs import Proofs
    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.walk import Job

WAKEABLE = PROVABLE | {"executor"}
"""Waits of threads that only another thread ends."""

MAX_OBJECTS, MAX_GROUPS, MAX_EXAMPLES = 5, 10, 5
"""Most of each in the facts of a site, of threads and of tasks."""


def thread_facts(
    record: SiteRecord,
    cuts: Sequence[float],
    threads: Sequence[model.Thread],
    proofs: Proofs,
    records: Iterable[SiteRecord],
) -> Job[model.SiteFacts]:
    """Facts about a site's threads: births, where they are, whether their starter lives, their pools."""
    ours = [thread for thread in threads if thread.site == record.id]
    idents = {thread.ident for thread in threads}
    births = [thread.birth for thread in ours]
    groups: dict[tuple[str, ...], list[model.Thread]] = {}
    pools: dict[int, list[model.Executor]] = {}
    for thread in ours:
        groups.setdefault((thread.state, thread.wait, thread.text), []).append(thread)
        if thread.executor is not None:
            pools.setdefault(thread.executor.id, []).append(thread.executor)
    reach = yield from proofs.of_threads(record, [each.ident for each in ours if each.wait in WAKEABLE])
    keeper = yield from proofs.keeper(record, records)
    dropped = 0
    if keeper is None:
        dropped = yield from proofs.dropped(record, [each.ident for each in ours])
    frames = stacks.current_frames()
    looping = sum(1 for each in ours if _loops(frames.get(each.ident)))
    looked_at = ours[:MOST]
    busy = taking.at_work({each.ident: stacks.thread_frames(frames.get(each.ident)) for each in looked_at})
    readers = (stacks.thread_frames(frames.get(each.ident)) for each in ours if each.wait == "socket")
    unwoken = sum(map(closed.reads_closed, readers))
    frames.clear()
    return model.SiteFacts(
        record.id,
        clock.monotonic(),
        len(ours),
        tuple(sum(1 for birth in births if birth is None or birth <= cut) for cut in cuts),
        len(ours),
        cuts=tuple(cuts),
        orphans=sum(1 for thread in ours if thread.parent is not None and thread.parent not in idents),
        bound=tuple(
            model.Bound(each[0].name, len(each), len(each))
            for each in sorted(pools.values(), key=len, reverse=True)[:MAX_OBJECTS]
        ),
        groups=tuple(
            model.ParkedGroup(
                "|".join(key),
                each[0].frame or record.site.frame,
                each[0].wait,
                each[0].text,
                len(each),
                min((thread.birth for thread in each if thread.birth), default=None),
            )
            for key, each in sorted(groups.items(), key=lambda entry: -len(entry[1]))[:MAX_GROUPS]
        ),
        examples=tuple(thread.ident for thread in ours[:MAX_EXAMPLES]),
        descriptors=tuple(on for thread in ours[:MAX_EXAMPLES] for on in thread.descriptors[:1]),
        marks=tuple(thread_marks((each for each in ours if each.ident in busy or _is_marked(each)), busy)),
        looping=looping,
        sharing=len(busy) * len(ours) // max(1, len(looked_at)),
        unheld=dropped,
        closed=unwoken,
        reach=reach,
        keeper=keeper,
        older=older_threads(ours),
    )


def _is_marked(thread: model.Thread) -> bool:
    """Whether it waits for somebody, or is an event loop that waits for something to do."""
    idles = thread.loop is not None and thread.state == "idle"
    return thread.wait in PROVABLE or idles or listens(thread)


def _loops(frame: FrameType | None) -> bool:
    """Whether a thread is not expected to end: what it was started with, or another method of the same object
    that this calls, is inside a loop; or it runs an event loop until that is stopped.
    """
    frames = stacks.thread_frames(frame)
    begun = [each for each in reversed(frames) if not origins.file_of(each.f_code).endswith("/threading.py")]
    owner = variables_of(begun[0]).get("self") if begun else None
    own = takewhile(lambda each: owner is not None and variables_of(each).get("self") is owner, begun)
    if any(is_in_loop(each.f_code, each.f_lasti) for each in (*begun[:1], *own)):
        return True
    names = {origins.name_of(each.f_code) for each in frames if "/asyncio/" in origins.file_of(each.f_code)}
    return "run_forever" in names and "run_until_complete" not in names
