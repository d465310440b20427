"""A pool has been full since the first of an unbroken series of looks, by any client, that found it full."""

from __future__ import annotations

from dataclasses import replace

from taskscope.agent.inspect.pools import UNSEEN, Fullness
from tests.unit.test_process_patterns import POOL, worker


def test_a_pool_is_full_since_the_first_look_until_a_worker_was_free_or_nobody_looked() -> None:
    fullness = Fullness()
    busy, free = (worker("waiting", 1), worker("running", 2)), (worker("waiting", 1), worker("idle", 2))

    def since(threads: object, now: float) -> float | None:
        told = fullness.mark(threads, now)  # type: ignore[arg-type]
        assert told[0].executor is not None
        return told[0].executor.full_since

    assert [since(busy, now) for now in (10, 20, 30)] == [10, 10, 10]
    assert since(free, 40) is None
    assert [since(busy, now) for now in (50, 60, 61 + UNSEEN)] == [50, 50, 61 + UNSEEN]
    assert fullness.mark((replace(worker("idle", 3), executor=None),), 100)[0].executor is None
    assert POOL.full_since is None
