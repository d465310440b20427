"""Run in a child: tasks and threads started through helpers of every shape, and through look-alikes.

Each has a coroutine or function of its own.  An @ marks the line that a person would call the cause,
a > that of the helper between.  Prints the snapshot taken while all of them live.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import json
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import kit  # type: ignore[import-not-found]  # a library, see the test

import taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Work = Coroutine[Any, Any, Any]

gate: asyncio.Event
opened = threading.Event()
kept: list[Any] = []
shapes: list[Callable[[], Any]] = []


def shape(function: Callable[[], Any]) -> Callable[[], Any]:
    shapes.append(function)
    return function


async def live() -> None:
    await gate.wait()


# -- tasks: the coroutine was handed over --------------------------------------------------------------


def spawn(coro: Work) -> asyncio.Task[Any]:
    task = asyncio.create_task(coro)  # > function # > nested # > retried # > Event.wait
    kept.append(task)
    return task


async def function() -> None:
    await live()


@shape
def by_function() -> None:
    spawn(function())  # @ function


async def nested() -> None:
    await live()


def spawn_logged(*args: Any, **kwargs: Any) -> asyncio.Task[Any]:
    return spawn(*args, **kwargs)


@shape
def by_nested() -> None:
    spawn_logged(nested())  # @ nested


class Supervisor:
    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    def add(self, coro: Work) -> None:
        self.tasks.add(asyncio.ensure_future(coro))  # > method # > partial # > registry

    @classmethod
    def build(cls, *, what: Work) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(what)  # > keyword


supervisor = Supervisor()
kept.append(supervisor.tasks)


async def method() -> None:
    await live()


@shape
def by_method() -> None:
    supervisor.add(method())  # @ method


async def keyword() -> None:
    await live()


@shape
def by_keyword() -> None:
    kept.append(Supervisor.build(what=keyword()))  # @ keyword


async def partial() -> None:
    await live()


@shape
def by_partial() -> None:
    add = functools.partial(supervisor.add, partial())
    add()  # @ partial


REGISTRY = {"add": supervisor.add}


async def registry() -> None:
    await live()


@shape
def by_registry() -> None:
    REGISTRY["add"](registry())  # @ registry


def spawn_all(*coros: Work) -> None:
    for coro in coros:
        task = asyncio.create_task(coro)  # > starred
        kept.append(task)


async def starred() -> None:
    await live()


@shape
def by_stars() -> None:
    spawn_all(starred(), starred())  # @ starred


def spawn_named(**named: Work) -> None:
    kept.extend([asyncio.create_task(coro, name=name) for name, coro in named.items()])  # > keywords


async def keywords() -> None:
    await live()


@shape
def by_keywords() -> None:
    spawn_named(one=keywords(), other=keywords())  # @ keywords


def spawn_list(coros: list[Work]) -> None:
    kept.append([asyncio.create_task(coro) for coro in coros])  # > listed


async def listed() -> None:
    await live()


@shape
def by_list() -> None:
    spawn_list([listed()])  # @ listed


@dataclass
class Job:
    work: Work
    task: asyncio.Task[Any] | None = field(default=None)

    def start(self) -> None:
        self.task = asyncio.create_task(self.work)  # > dataclass_


async def dataclass_() -> None:
    await live()


@shape
def by_dataclass() -> None:
    job = Job(dataclass_())
    job.start()  # @ dataclass_
    kept.append(job)


def later(coro: Work) -> Callable[[], None]:
    def go() -> None:
        kept.append(asyncio.create_task(coro))  # > closure

    return go


async def closure() -> None:
    await live()


@shape
def by_closure() -> None:
    go = later(closure())
    go()  # @ closure


async def guard(coro: Work) -> None:
    with contextlib.suppress(ValueError):
        await coro


def spawn_guarded(coro: Work) -> None:
    kept.append(asyncio.create_task(guard(coro)))  # > guard


async def guarded() -> None:
    await live()


@shape
def by_guard() -> None:
    spawn_guarded(guarded())  # @ guard


def spawn_inside(coro: Work) -> None:
    async def inside() -> None:
        await coro

    kept.append(asyncio.create_task(inside()))  # > spawn_inside.inside


@shape
def by_inside() -> None:
    spawn_inside(live())  # @ spawn_inside.inside


async def spawn_async(coro: Work) -> None:
    await asyncio.sleep(0)
    kept.append(asyncio.create_task(coro))  # > awaited # > under_timeout


async def awaited() -> None:
    await live()


@shape
async def by_awaiting() -> None:
    await spawn_async(awaited())  # @ awaited


async def under_timeout() -> None:
    await live()


@shape
async def by_timeout() -> None:
    async with asyncio.timeout(60):
        await spawn_async(under_timeout())  # @ under_timeout


def add_to(group: asyncio.TaskGroup, coro: Work) -> None:
    group.create_task(coro)  # > grouped


async def grouped() -> None:
    await live()


@shape
async def by_group() -> None:
    async with asyncio.TaskGroup() as group:
        add_to(group, grouped())  # @ grouped
        await live()


@shape
async def by_event() -> None:
    event = asyncio.Event()
    kept.append((spawn(event.wait()), event))  # @ Event.wait


# -- tasks: the function was handed over ---------------------------------------------------------------


def background(function: Callable[..., Work]) -> Callable[..., None]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> None:
        kept.append(asyncio.create_task(function(*args)))  # > decorated

    return wrapper


@background
async def decorated() -> None:
    await live()


@shape
def by_decorator() -> None:
    decorated()  # @ decorated


def spawn_call(function: Callable[..., Work], *args: Any) -> None:
    kept.append(asyncio.create_task(function(*args)))  # > called # > of_lambda # > Service.bound


async def called(number: int) -> None:
    await live()


@shape
def by_call() -> None:
    spawn_call(called, 1)  # @ called


async def of_lambda(number: int) -> None:
    await live()


@shape
def by_lambda() -> None:
    spawn_call(lambda: of_lambda(1))  # @ of_lambda


class Service:
    async def bound(self, number: int) -> None:
        await live()


@shape
def by_bound() -> None:
    spawn_call(functools.partial(Service().bound, 1))  # @ Service.bound


# -- tasks: a library was handed it --------------------------------------------------------------------


async def library() -> None:
    await live()


@shape
def by_library() -> None:
    kept.append(kit.create(library()))  # @ library


@shape
def by_page() -> None:
    kept.append(kit.page(live))  # by render


# -- not helpers: the line that makes the task is the cause --------------------------------------------


async def made_here() -> None:
    await live()


def connect(host: str, callback: Callable[..., Any], other: Work) -> None:
    kept.append(asyncio.create_task(made_here()))  # @ made_here
    other.close()


@shape
def by_maker() -> None:
    connect("host", spawn_logged, live())


async def from_factory() -> None:
    await live()


def factory(kind: str) -> Work:
    return from_factory()


@shape
def by_factory() -> None:
    coro = factory("any")
    kept.append(asyncio.create_task(coro))  # @ from_factory


async def by_default() -> None:
    await live()


def spawn_default(coro: Work | None = None) -> None:
    coro = coro or by_default()
    kept.append(asyncio.create_task(coro))  # @ by_default


@shape
def with_default() -> None:
    spawn_default()


async def own_field() -> None:
    await live()


class Owner:
    def start(self) -> None:
        self.coro = own_field()
        self.task = asyncio.create_task(self.coro)  # @ own_field


@shape
def by_owner() -> None:
    owner = Owner()
    owner.start()
    kept.append(owner)


async def polled() -> None:
    await live()


async def poll(function: Callable[[], Work]) -> None:
    for _ in range(2):
        kept.append(asyncio.create_task(function()))  # @ polled
        await asyncio.sleep(0)


@shape
async def by_poll() -> None:
    await poll(polled)


async def queued() -> None:
    await live()


async def work_off(queue: asyncio.Queue[Work]) -> None:
    while not queue.empty():
        coro = await queue.get()
        kept.append(asyncio.create_task(coro))  # @ queued


@shape
async def by_queue() -> None:
    queue: asyncio.Queue[Work] = asyncio.Queue()
    queue.put_nowait(queued())
    await work_off(queue)


async def recursive() -> None:
    await live()


def spread(depth: int) -> None:
    if depth:
        spread(depth - 1)
    else:
        kept.append(asyncio.create_task(recursive()))  # @ recursive


@shape
def by_recursion() -> None:
    spread(5)


async def retried() -> None:
    await live()


def spawn_again(coro: Work, depth: int) -> None:
    if depth:
        spawn_again(coro, depth - 1)
    else:
        spawn(coro)


@shape
def by_retry() -> None:
    spawn_again(retried(), 5)  # @ retried


async def nobody() -> None:
    await live()


def spawn_soon(coro: Work) -> None:
    kept.append(asyncio.create_task(coro))  # @ nobody


@shape
def by_callback() -> None:
    asyncio.get_running_loop().call_soon(spawn_soon, nobody())


def around() -> Callable[[], None]:
    async def neighbour() -> None:
        await live()

    def start() -> None:
        kept.append(asyncio.create_task(neighbour()))  # @ around.neighbour

    return start


@shape
def by_neighbour() -> None:
    around()()


# -- threads -------------------------------------------------------------------------------------------


def start_thread(target: Callable[..., Any], *args: Any) -> None:
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()  # > in_thread
    kept.append(thread)


def in_thread() -> None:
    opened.wait()


@shape
def by_thread() -> None:
    start_thread(in_thread)  # @ in_thread


def run_thread(thread: threading.Thread) -> None:
    thread.start()  # > made_thread


def made_thread() -> None:
    opened.wait()


@shape
def by_made_thread() -> None:
    run_thread(threading.Thread(target=made_thread, daemon=True))  # @ made_thread


class Poller(threading.Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start()  # > Poller.run

    def run(self) -> None:
        opened.wait()


@shape
def by_subclass() -> None:
    Poller()  # @ Poller.run


def start_wrapped(function: Callable[[], Any]) -> None:
    def wrapped() -> None:
        with contextlib.suppress(ValueError):
            function()

    threading.Thread(target=wrapped, daemon=True).start()  # > start_wrapped.wrapped


@shape
def by_wrapped() -> None:
    start_wrapped(opened.wait)
    start_wrapped(in_thread)  # @ start_wrapped.wrapped


class Reader:
    def begin(self, callback: Callable[[], None]) -> None:
        self.thread = threading.Thread(target=self.read, args=(callback,), daemon=True)
        self.thread.start()  # @ Reader.read

    def read(self, callback: Callable[[], None]) -> None:
        opened.wait()


@shape
def by_reader() -> None:
    reader = Reader()
    reader.begin(in_thread)
    kept.append(reader)


def job() -> None:
    opened.wait()


def submit(pool: concurrent.futures.Executor, function: Callable[..., Any], *args: Any) -> None:
    pool.submit(function, *args)  # > pool submit


@shape
def by_submit() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="submit")
    submit(pool, job)  # @ pool submit
    kept.append(pool)


async def offload(function: Callable[..., Any], *args: Any) -> None:
    await asyncio.to_thread(function, *args)  # > pool to_thread


@shape
async def by_offload() -> None:
    asyncio.get_running_loop().set_default_executor(
        concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="to_thread")
    )
    await offload(job)  # @ pool to_thread


async def in_executor(function: Callable[..., Any], pool: concurrent.futures.Executor) -> None:
    await asyncio.get_running_loop().run_in_executor(pool, function)  # > pool run_in_executor


@shape
async def by_executor() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="run_in_executor")
    await in_executor(job, pool)  # @ pool run_in_executor


# -- the program ---------------------------------------------------------------------------------------

POOLS = {"submit", "to_thread", "run_in_executor"}


async def main() -> None:
    global gate
    gate = asyncio.Event()
    for each in shapes:
        made = each()
        if made is not None:
            kept.append(asyncio.ensure_future(made))
    while not {thread.name.rpartition("_")[0] for thread in threading.enumerate()} >= POOLS:
        await asyncio.sleep(0.002)
    json.dump(taskscope.snapshot(), sys.stdout)
    opened.set()
    gate.set()
    await asyncio.sleep(0.01)


taskscope.start("shapes", interval=0.2)
asyncio.run(main())
taskscope.stop()
