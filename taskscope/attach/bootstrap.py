"""Runs inside the target, from text: loads the agent's modules from the payload and starts the agent.

Nothing is imported from our environment, no file is read or written, ``sys.path`` and the import system stay
unchanged: the modules are built from source, in an order that needs no finder, and live in ``sys.modules``
under a private name until the agent is detached.

This file is sent verbatim, so it must be self-contained: standard library only, and only modules every target
has.  ``payload`` comes from ``payload.py``.
"""

from __future__ import annotations

import _frozen_importlib_external
import _signal  # type: ignore[import-not-found]
import marshal
import posix
import sys
from _frozen_importlib import BuiltinImporter

TYPE_CHECKING = False  # as `typing` has it, which the target may not have loaded
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

# As in system.py: the real clock, even if the program has patched it.
time: Any = BuiltinImporter.create_module(BuiltinImporter.find_spec("time"))  # type: ignore[arg-type]
BuiltinImporter.exec_module(time)

TRIES = 3
"""A program in the middle of its own imports may have incomplete modules (``typing``)."""

SLICE, PAUSE = 0.001, 0.0005
"""Seconds of work before we yield the GIL; the program's threads would wait 5 ms to get it otherwise."""

LONG = 3000  # characters of source that compile in about SLICE

ANNOTATIONS = 0x1000000  # the compiler flag of `from __future__ import annotations`, since 3.11


def main(payload: dict[str, Any], reply: tuple[int, int, int]) -> None:
    """Starts the agent unless there is one; ``reply`` gets one line with the result."""
    if time.time() > payload["deadline"]:
        send(reply, {"state": "late"})
        return
    if payload["magic"] not in (None, _frozen_importlib_external.MAGIC_NUMBER):
        send(reply, {"state": "foreign"})
        return
    answer: dict[str, Any] = {}
    for _ in range(TRIES):
        try:
            answer = running(payload["package"]) or start(payload)
            break
        except BaseException as error:  # noqa: BLE001  (the program must never see our failures)
            answer = {
                "state": "failed",
                "error": f"{type(error).__name__}: {error}",
                "where": where(error),
            }
            time.sleep(0.1)
    send(reply, answer)


def running(package: str) -> dict[str, Any] | None:
    """The existing agent, whether injected or started by the program."""
    for name in (package, "taskscope"):
        module: Any = sys.modules.get(name)
        # Anything else of that name belongs to the program and is not touched.
        agent = module.__dict__.get("_agent") if type(module) is type(sys) else None
        if agent is not None:
            return {"state": "running", "taskscope": agent.version}
        if name == package and module is not None:
            if module._loaded_by == posix.getpid():
                return {"state": "busy"}  # another client's payload is loading right now
            # We were forked while one was loading: it never finishes here.
            forget({key: value for key, value in list(sys.modules.items()) if key.startswith(package)})
    return None


def start(payload: dict[str, Any]) -> dict[str, Any]:
    """Loads the modules, starts the agent, and drops the modules when it is detached."""
    package = payload["package"]
    modules = create(payload["modules"])
    modules[package]._loaded_by = posix.getpid()
    # The only atomic step: of two payloads that get here together, one finds the other's module.
    if sys.modules.setdefault(package, modules[package]) is not modules[package]:
        return {"state": "busy"}
    try:
        import_threading_as_main()
        sys.modules.update(modules)
        load(payload["modules"], modules)
        time.sleep(PAUSE)
        agent = modules[f"{package}.agent.agent"].Agent(
            None, interval=1.0, control=False, version=payload["taskscope"], arrived=payload["arrived"]
        )
        agent.lingers = payload["lingers"]
        agent.on_stop = lambda: forget(modules)
        time.sleep(PAUSE)
        agent.start()
        modules[package]._agent = agent
        return {"state": "started", "taskscope": agent.version}
    except BaseException:
        forget(modules)
        raise


def load(sources: tuple[tuple[str, str, tuple[Any, ...]], ...], modules: dict[str, Any]) -> None:
    """Runs the modules' statements, in slices."""
    begun = time.perf_counter()
    for name, file, pieces in sources:
        for piece in pieces:
            is_code = type(piece) is bytes
            if time.perf_counter() - begun > SLICE or (not is_code and len(piece[1]) > LONG):
                time.sleep(PAUSE)
                begun = time.perf_counter()
            code = marshal.loads(piece) if is_code else compiled(piece[0], piece[1], file)  # noqa: S302
            exec(code, modules[name].__dict__)  # noqa: S102


def compiled(first: int, text: str, file: str) -> CodeType:
    """Compiles statements that start at line ``first`` of ``file``, without docstrings."""
    source = "\n" * (first - 1) + text
    code: CodeType = compile(source, file, "exec", ANNOTATIONS, True, 2)
    return code


