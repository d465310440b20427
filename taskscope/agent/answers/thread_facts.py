"""Why the threads of a suspected site do not end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import proofs
from taskscope.agent.answers.older import older_threads
from taskscope.agent.answers.wakeups import listens, thread_marks
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.agent.counts.registry import SiteRecord

MAX_OBJECTS, MAX_GROUPS, MAX_EXAMPLES = 5, 10, 5
"""Most of each in the facts of a site, of threads and of tasks."""


def thread_facts(
    record: SiteRecord, cuts: Sequence[float], threads: Sequence[model.Thread]
) -> model.SiteFacts:
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
        marks=tuple(
            thread_marks([thread for thread in ours if thread.wait in proofs.PROVABLE or listens(thread)])
        ),
        older=older_threads(ours),
    )
