"""A thread that has woken and only waits for its turn does not sleep."""

from __future__ import annotations

import selectors
import threading
import time

from taskscope.agent.inspect.thread_waits import waits_its_turn


def test_who_polls_sleeps_and_who_computes_does_not() -> None:
    over, woken = threading.Event(), threading.Event()
    selector = selectors.DefaultSelector()

    def compute() -> None:
        while not over.is_set():
            pass

    def poll() -> None:
        while not over.is_set():
            selector.select(0.5)
            woken.set()

    threads = [threading.Thread(target=each) for each in (compute, poll)]
    for each in threads:
        each.start()
    try:
        busy, idle = (each.native_id or 0 for each in threads)
        assert woken.wait(10)
        give_up = time.monotonic() + 10
        while waits_its_turn(idle):  # for the GIL that the other has
            assert time.monotonic() < give_up
        assert all(waits_its_turn(busy) for _ in range(20))
    finally:
        over.set()
        for each in threads:
            each.join(10)
        selector.close()
