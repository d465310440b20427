"""Threads that nothing can wake, and look-alikes; run by ``test_agent_stuck_threads.py``.

The name of each way begins with what is true of its threads: ``stuck``; ``woken``, something may wake them;
``dropped``, they look again and again whether to end, but nobody has them who could tell them; ``kept``,
somebody has.
"""

import gc
import json
import os
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import taskscope

WAYS: dict[str, Callable[[], int]] = {}
held: list[Any] = []
"""What wakes."""
known: "weakref.WeakValueDictionary[int, threading.Event]" = weakref.WeakValueDictionary()


def way(function: Callable[[], int]) -> Callable[[], int]:
    WAYS[function.__name__] = function
    return function


def get(items: "queue.Queue[int]") -> None:
    items.get()


def wait(event: threading.Event) -> None:
    event.wait()


def result(answer: "Future[int]") -> None:
    answer.result()


class Desk:
    """Works by a method."""

    def __init__(self) -> None:
        self.items: queue.Queue[int] = queue.Queue()

    def loop(self) -> None:
        while True:
            self.items.get()


class Own(threading.Thread):
    """Has what it waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()

    def run(self) -> None:
        self.event.wait()


def thread(target: Any, *args: Any) -> threading.Thread:
    return threading.Thread(target=target, args=args)


def started(made: threading.Thread) -> int:
    """The ident of a thread that nobody keeps beside the way that has made it."""
    made.daemon = True
    made.start()
    ident = made.ident
    assert ident is not None
    return ident


@way
def stuck_in_a_queue() -> int:
    return started(thread(get, queue.Queue()))


@way
def stuck_on_an_event() -> int:
    return started(thread(wait, threading.Event()))


@way
def stuck_on_a_future() -> int:
    return started(thread(result, Future()))


@way
def stuck_in_a_semaphore() -> int:
    return started(thread(threading.Semaphore(0).acquire))


@way
def stuck_in_a_method() -> int:
    return started(thread(Desk().loop))


@way
def stuck_in_its_own_run() -> int:
    return started(Own())


@way
def woken_by_who_has_the_queue() -> int:
    held.append(queue.Queue())
    return started(thread(get, held[-1]))


@way
def woken_by_who_has_its_condition() -> int:
    items: queue.Queue[int] = queue.Queue()
    held.append(items.not_empty)
    return started(thread(get, items))


@way
def woken_by_who_has_the_thread() -> int:
    held.append(thread(wait, threading.Event()))
    return started(held[-1])


@way
def woken_by_who_has_the_desk() -> int:
    held.append(Desk())
    return started(thread(held[-1].loop))


@way
def woken_by_who_has_its_method() -> int:
    desk = Desk()
    held.append(desk.items.put)
    return started(thread(desk.loop))


@way
def woken_by_who_has_its_event() -> int:
    own = Own()
    held.append(own.event)
    return started(own)


@way
def woken_by_who_has_the_arguments() -> int:
    held.append((threading.Event(),))
    return started(threading.Thread(target=wait, args=held[-1]))


@way
def woken_by_who_has_its_closure() -> int:
    event = threading.Event()

    def work() -> None:
        event.wait()

    held.append(work)
    return started(thread(work))


@way
def woken_by_who_enters_it_somewhere() -> int:
    def work(event: threading.Event) -> None:
        held.append(event)
        event.wait()

    return started(thread(work, threading.Event()))


@way
def woken_by_who_knows_it_weakly() -> int:
    event = known[len(known)] = threading.Event()
    return started(thread(wait, event))


@way
def woken_by_who_knows_the_thread_weakly() -> int:
    made = thread(wait, threading.Event())
    held.append(weakref.ref(made))
    return started(made)


@way
def woken_by_another_thread() -> int:
    event = threading.Event()

    def later(event: threading.Event) -> None:
        time.sleep(600)
        event.set()

    threading.Thread(target=later, args=(event,), daemon=True).start()
    return started(thread(wait, event))


@way
def woken_by_a_timer() -> int:
    event = threading.Event()
    timer = threading.Timer(600, event.set)
    timer.daemon = True
    timer.start()
    return started(thread(wait, event))


@way
def woken_by_its_timeout() -> int:
    return started(thread(threading.Event().wait, 600))


@way
def woken_by_a_descriptor() -> int:
    return started(thread(os.read, os.pipe()[0], 1))


class Poller:
    """Looks whether to go on, like many clients of brokers."""

    def __init__(self) -> None:
        self.running = True
        self.event = threading.Event()
        self.thread: threading.Thread | None = None

    def begin(self) -> None:
        self.loop()

    def loop(self) -> None:
        while self.running:
            self.event.wait(600)


class OwnPoller(threading.Thread):
    """Likewise, as a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.is_set():
            self.stopped.wait(600)


