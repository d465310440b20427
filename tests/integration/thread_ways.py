"""Run in a child: a thread blocked in each way, named after it; prints what is said of each.

``plain`` locks know no owner; ``bare`` is one that was taken without a ``with``.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import taskscope
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Callable

release = threading.Event()
plain, bare, reentrant = threading.Lock(), threading.Lock(), threading.RLock()
here, there = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="pool")
done = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="rested")
started: dict[str, threading.Thread] = {}


class Account:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.changed = threading.Condition(threading.Lock())

    def holder(self) -> None:
        with self._lock:
            release.wait()

    def in_with(self) -> None:
        with self._lock:
            pass

    def in_acquire(self) -> None:
        if self._lock.acquire(True, 500):
            self._lock.release()

    def simple_queue(self) -> None:
        self.jobs.get()

    def condition(self) -> None:
        with self.changed:
            self.changed.wait()

    def condition_holder(self) -> None:
        with self.changed:
            release.wait()

    def in_condition(self) -> None:
        with self.changed:
            pass


account = Account()


def reentrant_holder() -> None:
    with reentrant:
        release.wait()


def in_reentrant() -> None:
    with reentrant:
        pass


def itself() -> None:
    with plain:
        plain.acquire()


def in_bare() -> None:
    bare.acquire()


def sleep() -> None:
    time.sleep(500)


def sleep_by_another_name() -> None:
    from time import sleep as nap

    nap(500)


def recv() -> None:
    client.recv(10)


def recv_unix() -> None:
    here.recv(10)


def read() -> None:
    client.makefile("rb").read(10)


def accept() -> None:
    listener.accept()


def ready() -> None:
    select.select([here], [], [])


sleeper: subprocess.Popen[bytes]


def child() -> None:
    global sleeper
    sleeper = subprocess.Popen(["sleep", "500"])
    sleeper.wait()


def pipe() -> None:
    os.read(os.pipe()[0], 1)


def barrier() -> None:
    threading.Barrier(3).wait()


def semaphore() -> None:
    threading.Semaphore(0).acquire()


def event() -> None:
    threading.Event().wait(500)


def result() -> None:
    pool.submit(sleep).result()


def queue_get() -> None:
    queue.Queue[int](7).get()


def queue_join() -> None:
    jobs: queue.Queue[int] = queue.Queue()
    jobs.put(1)
    jobs.join()


def join() -> None:
    started["sleep"].join()


def main() -> None:
    taskscope.start("threads", interval=5)
    assert taskscope._agent is not None
    bare.acquire()
    done.submit(int).result()
    ways: list[Callable[[], Any]] = [account.holder, account.in_with, account.in_acquire]
    ways += [account.simple_queue, account.condition, account.condition_holder, account.in_condition]
    ways += [reentrant_holder, in_reentrant, itself, in_bare, sleep, sleep_by_another_name, recv, recv_unix]
    ways += [read, accept, ready, child, pipe, barrier, semaphore, event, result]
    ways += [queue_get, queue_join, join]
    end = time.monotonic() + 20
    for way in ways:
        thread = started[way.__name__] = threading.Thread(target=way, name=way.__name__, daemon=True)
        thread.start()
        found: dict[str, Any] = {}
        while time.monotonic() < end:  # one after the other: holders before those who wait
            found = {each.name: each for each in run(taskscope._agent.thread_view.all())}
            if found[thread.name].wait not in ("running", "unknown"):
                break
            time.sleep(0.002)
    for _ in range(3):
        pool.submit(release.wait)
    found = {each.name: each for each in run(taskscope._agent.thread_view.all())}
    json.dump({name: (each.state, each.wait, each.doing) for name, each in found.items()}, sys.stdout)
    sys.stdout.flush()
    sleeper.kill()
    os._exit(0)


main()