def create(sources: tuple[tuple[str, str, tuple[Any, ...]], ...]) -> dict[str, Any]:
    """Empty modules, each an attribute of its parent package, so that imports find it there."""
    kind: Any = type(sys)
    builtins = unpatched()
    modules = {}
    for name, file, _ in sorted(sources):
        module = modules[name] = kind(name)
        module.__file__ = file
        module.__dict__["__builtins__"] = builtins
        # If these were None, linecache would warn on the program's stderr.
        del module.__dict__["__spec__"], module.__dict__["__loader__"]
        parent, _, child = name.rpartition(".")
        is_package = file.endswith("/__init__.py")
        if is_package:
            module.__path__ = []
        module.__package__ = name if is_package else parent
        if parent:
            setattr(modules[parent], child, module)
    return modules


def unpatched() -> dict[str, Any]:
    """Builtins for our modules, in which ``import`` finds the unpatched standard library.

    gevent replaces blocking functions, and its ``start_new_thread`` starts no real thread.  It keeps the
    originals; without gevent these are the ordinary builtins.
    """
    import builtins

    module: Any = sys.modules.get("gevent.monkey")
    originals = module.__dict__.get("saved") if type(module) is type(sys) else None
    if not originals:
        return vars(builtins)
    kind: Any = type(sys)
    restored: dict[str, Any] = {}
    for name, values in originals.items():
        if name in sys.modules:
            module = restored[name] = kind(name)
            module.__dict__.update({**vars(sys.modules[name]), **values})

    def find(name: str, *rest: Any, **options: Any) -> Any:
        return restored.get(name) or builtins.__import__(name, *rest, **options)

    return {**vars(builtins), "__import__": find}


def import_threading_as_main() -> None:
    """Imports ``threading`` without making this thread Python's main thread.

    Before 3.13 the first thread to import it counts as the main one; in a program that never imported it that
    would be ours, which would break signal handling, asyncio and shutdown.
    """
    if "threading" in sys.modules or sys.version_info >= (3, 13):
        return
    import _thread

    # The oldest thread comes last.  (A main thread outside Python code has no frame.)
    idents = [ident for ident in sys._current_frames() if ident != _thread.get_ident()]
    import threading as module

    threading: Any = module
    if not idents:
        return
    main = threading.main_thread()
    sentinel = _thread.allocate_lock()
    sentinel.acquire()
    with threading._shutdown_locks_lock:
        threading._shutdown_locks.discard(main._tstate_lock)
        threading._shutdown_locks.add(sentinel)
    with threading._active_limbo_lock:
        threading._active.pop(main._ident, None)
        main._ident, main._native_id, main._tstate_lock = idents[-1], posix.getpid(), sentinel
        threading._active[main._ident] = main


def forget(modules: dict[str, Any]) -> None:
    """Drops exactly these modules, not those of a later agent."""
    for name, module in modules.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


def where(error: BaseException) -> str:
    """File, line and function of the innermost frame: enough to locate the fault without a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f"{code.co_filename}:{trace.tb_lineno} {code.co_name}"


def send(reply: tuple[int, int, int], answer: dict[str, Any]) -> None:
    """Writes the fields of ``answer`` to our pipe (read end, write end, inode) and closes it.

    Its numbers may be the program's by now: a program that closes unknown descriptors may reuse them.
    """
    read, write, inode = reply
    fields = [f"{name}={value}".replace("\n", " ").replace("\0", " ") for name, value in answer.items()]
    ours = [end for end in (write, read) if is_pipe(end, inode)]
    try:
        if write in ours and read in ours:
            # We still hold the read end, so no SIGPIPE; and 4,000 bytes always fit into an empty pipe.
            posix.write(write, "\0".join(fields).encode("utf-8", "backslashreplace")[:4000] + b"\n")
    finally:
        for end in ours:
            posix.close(end)


def is_pipe(descriptor: int, inode: int) -> bool:
    """Whether it is an end of that pipe."""
    try:
        found = posix.fstat(descriptor)
    except OSError:
        return False
    return found.st_mode & 0o170000 == 0o010000 and found.st_ino == inode


def begin(packed: str, reply: tuple[int, int, int]) -> None:
    """Body of the injected thread.  If it raises, the program text closes the pipe."""
    # Signals go to the program's threads; ours, and those we start, take none.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    time.sleep(PAUSE)
    import binascii
    import zlib

    main(marshal.loads(zlib.decompress(binascii.a2b_base64(packed))), reply)  # noqa: S302  (it is ours)
