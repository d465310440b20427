"""A program full of objects that notice when their code runs in a thread that is not the program's.

``python hostile_objects.py`` prints ``ready``; each line of its input is answered by a JSON list of what ran.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import contextvars
import functools
import json
import os
import socket
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import taskscope

ran: list[str] = []
gate = threading.Event()
_OURS = "/taskscope/"


def note(what: str) -> None:
    """Records the call unless a thread of the program makes it."""
    frame = sys._getframe(2)
    where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
    while frame.f_back is not None:
        frame = frame.f_back
    if _OURS in frame.f_code.co_filename and len(ran) < 1000:
        ran.append(f"{what} from {where}")


SPECIAL = [
    "__getattr__",
    "__eq__",
    "__ne__",
    "__lt__",
    "__hash__",
    "__repr__",
    "__str__",
    "__bool__",
    "__len__",
    "__iter__",
    "__next__",
    "__contains__",
    "__format__",
    "__getitem__",
    "__index__",
    "__int__",
    "__float__",
    "__call__",
    "__fspath__",
    "__bytes__",
    "__enter__",
    "__exit__",
    "__await__",
    "__get__",
    "__instancecheck__",
    "__subclasscheck__",
    "__sizeof__",
    "__reduce_ex__",
    "__dir__",
    "__length_hint__",
    "__reversed__",
]


def trapping(name: str) -> Any:
    def trap(self: Any, *args: Any, **_: Any) -> Any:
        note(f"{name}{args[:1] if args and type(args[0]) is str else ''}")
        if name in ("__hash__", "__len__", "__index__", "__int__", "__sizeof__", "__length_hint__"):
            return 1
        if name in ("__eq__", "__bool__", "__contains__", "__instancecheck__", "__subclasscheck__"):
            return True
        if name in ("__ne__", "__lt__"):
            return False
        if name in ("__repr__", "__str__", "__format__", "__fspath__"):
            return "hostile"
        if name == "__call__":
            gate.wait()
        return self

    return trap


def looking(self: Any, name: str) -> Any:
    note(f"__getattribute__({name!r})")
    return object.__getattribute__(self, name)


class Meta(type):
    """A class that answers everything itself."""

    def __eq__(cls, other: object) -> bool:
        note("Meta.__eq__")
        return cls is other

    def __hash__(cls) -> int:
        note("Meta.__hash__")
        return id(cls) >> 4

    def __getattribute__(cls, name: str) -> Any:
        note(f"Meta.__getattribute__({name!r})")
        return type.__getattribute__(cls, name)

    def __instancecheck__(cls, thing: object) -> bool:
        note("Meta.__instancecheck__")
        return True

    def __subclasscheck__(cls, thing: object) -> bool:
        note("Meta.__subclasscheck__")
        return True

    def mro(cls) -> Any:
        note("Meta.mro")
        return type.mro(cls)


class Trap(metaclass=Meta):
    """Answers any attribute, call and comparison, and records it."""

    __slots__ = ("__weakref__",)
    for _name in SPECIAL:
        locals()[_name] = trapping(_name)
    __getattribute__ = looking
    __class__ = property(lambda self: note("__class__") or int)
    __dict__ = property(lambda self: note("__dict__") or {})


class Text(str):
    """A string subclass whose methods record their calls."""

    __slots__ = ()

    def __str__(self) -> str:
        note("Text.__str__")
        return self

    def __eq__(self, other: object) -> bool:
        note("Text.__eq__")
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        note("Text.__hash__")
        return str.__hash__(self)

    def __getattribute__(self, name: str) -> Any:
        note(f"Text.{name}")
        return str.__getattribute__(self, name)

    for _name in (
        "__format__",
        "__len__",
        "__repr__",
        "__iter__",
        "__contains__",
        "__add__",
        "__mod__",
        "__lt__",
    ):
        locals()[_name] = (
            lambda method, name: lambda self, *args: (note(f"Text.{name}"), method(self, *args))[1]
        )(getattr(str, _name), _name)


def properties(*names: str) -> dict[str, Any]:
    """Properties that run code in place of asyncio's attributes."""

    def of(name: str) -> property:
        def read(self: Any) -> Any:
            note(f"property {name}")
            raise RuntimeError(name)

        return property(read)

    return {name: of(name) for name in names}


