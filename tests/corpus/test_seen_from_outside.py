"""What is read of programs from outside agrees with what the agent in them sees, for some of the corpus.

    pytest tests/corpus/test_seen_from_outside.py -m slow -n 2 -s

All of it, and how is compared what goes on meanwhile: ``python -m tests.corpus.seen_from_outside``.
"""

from __future__ import annotations

import pytest

from tests import pythons
from tests.corpus.program import CORPUS, Program
from tests.corpus.seen_from_outside import observed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PROGRAMS = (
    *(
        "leaking/callback_chain",
        "leaking/shielded_and_timed_out",
        "leaking/cancel_swallowed",
        "leaking/half_notified",
    ),
    *("leaking/sleeper_per_error", "leaking/session_consumers", "leaking/under_shared_spawn"),
    *("leaking/queue_without_reader", "leaking/thread_per_client", "leaking/timer_threads"),
    *("hanging/await_each_other", "hanging/barrier_of_three", "hanging/put_without_a_consumer"),
    *("hanging/lock_across_an_await", "hanging/stages_that_feed_each_other", "hanging/stop_under_the_lock"),
)


@pytest.mark.parametrize("version", ["3.11", pythons.NEWEST])
@pytest.mark.parametrize("name", PROGRAMS)
async def test_both_see_the_same(name: str, version: str) -> None:
    found = await observed(Program(CORPUS / f"{name}.py"), str(pythons.require(version)))
    print(f"\n{name} {version}: {found}")
    assert found.differ == ()
    assert found.tasks + found.threads > 0
