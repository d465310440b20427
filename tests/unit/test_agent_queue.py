"""Whose turn it is when several clients make requests."""

from __future__ import annotations

from typing import Any

from taskscope.agent.clients import Work
from taskscope.agent.queue import Queue


def job() -> Any:
    yield


def test_a_client_that_asks_for_a_lot_does_not_delay_one_that_asks_for_little() -> None:
    """One turn per client, and in turn among the jobs of a client with many."""
    queue = Queue()
    greedy: Any = "greedy"
    modest: Any = "modest"
    for number in range(3):
        queue.add(Work(greedy, number, job(), False))
    queue.add(Work(modest, 0, job(), False))
    queue.add(Work(None, None, job(), False))
    turns = []
    for _ in range(9):
        work = queue.next()
        turns.append((work.client, work.id))
        queue.add(work)
    assert turns == [
        *(("greedy", 0), ("modest", 0), (None, None)),
        *(("greedy", 1), ("modest", 0), (None, None)),
        *(("greedy", 2), ("modest", 0), (None, None)),
    ]


def test_it_is_empty_when_everything_is_taken() -> None:
    queue = Queue()
    assert not queue
    queue.add(Work(None, None, job(), False))
    assert queue
    queue.next()
    assert not queue
