"""Run in a child: a program with loops and threads, in which functions of the agent raise.

``python failure_points.py MOMENT`` prints the functions of ours that are called in that moment, one a line.
With ``NAME ERROR`` pairs after it, each is tried in turn: the agent is started, works, answers and is
stopped, and in that moment NAME raises ERROR.  A line of JSON says what the program noticed and what was
left.

MOMENT: ``arming``, ``running``, ``answering`` or ``stopping``.
"""

import asyncio
import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
import threading
import time
import types
from typing import Any

import taskscope
import taskscope.agent.agent

ERRORS = {"RuntimeError": RuntimeError, "OSError": OSError, "MemoryError": MemoryError}

ONCE = {
    "parts.Part.undo",
    "parts._put_back",
    "parts.Link.cut",
    "parts.insist",
    "presence.Presence.undo",
    "presence.Presence._release",
    "factories.TaskHooks._unhook",
    "factories.TaskHooks.let_go",
    "factories.TaskHooks.loops",
    "factories.TaskHooks._raw_of",
    "factories._is_ours",
    "imports.ImportWatch._leave",
    "threads.ThreadHooks._forget_all",
    "life.Resident._undo",
    "life.Resident.thread_ended",
    "births.Births._let_go",
    "births.Births.release_class",
    "server.Server.leave",
    "server.Server.stop",
    "listener.Listener.close",
    "listener.Listener.unlink",
    "descriptors.Channel.close",
    "descriptors.Held.ours",
    "descriptors.Spares.close",
    "descriptors._file",
    "process.Meter.close",
    "server.Server._close",
    "descriptors.Held.close",
    "agent._after_fork_nothing",
    "forking._forget",
}
"""What undoes everything else.  If it never works nobody is left to do it, so it fails once."""

DOORS = {"registry._gone", "life.Resident.stop", "descriptors.Held.__del__"}
"""Called by the interpreter or the program itself, and nothing but a guard."""


# -- making functions fail ------------------------------------------------------------------------------


def functions() -> dict[str, types.FunctionType]:
    """All functions of the agent and of what it stands on, by module and qualified name."""
    found: dict[str, types.FunctionType] = {}
    names = [each.name for each in pkgutil.walk_packages(taskscope.agent.__path__, "taskscope.agent.")]
    for name in ["taskscope.agent", "taskscope.wire", "taskscope.endpoint", "taskscope.system", *names]:
        module = importlib.import_module(name)
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) == name:
                _collect(value, name.rpartition(".")[2], found)
    return {name: each for name, each in found.items() if name not in DOORS}


def _collect(value: Any, module: str, found: dict[str, types.FunctionType]) -> None:
    if isinstance(value, type):
        for each in list(vars(value).values()):
            _collect(each, module, found)
    if isinstance(value, property):
        value = value.fget
    value = getattr(value, "__func__", getattr(value, "__wrapped__", value))
    if type(value) is types.FunctionType and str(value.__module__).startswith("taskscope."):
        found.setdefault(f"{module}.{value.__qualname__}", value)


class Point:
    """A function that calls ``instead(original, ...)``; itself again after ``restore``."""

    def __init__(self, name: str, function: types.FunctionType, instead: Any) -> None:
        self.name, self.function, self.code = name, function, function.__code__
        original = types.FunctionType(
            self.code, function.__globals__, name, function.__defaults__, function.__closure__
        )
        original.__kwdefaults__ = function.__kwdefaults__
        free = self.code.co_freevars
        generates = bool(self.code.co_flags & 0x20)
        text = "def outer():\n" + "".join(f" {each} = None\n" for each in free)
        text += " def raiser(*a, **k):\n" + "".join(f"  {each}\n" for each in free)
        call = "__import__('sys').failure_points[KEY]"
        text += f"  return (yield from {call}(*a, **k))\n" if generates else f"  return {call}(*a, **k)\n"
        scope: dict[str, Any] = {}
        exec((text + " return raiser").replace("KEY", repr(name)), scope)
        sys.__dict__.setdefault("failure_points", {})[name] = lambda *a, **k: instead(original, *a, **k)
        raiser = scope["outer"]().__code__
        function.__code__ = raiser.replace(co_name=self.code.co_name, co_filename=self.code.co_filename)

    def restore(self) -> None:
        self.function.__code__ = self.code
        del sys.failure_points[self.name]  # type: ignore[attr-defined]


# -- the program ------------------------------------------------------------------------------------------

noticed: list[str] = []


def notice(loop: Any, context: dict[str, Any]) -> None:
    noticed.append(f"loop's exception handler: {context.get('message')} {context.get('exception')!r}")


sys.unraisablehook = lambda it: noticed.append(f"unraisable: {it.exc_value!r} in {it.object!r}")
threading.excepthook = lambda it: noticed.append(f"thread: {it.exc_value!r}")


