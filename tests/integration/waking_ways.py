"""Tasks that nothing can wake, and look-alikes; run by ``test_agent_stuck.py``.

The name of each way begins with what is true of it: ``stuck``; ``endless``, as it was meant to be; ``lost``,
nothing keeps it either; ``woken``, something may wake it.  A way makes its tasks, keeps what it says, and
returns.
"""

import asyncio
import atexit
import collections
import concurrent.futures
import contextvars
import functools
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable
from typing import Any

import taskscope

WAYS: dict[str, Callable[[], Any]] = {}
kept: list[Any] = []
"""Tasks, and nothing that could wake one."""
held: list[Any] = []
"""What wakes."""
unread: dict[int, Any] = {}
VAR: contextvars.ContextVar[Any] = contextvars.ContextVar("VAR")
own = sys.modules[__name__]
pool = concurrent.futures.ThreadPoolExecutor(1)
release = threading.Event()


def way(function: Callable[[], Any]) -> Callable[[], Any]:
    WAYS[function.__name__] = function
    return function


def task(coro: Any, *, keep: bool = True) -> asyncio.Task[Any]:
    name = sys._getframe(1).f_code.co_name
    made = asyncio.get_running_loop().create_task(coro, name=name)
    if keep:
        kept.append(made)
    return made


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def wait(given: asyncio.Future[Any]) -> None:
    await given


async def get(queue: asyncio.Queue[Any]) -> None:
    await queue.get()


async def put(queue: asyncio.Queue[Any]) -> None:
    while True:
        await queue.put(1)


async def event_wait(event: asyncio.Event) -> None:
    await event.wait()