class AskedPoller(Poller):
    """Tells a function, made before its loop, who may change what it shares with that."""

    def loop(self) -> None:
        def stop() -> None:
            self.running = False

        held.append(stop)
        super().loop()


class HandingPoller(Poller):
    """Likewise, a function without a name."""

    def loop(self) -> None:
        held.append(lambda: self.event.set())
        super().loop()


class LatePoller(Poller):
    """Shares a variable with a function that it will make when it ends."""

    def loop(self) -> None:
        while self.running:
            self.event.wait(600)

        def stop() -> None:
            self.running = False

        held.append(stop)


def poll(stopped: threading.Event) -> None:
    while not stopped.is_set():
        stopped.wait(600)


@way
def dropped_with_its_event() -> int:
    return started(thread(poll, threading.Event()))


@way
def dropped_with_its_object() -> int:
    return started(thread(Poller().begin))


@way
def dropped_with_its_object_that_knows_it() -> int:
    poller = Poller()
    poller.thread = thread(poller.begin)
    return started(poller.thread)


@way
def dropped_with_what_a_function_will_share() -> int:
    return started(thread(LatePoller().begin))


@way
def kept_by_a_function_inside() -> int:
    return started(thread(AskedPoller().begin))


@way
def kept_by_a_function_without_a_name() -> int:
    return started(thread(HandingPoller().begin))


@way
def dropped_with_itself() -> int:
    return started(OwnPoller())


@way
def kept_with_its_object() -> int:
    held.append(Poller())
    return started(thread(held[-1].begin))


@way
def kept_with_its_object_that_knows_it() -> int:
    held.append(Poller())
    held[-1].thread = thread(held[-1].begin)
    return started(held[-1].thread)


@way
def kept_itself() -> int:
    held.append(OwnPoller())
    return started(held[-1])


@way
def kept_by_its_event() -> int:
    held.append(threading.Event())
    return started(thread(poll, held[-1]))


@way
def kept_by_its_closure() -> int:
    running, event = True, threading.Event()

    def work() -> None:
        while running:
            event.wait(600)

    def stop() -> None:
        nonlocal running
        running = False

    held.append(stop)
    return started(thread(work))


@way
def kept_weakly() -> int:
    made = OwnPoller()
    held.append(weakref.ref(made))
    return started(made)


def innermost(ident: int) -> str:
    return sys._current_frames()[ident].f_code.co_name


def main() -> None:
    agent = taskscope._agent
    assert agent is not None
    idents = {name: [make(), make()] for name, make in WAYS.items()}
    for name, each in idents.items():
        while name != "woken_by_a_descriptor" and any(innermost(ident) != "wait" for ident in each):
            time.sleep(0.01)
    sites = {
        name: threading._active[each[0]]._taskscope.record.id  # type: ignore[attr-defined]
        for name, each in idents.items()
    }
    print(json.dumps({"agent": agent.server.listener.path, "sites": sites}), flush=True)
    sys.stdin.read()
    os._exit(0)  # threads that wait for ever are part of it


if __name__ == "__main__":
    gc.disable()
    taskscope.start()
    main()