class Service:
    """A loop in a thread, older than the agent, with a few waiting tasks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(notice)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="service")
        self.thread.start()
        self.kept = [self.soon(self.wait()) for _ in range(3)]

    async def wait(self) -> None:
        await asyncio.sleep(3600)

    def soon(self, coro: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coro, self.loop)


def foreign(loop: Any, coro: Any, **options: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **options)


async def child(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def failing() -> None:
    raise LookupError


async def main(factory: Any) -> list[int]:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(notice)
    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory or factory is getattr(asyncio, "eager_task_factory", 0)
    tasks = [asyncio.create_task(child(each), name=f"child {each}") for each in range(3)]
    tasks.append(asyncio.Task(child(3), loop=loop))
    bad = asyncio.create_task(failing())
    await asyncio.wait([bad])
    assert isinstance(bad.exception(), LookupError)
    gone = asyncio.create_task(child(9))
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.to_thread(int)
    called = loop.create_future()
    loop.call_soon(called.set_result, None)
    await called
    return await asyncio.gather(*tasks)


def work(service: Service) -> None:
    """The program's work; it records whatever it notices."""
    factories = [None, foreign, getattr(asyncio, "eager_task_factory", None)]
    for factory in factories:
        try:
            assert asyncio.run(main(factory)) == [0, 1, 2, 3]
        except BaseException as error:
            noticed.append(f"a loop of its own: {error!r}")
    try:
        assert service.soon(child(5)).result(5) == 5
        threads = [threading.Thread(target=int) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        importlib.import_module("this_is_not_there")
    except ModuleNotFoundError:
        pass
    except BaseException as error:
        noticed.append(f"threads: {error!r}")


# -- as it was before -------------------------------------------------------------------------------------


def state(service: Service) -> dict[str, Any]:
    """Everything that the agent changes in a program."""
    tasks = asyncio.tasks
    sets = [getattr(tasks, name, None) for name in ("_all_tasks", "_scheduled_tasks")]
    return {
        "loop classes": {k: id(v) for k, v in vars(asyncio.BaseEventLoop).items()},
        "asyncio": [id(tasks.run_coroutine_threadsafe), id(asyncio.run_coroutine_threadsafe)],
        "asyncio.Task": id(asyncio.Task),
        "Thread": {k: id(v) for k, v in vars(threading.Thread).items()},
        "sets of tasks": [sorted(vars(each)) for each in sets if each is not None],
        "meta_path": [id(each) for each in sys.meta_path],
        "still alive": sorted(map(_kind, filter(_is_ours, gc.get_objects()))),
        "forks": len(sys.__dict__.get("_taskscope_forked", ())),
        "the service's factory": id(service.loop._task_factory),  # type: ignore[attr-defined]
        "marks on threads": [each.name for each in threading.enumerate() if hasattr(each, "_taskscope")],
        "descriptors": {name: _target(name) for name in os.listdir("/proc/self/fd")},
        "threads": sorted(os.listdir("/proc/self/task")),
        "sockets": os.listdir(os.environ["TASKSCOPE_DIR"]),
        "agent": taskscope._agent is not None,
    }


def _is_ours(thing: Any) -> bool:
    """Agents, and our functions that the program could call, including those registered with atexit."""
    if type(thing) is types.FunctionType:
        home = str(thing.__globals__.get("__name__"))
        return home.startswith("taskscope.agent") and "<locals>" in thing.__code__.co_qualname
    return type(thing) is taskscope.agent.agent.Agent


def _kind(thing: Any) -> str:
    code = getattr(thing, "__code__", None)
    return type(thing).__name__ if code is None else code.co_qualname


def _target(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}").removesuffix(" (deleted)")
    except OSError:
        return ""  # the listing's own


def differences(before: dict[str, Any], service: Service) -> list[str]:
    """What still differs from before after a short while."""
    give_up = time.monotonic() + 2
    while True:
        gc.collect()
        now = state(service)
        found = [_difference(key, before[key], now[key]) for key in now if now[key] != before[key]]
        if not found or time.monotonic() > give_up:
            return found
        time.sleep(0.01)


# -- a client ---------------------------------------------------------------------------------------------


def _difference(key: str, before: Any, now: Any) -> str:
    if isinstance(now, dict):
        before, now = (tuple(each.items()) for each in (before, now))
    if not isinstance(now, (list, tuple)):
        return f"{key}: {before} before, {now} now"
    gone = [each for each in before if each not in now]
    more = [each for each in now if now.count(each) > before.count(each)]
    return f"{key}: {gone} before, {more} now"[:300]


def ask_everything(path: str, serial: int, site: int) -> None:
    """Makes every request; the agent may answer anything or exit, but not stay silent."""
    requests: list[tuple[str, dict[str, Any]]] = [
        ("hello", {"protocol": taskscope_protocol(), "client": "test"}),
        ("subscribe", {}),
        ("tasks", {}),
        ("tasks", {"order": "newest", "parked": "x"}),
        ("task", {"serial": serial}),
        ("site", {"site": site}),
        ("ages", {}),
        ("parked", {}),
        ("groups", {"by": "coroutine"}),
        ("tree", {"by": "site"}),
        ("facts", {"site": site, "cuts": [0.0]}),
        ("ended", {}),
        ("history", {"seconds": 60}),
        ("site_history", {"sites": [site], "seconds": 60}),
        ("threads", {}),
        ("thread", {"ident": threading.get_ident()}),
        ("loops", {}),
        ("stalls", {}),
        ("source", {"file": __file__, "line": 5}),
        ("modules", {}),
        ("set_interval", {"seconds": 0.1}),
        ("cancel", {"serial": 10**9}),
        ("snapshot", {}),
        ("no such method", {}),
    ]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(3)
        try:
            client.connect(path)
            missing = set()
            for id, (method, params) in enumerate(requests):
                line = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
                client.sendall(json.dumps(line).encode() + b"\n")
                missing.add(id)
            buffer = b""
            while missing:
                data = client.recv(1 << 20)
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                missing -= {json.loads(each).get("id") for each in lines}
        except TimeoutError:
            noticed.append(f"client: no answer to {[requests[each][0] for each in missing]}")
        except OSError:
            return


def taskscope_protocol() -> int:
    from taskscope import wire

    return wire.PROTOCOL


def _newest() -> tuple[int, int]:
    agent = taskscope._agent
    records = [] if agent is None else agent.registry.task_records()
    for record in records:
        for chunk in record.chunks:
            for serial in chunk:
                return serial, record.id
    return 0, 0


# -- the attack -------------------------------------------------------------------------------------------


def ticks(count: int) -> None:
    """Waits until the agent has taken so many more samples, or has stopped."""
    agent = taskscope._agent
    if agent is None:
        return
    agent.interval = 0.02
    agent._next_search = agent.described._next_limits = 0.0
    end, until = agent.sampler._seq + count, time.monotonic() + 0.4
    while agent.sampler._seq < end and time.monotonic() < until and taskscope._agent is agent:
        time.sleep(0.002)


def attempt(moment: str, service: Service, inject: Any, lift: Any) -> list[str]:
    """One life of the agent with a failure at one moment."""
    noticed.clear()
    before = state(service)
    size = os.fstat(2).st_size

    def now(name: str, function: Any, *args: Any) -> None:
        if name == moment:
            inject()
        try:
            function(*args)
        except taskscope.StartError:
            pass
        except BaseException as error:
            noticed.append(f"{name}: {error!r}")
        if name == moment:
            lift()

    def arm() -> None:
        taskscope.start("points", interval=0.1, control=True)
        work(service)

    def live() -> None:
        ticks(1)
        work(service)
        ticks(2)

    now("arming", arm)
    if moment != "arming":
        now("running", live)
    if moment in ("answering", "stopping", "none") and taskscope._agent is not None:
        path = taskscope._agent.server.listener.path
        now("answering", ask_everything, path, *_newest())
    now("stopping", taskscope.stop)
    work(service)
    found = differences(before, service)
    if os.fstat(2).st_size != size:
        with open("/proc/self/fd/2", "rb") as file:
            found.append(f"stderr: {file.read()[size:][:500]!r}")
    return [*noticed, *found]


def called_in(moment: str, service: Service) -> list[str]:
    """Our functions that a life without failures calls at that moment."""
    called: set[str] = set()
    recording: list[int] = []

    def recorder(name: str) -> Any:
        def instead(original: Any, *args: Any, **kwargs: Any) -> Any:
            if recording:
                called.add(name)
            return original(*args, **kwargs)

        return instead

    points = [Point(name, each, recorder(name)) for name, each in functions().items()]
    problems = attempt(moment, service, lambda: recording.append(1), recording.clear)
    for each in points:
        each.restore()
    assert not problems, problems
    return sorted(called)


def failing_at(moment: str, name: str, error: str, service: Service) -> list[str]:
    point: list[Point] = []
    calls = []

    def instead(original: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if name in ONCE and len(calls) > 1:
            return original(*args, **kwargs)
        raise ERRORS[error]("failure point")

    def inject() -> None:
        point.append(Point(name, functions()[name], instead))

    return attempt(moment, service, inject, lambda: point.pop().restore())


def run() -> None:
    moment, *pairs = sys.argv[1:]
    service = Service()
    work(service)
    attempt("none", service, None, None)  # makes what asyncio, the interpreter and we make once
    problems = attempt("none", service, None, None)
    assert not problems, problems
    if not pairs:
        print("\n".join(called_in(moment, service)))
        return
    for name, error in zip(pairs[::2], pairs[1::2], strict=True):
        problems = failing_at(moment, name, error, service)
        print(json.dumps({"name": name, "error": error, "problems": problems}), flush=True)
        if problems:
            os._exit(0)  # what follows would suffer from it
    gc.collect()


run()
sys.stdout.flush()
os._exit(0)