class Room:
    """Of a program: it has a name for what it waits for."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.reply = future()
        self.lock = asyncio.Lock()
        self.items: asyncio.Queue[int] = asyncio.Queue()
        self.changed = asyncio.Condition()

    async def until_closed(self) -> None:
        await self.closed.wait()

    async def until_replied(self) -> None:
        await asyncio.shield(self.reply)

    async def work(self) -> None:
        while True:
            await self.items.get()

    async def in_lock(self) -> None:
        async with self.lock:
            pass

    async def changes(self) -> None:
        async with self.changed:
            await self.changed.wait()


# -- nothing can wake these ------------------------------------------------------------------------


@way
def stuck_future() -> None:
    for _ in range(3):
        task(wait(future()))


@way
def stuck_event() -> None:
    event = asyncio.Event()
    for _ in range(3):
        task(event_wait(event))


@way
def stuck_event_of_many() -> None:
    event = asyncio.Event()
    for _ in range(400):
        task(event_wait(event))


@way
def stuck_queue() -> None:
    task(get(asyncio.Queue()))


@way
def stuck_full_queue() -> None:
    task(put(asyncio.Queue(1)))


@way
def stuck_object() -> None:
    room = Room()
    task(room.until_closed())
    task(room.work())


@way
def stuck_condition() -> None:
    task(Room().changes())


@way
def stuck_lock() -> None:
    room = Room()
    room.lock._locked = True  # type: ignore[attr-defined]  # its holder ended without giving it back
    task(room.in_lock())


@way
def stuck_closure() -> None:
    given = future()

    def answer() -> None:
        given.set_result(None)

    async def wait_for_answer() -> None:
        callback = answer
        await given
        callback()

    task(wait_for_answer())


@way
def stuck_pair() -> None:
    first, second = future(), future()

    async def one() -> None:
        await first
        second.set_result(None)

    async def two() -> None:
        await second
        first.set_result(None)

    task(one())
    task(two())


@way
def stuck_awaited() -> None:
    async def outer() -> None:
        inner = asyncio.create_task(wait(future()), name="stuck_awaited")
        await inner

    task(outer())


@way
def stuck_gather() -> None:
    async def outer() -> None:
        await asyncio.gather(wait(future()), event_wait(asyncio.Event()))

    task(outer())


@way
def stuck_with_callback() -> None:
    task(wait(future())).add_done_callback(kept.remove)


@way
def stuck_condition_variable() -> None:
    async def change(condition: asyncio.Condition) -> None:
        async with condition:
            await condition.wait()

    task(change(asyncio.Condition()))


@way
def stuck_in_generator() -> None:
    async def through() -> None:
        await _pass_on(future())

    task(through())


@types.coroutine
def _pass_on(given: asyncio.Future[Any]) -> Any:
    yield from given


@way
def stuck_cyclic() -> None:
    room: Any = Room()
    room.itself = [room, {"room": room}]
    task(room.until_closed())


@way
def endless_future() -> None:
    async def forever() -> None:
        await asyncio.Future()

    task(forever())


@way
def endless_event() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    task(forever())


@way
def lost_future() -> None:
    task(wait(future()), keep=False)


@way
def lost_pair() -> None:
    first, second = future(), future()

    async def one() -> None:
        await first
        second.set_result(None)

    async def two() -> None:
        await second
        first.set_result(None)

    task(one(), keep=False)
    task(two(), keep=False)


@way
def stuck_in_set() -> None:
    held.append({task(wait(future()), keep=False) for _ in range(3)})


@way
def stuck_in_a_dictionary_that_nobody_reads() -> None:
    async def work(room: Room) -> None:
        await room.closed.wait()

    for number in range(3):
        unread[number] = task(work(Room()), keep=False)


@way
def stuck_in_own_attribute() -> None:
    room: Any = Room()
    room.worker = task(room.work())


# -- something may wake these ----------------------------------------------------------------------


@way
def woken_by_module() -> None:
    own.answer = future()  # type: ignore[attr-defined]
    task(wait(own.answer))


@way
def woken_by_class() -> None:
    Room.shared = future()  # type: ignore[attr-defined]
    task(wait(Room.shared))  # type: ignore[attr-defined]


@way
def woken_by_list() -> None:
    held.append(future())
    task(wait(held[-1]))


@way
def woken_by_pending() -> None:
    pending = {number: future() for number in range(3)}
    held.append(pending)
    task(wait(pending[1]))


@way
def woken_by_owner() -> None:
    room = Room()
    held.append(room)
    task(room.until_closed())
    task(room.until_replied())
    task(room.work())
    task(room.changes())


@way
def woken_by_timer() -> None:
    given = future()
    asyncio.get_running_loop().call_later(300, given.set_result, None)
    task(wait(given))


@way
def woken_by_timer_in_closure() -> None:
    given = future()
    asyncio.get_running_loop().call_later(300, lambda: given.set_result(None))
    task(wait(given))


@way
def woken_by_timeout() -> None:
    async def limited() -> None:
        async with asyncio.timeout(300):
            await future()

    task(limited())


@way
def woken_by_wait_for() -> None:
    async def limited() -> None:
        event = asyncio.Event()
        await asyncio.wait_for(event.wait(), 300)

    task(limited())


@way
def woken_by_wait() -> None:
    async def limited() -> None:
        inner = asyncio.create_task(wait(future()), name="woken_by_wait")
        await asyncio.wait([inner], timeout=300)
        inner.cancel()

    task(limited())


@way
def woken_by_first_completed() -> None:
    held.append(asyncio.Event())

    async def either(stop: asyncio.Event) -> None:
        event = asyncio.Event()
        both = [asyncio.create_task(each.wait(), name="woken_by_first_completed") for each in (event, stop)]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in both:
            each.cancel()

    task(either(held[-1]))


@way
def woken_by_group() -> None:
    sibling = future()
    held.append(sibling)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait(future()), name="woken_by_group")
            tasks.create_task(wait(sibling), name="woken_by_group")

    task(group())


@way
def woken_by_watchdog() -> None:
    watched = task(wait(future()))
    asyncio.get_running_loop().call_later(300, watched.cancel)


@way
def woken_by_variable() -> None:
    async def session() -> None:
        forwarder = asyncio.create_task(get(asyncio.Queue()), name="woken_by_variable")
        try:
            await asyncio.sleep(300)
        finally:
            forwarder.cancel()

    task(session())


@way
def woken_by_attribute() -> None:
    room: Any = Room()
    room.worker = task(get(asyncio.Queue()), keep=False)
    held.append(room)


@way
def woken_by_entry() -> None:
    held.append({"worker": task(get(asyncio.Queue()), keep=False)})


@way
def woken_by_thread() -> None:
    given = future()
    loop = asyncio.get_running_loop()

    def later() -> None:
        release.wait()
        loop.call_soon_threadsafe(given.cancel)

    threading.Thread(target=later, daemon=True).start()
    task(wait(given))


@way
def woken_by_thread_argument() -> None:
    given = future()
    threading.Thread(target=_hold, args=(given,), daemon=True).start()
    task(wait(given))


def _hold(given: asyncio.Future[Any]) -> None:
    release.wait()
    given.get_loop().call_soon_threadsafe(given.cancel)


@way
def woken_by_executor() -> None:
    async def job() -> None:
        await asyncio.get_running_loop().run_in_executor(pool, release.wait)

    task(job())
    task(job())  # still in the pool's queue


@way
def woken_by_other_threads_loop() -> None:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def there() -> None:
        await asyncio.sleep(300)

    task(wait(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), loop))))


@way
def woken_by_partial() -> None:
    given = future()
    held.append(functools.partial(given.set_result, None))
    task(wait(given))


@way
def woken_by_closure() -> None:
    given = future()
    held.append(lambda: given.set_result(None))
    task(wait(given))


@way
def woken_by_default() -> None:
    def answer(given: asyncio.Future[Any] = future()) -> None:  # noqa: B008
        given.set_result(None)

    held.append(answer)
    assert answer.__defaults__ is not None
    task(wait(answer.__defaults__[0]))


@way
def woken_by_generator() -> None:
    def answers(given: asyncio.Future[Any]) -> Any:
        yield
        given.set_result(None)

    given = future()
    held.append(answers(given))
    next(held[-1])
    task(wait(given))


@way
def woken_by_coroutine() -> None:
    given = future()

    async def producer() -> None:
        await asyncio.sleep(300)
        given.set_result(None)

    held.append(asyncio.create_task(producer(), name="woken_by_coroutine"))
    task(wait(given))


@way
def woken_by_producer() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def produce() -> None:
        await asyncio.sleep(300)
        await queue.put(1)

    task(produce())
    task(get(queue))


@way
def woken_by_context() -> None:
    given = future()
    VAR.set(given)
    held.append(contextvars.copy_context())
    VAR.set(None)
    task(wait(given))


@way
def woken_by_weak_dictionary() -> None:
    room = Room()
    weak: Any = weakref.WeakValueDictionary()
    weak["room"] = room
    held.append(weak)
    task(room.until_closed())


@way
def woken_by_weak_reference() -> None:
    given = future()
    held.append(weakref.ref(given))
    task(wait(given))


@way
def woken_by_weak_method() -> None:
    event = asyncio.Event()
    held.append(weakref.WeakMethod(event.set))
    task(event_wait(event))


@way
def woken_by_reader() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    given = future()
    asyncio.get_running_loop().add_reader(near, given.set_result, None)
    held.append(far)
    task(wait(given))


@way
def woken_by_signal() -> None:
    given = future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, given.set_result, None)
    task(wait(given))


@way
def woken_by_signal_of_c() -> None:
    given = future()
    signal.signal(signal.SIGUSR1, lambda *_: given.set_result(None))
    task(wait(given))


@way
def woken_by_exit() -> None:
    given = future()
    atexit.register(given.cancel)
    task(wait(given))


@way
def woken_by_interpreter() -> None:
    given = future()
    sys.modules["of waking_ways"] = given  # type: ignore[assignment]
    task(wait(given))


@functools.lru_cache
def _cached(key: int) -> asyncio.Future[Any]:
    return future()


@way
def woken_by_cache() -> None:
    task(wait(_cached(1)))


@way
def woken_by_deque() -> None:
    held.append(collections.deque([future()]))
    task(wait(held[-1][0]))


@way
def woken_by_untracked() -> None:
    box: Any = (future(), 1)
    held.append(memoryview(b""))  # an object written in C
    holder = types.SimpleNamespace(box=box)
    held.append(iter([holder]))
    task(wait(box[0]))


@way
def woken_by_huge_list() -> None:
    held.append([future() for _ in range(20_000)])
    task(wait(held[-1][10_000]))


@way
def woken_by_lock_holder() -> None:
    room = Room()

    async def holder() -> None:
        async with room.lock:
            await asyncio.sleep(300)

    task(holder())
    task(room.in_lock())


@way
def woken_by_stream() -> None:
    near, far = socket.socketpair()
    held.append(far)

    async def read() -> None:
        reader, writer = await asyncio.open_connection(sock=near)
        await reader.read(1)
        writer.close()

    task(read())


@way
def woken_by_cancelled_job() -> None:
    async def job() -> None:
        await asyncio.get_running_loop().run_in_executor(None, release.wait)

    task(job())


@way
def woken_by_frame_below() -> None:
    """What a thread's C code holds: the frame of ``map`` has no Python variable for it."""
    given = future()
    started = threading.Event()

    def each(given: asyncio.Future[Any]) -> None:
        del given
        started.set()
        release.wait()

    def through() -> None:
        list(map(each, _box.pop()))

    _box.append((given,))
    threading.Thread(target=through, daemon=True).start()
    started.wait()
    task(wait(given))