def methods(base: type, *names: str) -> dict[str, Any]:
    def of(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            note(f"method {name}")
            return getattr(base, name)(self, *args, **kwargs)

        return method

    return {name: of(name) for name in names}


FUTURE = ("done", "cancelled", "get_loop", "result", "exception", "add_done_callback")
SEEN = {
    "__getattribute__": looking,
    "__getattr__": trapping("__getattr__"),
    "__eq__": trapping("__eq__"),
    "__hash__": lambda self: (note("__hash__"), id(self))[1],
    "__repr__": trapping("__repr__"),
    "__bool__": trapping("__bool__"),
    "__len__": trapping("__len__"),
    "__class__": property(lambda self: (note("__class__"), type(self))[1]),
}
HostileFuture: Any = type("HostileFuture", (asyncio.Future,), SEEN | methods(asyncio.Future, *FUTURE))
TASK = (*FUTURE, "get_coro", "get_name", "set_name", "cancelling", "cancel")
HostileTask: Any = type("HostileTask", (asyncio.Task,), SEEN | methods(asyncio.Task, *TASK))
_PyTask = asyncio.tasks._PyTask
HostilePyTask: Any = type("HostilePyTask", (_PyTask,), SEEN | methods(_PyTask, *TASK))


class Raising(asyncio.Future):
    def __getattr__(self, name: str) -> Any:
        note(f"Raising.{name}")
        raise RuntimeError(name)


class Coroutine:
    """Stands in for a coroutine, as those of Cython do."""

    def __init__(self) -> None:
        self.future = asyncio.get_running_loop().create_future()
        self.inner = self.future.__await__()

    def send(self, value: Any) -> Any:
        return self.inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self.inner.throw(*error)

    def close(self) -> None:
        return self.inner.close()

    def __await__(self) -> Any:
        return self

    __iter__ = __await__
    __next__ = lambda self: self.send(None)  # noqa: E731
    __getattr__ = trapping("__getattr__")
    for _name in ("cr_await", "cr_frame", "cr_code", "cr_running", "gi_frame", "ag_frame", "gi_running"):
        locals()[_name] = property((lambda name: lambda self: note(f"Coroutine.{name}"))(_name))


import collections.abc  # noqa: E402

collections.abc.Coroutine.register(Coroutine)

HELD = ("_queue", "_getters", "_putters", "_maxsize", "_unfinished_tasks")


class HostileQueue(asyncio.Queue):
    __getattribute__ = looking
    __len__ = __bool__ = __eq__ = trapping("queue")
    __hash__ = object.__hash__
    qsize = trapping("qsize")

    def _init(self, maxsize: int) -> None:
        self._queue = Many()

    def _put(self, item: Any) -> None:
        self._queue.append(item)

    def _get(self) -> Any:
        return self._queue.pop()

    def empty(self) -> bool:
        return True

    def full(self) -> bool:
        return False


class Many(list):
    __len__ = __iter__ = __eq__ = __bool__ = __contains__ = __getitem__ = trapping("Many")
    __hash__ = trapping("Many.__hash__")


class HostileLock(asyncio.Lock):
    __getattribute__ = looking
    __eq__ = __bool__ = trapping("lock")
    __hash__ = object.__hash__
    locked = trapping("locked")


class Names(dict):
    """What ``exec`` may be given for global variables."""

    def __getitem__(self, name: str) -> Any:
        note(f"Names[{name!r}]")
        return dict.__getitem__(self, name)

    get = keys = values = items = __iter__ = __contains__ = __len__ = trapping("Names")


class Mapping:
    """What ``exec`` may be given for local variables."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        note(f"Mapping.{name}")
        return self.held[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.held[name] = value

    def __delitem__(self, name: str) -> None:
        del self.held[name]

    def keys(self) -> Any:
        note("Mapping.keys")
        return self.held.keys()


class HostileError(Exception):
    __str__ = __repr__ = __getattr__ = trapping("HostileError")
    args = property(lambda self: note("args"))


class HostileThread(threading.Thread):
    __getattr__ = trapping("Thread.__getattr__")
    __eq__ = trapping("Thread.__eq__")
    __hash__ = object.__hash__
    name = property(lambda self: (note("Thread.name"), "hostile")[1], lambda self, value: None)
    daemon = property(lambda self: (note("Thread.daemon"), True)[1], lambda self, value: None)
    ident = property(lambda self: (note("Thread.ident"), self._ident)[1])
    native_id = property(lambda self: (note("Thread.native_id"), 0)[1])


class Transport:
    """Of a stream."""

    __getattr__ = trapping("Transport.__getattr__")
    get_extra_info = trapping("get_extra_info")
    is_closing = trapping("is_closing")


class Worker:
    """Its methods run as tasks: a hostile ``self``."""

    __getattribute__ = looking
    __eq__ = __bool__ = trapping("Worker")
    __hash__ = object.__hash__

    async def work(self, awaited: Any) -> None:
        await awaited


def circles() -> list[Any]:
    """Callables that wrap themselves."""
    around: Any = functools.partial(len)
    around.__setstate__((around, (), {}, {}))

    def wrapped() -> None:
        gate.wait()

    wrapped.__wrapped__ = wrapped
    deep: Any = wrapped
    for _ in range(300):
        deep = functools.partial(deep)
    return [around, wrapped, deep]


def renamed() -> Any:
    """A coroutine function whose code has hostile names."""

    async def plain(future: Any) -> None:
        await future

    code = plain.__code__.replace(
        co_name=Text("sleep"), co_qualname=Text("sleep"), co_filename=Text("/usr/lib/asyncio/tasks.py")
    )
    return types.FunctionType(code, plain.__globals__, Text("sleep"))


async def wait(awaited: Any) -> None:
    await awaited


async def fail() -> None:
    raise HostileError(Trap())


kept: list[Any] = []


def start_tasks() -> None:
    """Every kind of task, in every wait."""
    loop = asyncio.get_running_loop()
    queue, lock = HostileQueue(3), HostileLock()
    lock._locked = True
    future, raising = HostileFuture(loop=loop), Raising(loop=loop)
    reader = asyncio.StreamReader()
    reader._transport = Transport()
    worker = Worker()

    def add(coro: Any, cls: Any = asyncio.Task, **more: Any) -> Any:
        kept.append(cls(coro, loop=loop, **more))
        return kept[-1]

    for cls in (asyncio.Task, HostileTask, HostilePyTask):
        for awaited in (future, raising, HostileFuture(loop=loop)):
            add(wait(awaited), cls)
        add(wait(queue.get()), cls)
        add(queue.get(), cls)
        add(queue.join(), cls)
        add(lock.acquire(), cls)
        add(reader.read(), cls)
        add(worker.work(loop.create_future()), cls)
        add(wait(asyncio.gather(HostileFuture(loop=loop), raising)), cls)
        add(wait(asyncio.shield(HostileFuture(loop=loop))), cls)
        add(wait(add(wait(future), cls)), cls)
        add(wait(asyncio.sleep(1000)), cls)
        add(wait(asyncio.wait_for(HostileFuture(loop=loop), 1000)), cls)
        add(wait(asyncio.wait([HostileFuture(loop=loop), loop.create_future()])), cls)
        add(wait(loop.run_in_executor(None, Trap())), cls)
        add(fail(), cls)
        add(wait(future), cls, name=Text("named"))
        add(renamed()(loop.create_future()), cls)
        odd = wait(loop.create_future())
        odd.__qualname__ = Text("qualified")
        add(odd, cls)
        add(Coroutine(), cls)
    future.add_done_callback(Trap())
    for callable in circles():
        future.add_done_callback(callable)
    future.add_done_callback(functools.partial(print, future))
    context = contextvars.copy_context()
    context.run(contextvars.ContextVar("hostile").set, Trap())


def start_timers() -> None:
    """Timers of hostile callbacks, arguments and contexts; a hostile protocol, generator and loop."""
    loop = asyncio.get_running_loop()
    worker, context = Worker(), contextvars.copy_context()
    context.run(contextvars.ContextVar(Text("hostile")).set, Trap())
    for callback in (Trap(), Trap().method, functools.partial(Trap()), worker.work, *circles(), renamed()):
        for _ in range(6):
            loop.call_later(3600, callback, Trap(), Text("text"), {"trap": Trap()})
            loop.call_later(3600, callback, worker, context=context)
    for _ in range(6):
        timer = loop.call_later(3600, Trap())
        timer._source_traceback = [
            Trap(),
            types.SimpleNamespace(filename=Text("a.py"), lineno=Trap(), name=Trap()),
        ]
        kept.append(timer)
        odd = loop.call_later(3600, print)
        odd._context, odd._cancelled = Trap(), Trap()
    here, there = socket.socketpair()
    loop.add_reader(here, Trap(), Trap())
    loop.add_reader(there, worker.work)
    kept.extend((here, there, HostileLoop()))


class HostileLoop(asyncio.SelectorEventLoop):
    __eq__ = trapping("HostileLoop")
    __hash__ = object.__hash__


def start_threads(pool: ThreadPoolExecutor) -> None:
    for each in (Trap(), Trap(), *circles(), functools.partial(Trap()), Trap().method):
        pool.submit(each)
    for index in range(2):
        HostileThread(target=gate.wait).start()
        threading.Thread(target=Trap(), name=Text(f"thread {index}"), daemon=True).start()
        lock = threading.Lock()
        lock.acquire()
        text = "def stand():\n    lock.acquire()\nstand()"
        names = Names(lock=lock, __builtins__=__builtins__, __name__="names")
        threading.Thread(
            target=exec, args=(compile(text, Text("<hostile>"), "exec"), names), daemon=True
        ).start()
        text = "with lock: pass"
        run = functools.partial(exec, compile(text, "<mapped>", "exec"), {"lock": lock}, Mapping())
        threading.Thread(target=run, daemon=True).start()


class Module(types.ModuleType):
    __getattribute__ = looking
    __getattr__ = trapping("Module.__getattr__")
    __dict__ = property(lambda self: note("Module.__dict__"))


def answer(loop: asyncio.AbstractEventLoop) -> None:
    for line in sys.stdin:
        if line.strip() == "end":
            os._exit(0)
        print(json.dumps(ran), flush=True)


async def main() -> None:
    sys.modules["hostile.module"] = Module("hostile.module")
    sys.modules["hostile.trap"] = Trap()
    pool = ThreadPoolExecutor(1)
    start_tasks()
    start_timers()
    start_threads(pool)
    await asyncio.sleep(0.1)
    taskscope.start("hostile", interval=0.2)
    start_tasks()
    start_threads(pool)
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    threading.Thread(target=answer, args=(None,), daemon=True).start()
    asyncio.run(main())
