"""A walk that views request every second is not made every second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.answers.proofs import Proofs
from taskscope.agent.answers.tasks import EXPENSIVE, Queries
from taskscope.agent.counts.loops import LoopWatch
from taskscope.agent.counts.registry import Registry
from taskscope.agent.inspect.walk import run
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.inspect.walk import Job


def test_a_dear_answer_is_given_again_and_a_cheap_one_is_worked_out_anew() -> None:
    queries = Queries(Registry(), LoopWatch(lambda where, error: None), Proofs(list))
    made: list[float] = []

    def work(seconds: float) -> Job[int]:
        end = clock.thread_time() + seconds
        while clock.thread_time() < end:
            yield
        made.append(seconds)
        return len(made)

    assert [run(queries._sparing("cheap", lambda: work(0))) for _ in range(2)] == [1, 2]
    assert [run(queries._sparing("dear", lambda: work(2 * EXPENSIVE))) for _ in range(2)] == [3, 3]
    assert run(queries._sparing("another", lambda: work(0))) == 4