_box: list[Any] = []


@way
def woken_by_sibling() -> None:
    """Another waiter has a deadline and then sets it for all."""
    event = asyncio.Event()

    async def impatient() -> None:
        try:
            async with asyncio.timeout(300):
                await event.wait()
        except TimeoutError:
            event.set()

    task(impatient())
    task(event_wait(event))


@way
def woken_by_juggler() -> None:
    """A thread hands what they wait for back and forth between objects that they know."""
    room = Room()
    boxes: list[list[Room]] = [[room], []]

    async def work(room: Room, boxes: list[list[Room]]) -> None:
        await room.closed.wait()
        boxes.clear()

    def juggle(boxes: list[list[Room]]) -> None:
        while not release.is_set():
            boxes[1].append(boxes[0].pop())
            boxes.reverse()
            time.sleep(0.00001)

    for _ in range(20):  # each is looked at anew
        task(work(room, boxes))
    threading.Thread(target=juggle, args=(boxes,), daemon=True).start()


async def main() -> None:
    agent = taskscope._agent
    assert agent is not None
    for name in sys.argv[1:] or WAYS:
        WAYS[name]()
    for _ in range(20):  # all have begun, and what they have started
        await asyncio.sleep(0.01)
    serials: dict[str, list[int]] = {}
    for record in agent.registry.task_records():
        for reference in record.references():
            each = reference()
            if each is not None and each.get_name() in WAYS and not each.done():
                serials.setdefault(each.get_name(), []).append(each._taskscope_serial)
            del each
    print(json.dumps({"agent": agent.server.listener.path, "serials": serials}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # threads that wait for ever are part of it


if __name__ == "__main__":
    gc.disable()  # those that are lost must not be gone before they are looked at
    taskscope.start()
    asyncio.run(main())
