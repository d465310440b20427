"""Programs that hang, each in its own way, and healthy look-alikes; each prints ``standing``."""

from __future__ import annotations

_START = """
import asyncio, gc, os, queue, signal, socket, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
def say(): print("standing", flush=True)
"""

HANGS = {
    "tasks, two locks": (
        "deadlock",
        "one",
        """
a, b = asyncio.Lock(), asyncio.Lock()
async def one(first, second):
    async with first:
        await asyncio.sleep(0.1)
        async with second: pass
async def main():
    asyncio.get_running_loop().call_later(0.3, say)
    await asyncio.gather(one(a, b), one(b, a))
asyncio.run(main())
""",
    ),
    "threads, two locks": (
        "deadlock",
        "take",
        """
a, b, both = threading.Lock(), threading.RLock(), threading.Barrier(3)
def take(first, second):
    first.acquire()
    try:
        both.wait()
        with second: pass
    finally:
        first.release()
for pair in ((a, b), (b, a)): threading.Thread(target=take, args=pair).start()
both.wait()
say()
""",
    ),
    "threads that signals wake now and then": (
        "deadlock",
        "take",
        """
a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(3)
def take(first, second):
    with first:
        both.wait()
        with second: pass
signal.signal(signal.SIGUSR1, lambda *_: None)
threads = [threading.Thread(target=take, args=pair, daemon=True) for pair in ((a, b), (b, a))]
for thread in threads: thread.start()
both.wait()
say()
while True:
    for thread in threads: signal.pthread_kill(thread.ident, signal.SIGUSR1)
    time.sleep(0.02)
""",
    ),
    "a lock held across an await, wanted by a thread": (
        "deadlock",
        "work",
        """
lock = threading.Lock()
def work():
    with lock: pass
async def main():
    with lock:
        asyncio.get_running_loop().call_later(0.2, say)
        await asyncio.to_thread(work)
asyncio.run(main())
""",
    ),
    "a semaphore taken twice": (
        "deadlock",
        "outer",
        """
async def outer(places):
    async with places:
        await asyncio.sleep(0.1)
        async with places: pass
async def main():
    places = asyncio.BoundedSemaphore(3)
    asyncio.get_running_loop().call_later(0.3, say)
    await asyncio.gather(*(outer(places) for _ in range(5)))
asyncio.run(main())
""",
    ),
    "a queue that lends connections, and workers": (
        "deadlock",
        "connection",
        """
pool, workers = queue.Queue(), ThreadPoolExecutor(2)
pool.put("the only one")
@contextmanager
def connection():
    lent = pool.get(timeout=60)
    try: yield lent
    finally: pool.put(lent)
@asynccontextmanager
async def in_thread(manager):
    loop = asyncio.get_running_loop()
    yield await loop.run_in_executor(workers, manager.__enter__)
    await loop.run_in_executor(workers, manager.__exit__, None, None, None)
async def request():
    async with in_thread(connection()):
        await asyncio.sleep(0.3)
        await asyncio.get_running_loop().run_in_executor(workers, time.sleep, 0)
async def main():
    asyncio.get_running_loop().call_later(0.6, say)
    await asyncio.gather(*(request() for _ in range(4)))
asyncio.run(main())
""",
    ),
    "two threads that join each other": (
        "deadlock",
        "end",
        """
started = threading.Barrier(3)
def end(number):
    started.wait()
    threads[number].join()
threads = [threading.Thread(target=end, args=(other,)) for other in (1, 0)]
for thread in threads: thread.start()
started.wait()
say()
""",
    ),
    "a job that waits for one of its own pool": (
        "deadlocked with itself",
        "outer",
        """
pool = ThreadPoolExecutor(1)
def outer(): pool.submit(int).result()
job = pool.submit(outer)
say()
job.result()
""",
    ),
    "the result of a coroutine of the own loop": (
        "deadlocked with itself",
        "main",
        """
async def other(): pass
async def main():
    say()
    asyncio.run_coroutine_threadsafe(other(), asyncio.get_running_loop()).result()
asyncio.run(main())
""",
    ),
    "a lock taken again": (
        "deadlocked with itself",
        "Store.get",
        """
class Store:
    def __init__(self): self.lock = threading.Lock()
    def refresh(self):
        with self.lock: self.get()
    def get(self):
        say()
        with self.lock: pass
Store().refresh()
""",
    ),
    "a finaliser": (
        "deadlocked with itself",
        "Dropped.__del__",
        """
lock = threading.Lock()
class Dropped:
    def __init__(self): self.itself = self
    def __del__(self):
        say()
        with lock: pass
def take():
    with lock:
        Dropped()
        gc.collect()
take()
""",
    ),
    "a signal handler": (
        "deadlocked with itself",
        "handler",
        """
lock = threading.Lock()
def handler(*_):
    say()
    with lock: pass
signal.signal(signal.SIGUSR1, handler)
with lock: os.kill(os.getpid(), signal.SIGUSR1)
""",
    ),
    "an asyncio lock taken again": (
        "deadlocked with itself",
        "get",
        """
lock = asyncio.Lock()
async def get():
    async with lock: pass
async def refresh():
    async with lock: await get()
async def main():
    asyncio.get_running_loop().call_later(0.2, say)
    await refresh()
asyncio.run(main())
""",
    ),
    "a consumer that nobody tells to end": (
        "cannot end",
        "consume",
        """
jobs = queue.Queue()
def consume():
    while True: jobs.get()
threading.Thread(target=consume).start()
say()
""",
    ),
    "a job in the executor of a loop that is closed": (
        "cannot end",
        "wait",
        """
stop = threading.Event()
def wait(): stop.wait()
async def main(): asyncio.get_running_loop().run_in_executor(None, wait)
say()
asyncio.run(main())
""",
    ),
    "a condition that is waited for under the lock of who would notify": (
        "deadlock",
        "buy",
        """
lock, arrived = threading.Lock(), threading.Condition()
def buy():
    with lock, arrived:
        say()
        arrived.wait()
def deliver():
    with lock, arrived: arrived.notify_all()
threading.Thread(target=buy).start()
while not lock.locked(): time.sleep(0.01)
deliver()
""",
    ),
    "queues that are full both ways": (
        "deadlock",
        "stage",
        """
left, right = queue.Queue(1), queue.Queue(1)
def stage(inbox, outbox):
    while True:
        for number in range(2): outbox.put(number)
        inbox.get()
threading.Thread(target=stage, args=(left, right)).start()
say()
stage(right, left)
""",
    ),
    "tasks whose events only the others set": (
        "deadlock",
        "start",
        """
ups = [asyncio.Event() for _ in range(3)]
async def start(number):
    await ups[number - 1].wait()
    ups[number].set()
async def main():
    asyncio.get_running_loop().call_later(0.2, say)
    await asyncio.gather(*(start(number) for number in range(3)))
asyncio.run(main())
""",
    ),
    "a lock of a thread that has failed": (
        "owner gone",
        "want",
        """
lock = threading.Lock()
thread = threading.Thread(target=lock.acquire)
thread.start()
thread.join()
def want():
    with lock: pass
say()
want()
""",
    ),
    "an owner that has ended": (
        "owner gone",
        "want",
        """
lock = threading.RLock()
thread = threading.Thread(target=lock.acquire)
thread.start()
thread.join()
def want():
    with lock: pass
say()
want()
""",
    ),
    "a filter fed before its output is read": (
        "deadlock",
        "feed",
        """
filter = subprocess.Popen(["cat"], stdin=-1, stdout=-1)
def feed(): filter.stdin.write(b"x" * 1_000_000)
say()
feed()
""",
    ),
    "a child whose output nobody reads": (
        "deadlock",
        "main",
        """
async def main():
    child = await asyncio.create_subprocess_exec("head", "-c", "1000000", "/dev/zero", stdout=-1)
    say()
    await child.wait()
asyncio.run(main())
""",
    ),
    "two peers that both send first": (
        "deadlock",
        "send",
        """
async def send(end):
    _, writer = await asyncio.open_connection(sock=end)
    writer.write(b"x" * 10_000_000)
    await writer.drain()
async def main():
    say()
    await asyncio.gather(*(send(end) for end in socket.socketpair()))
asyncio.run(main())
""",
    ),
    "a pipe that only its writer reads": (
        "deadlock",
        "fill",
        """
ends = os.pipe()
def fill(): os.write(ends[1], b"x" * 1_000_000)
say()
fill()
""",
    ),
}
"""By what they do: the pattern, the function that waits, the program."""

IN_BYTECODE = (
    "tasks, two locks",
    "threads, two locks",
    "threads that signals wake now and then",
    "a lock held across an await, wanted by a thread",
    "a queue that lends connections, and workers",
    "a finaliser",
    "an asyncio lock taken again",
    "a child whose output nobody reads",
)
"""Those whose owner only the bytecode or the stack of a frame tells, which differ between versions."""


FORKED = (
    _START
    + """
lock = threading.Lock()
def hold():
    with lock: time.sleep(3600)
def want():
    with lock: pass
threading.Thread(target=hold, daemon=True).start()
while not lock.locked(): time.sleep(0.01)
if not (pid := os.fork()):
    want()
print(pid, flush=True)
time.sleep(3600)
"""
)
"""A child that waits for a lock that its parent held as it was forked; prints the child's pid."""

FORKED_METHOD = (
    _START
    + """
import logging
class Shipper:
    def __init__(self): self.lock = threading.Lock()
    def add(self):
        with self.lock: pass
    def flush(self):
        with self.lock: time.sleep(3600)
class Rotating(logging.Handler):
    def reopen(self): return self.lock.acquire()
Rotating.reopen.__code__ = Rotating.reopen.__code__.replace(co_filename="another file")
shipper = Shipper()
threading.Thread(target=shipper.flush, daemon=True).start()
while not shipper.lock.locked(): time.sleep(0.01)
def want(): shipper.add()
if not (pid := os.fork()):
    want()
print(pid, flush=True)
time.sleep(3600)
"""
)
"""The same, in a method, next to an imported class whose lock of that name is acquired outside a ``with``."""

FORKED_WORKER = (
    _START
    + """
pool = ThreadPoolExecutor(1)
pool.submit(int).result()
def want(): pool.submit(int).result()
if not (pid := os.fork()):
    want()
print(pid, flush=True)
time.sleep(3600)
"""
)
"""A child that waits for a job of a pool whose only worker stayed behind."""

FORKED_TURN = (
    _START
    + """
turn = threading.Lock()
def begin(): turn.acquire()
def play():
    time.sleep(3600)
    turn.release()
def wait():
    with turn: pass
if not (pid := os.fork()):
    begin()
    threading.Thread(target=play, daemon=True).start()
    wait()
print(pid, flush=True)
time.sleep(3600)
"""
)
"""A healthy child that waits for a lock which it has taken itself, and which another thread releases."""

SWALLOWED = (
    _START
    + """
async def poll():
    while True:
        try: await asyncio.sleep(0.2)
        except asyncio.CancelledError: pass
async def stop(task):
    task.cancel()
    await task
async def main():
    polling = asyncio.create_task(poll())
    await asyncio.sleep(0.1)
    say()
    await stop(polling)
asyncio.run(main())
"""
)
"""A task that takes no notice of ``cancel()``, and one that waits for its end."""

NOT_AWAITED = SWALLOWED.replace("    await task\n", "    await asyncio.sleep(3600)\n")

CLEANS_UP = NOT_AWAITED.replace(
    "        except asyncio.CancelledError: pass", "        finally: await asyncio.sleep(3600)"
)
"""A task that cleans up for long after ``cancel()``; nobody waits for its end."""

FULL = (
    _START
    + """
pool = ThreadPoolExecutor(2)
async def render(): await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 3600)
async def look_up(): await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(pool, int), 3600)
async def main():
    tasks = [asyncio.create_task(render()) for _ in range(2)]
    await asyncio.sleep(0.1)
    tasks += [asyncio.create_task(look_up()) for _ in range(3)]
    asyncio.get_running_loop().call_later(0.1, say)
    await asyncio.gather(*tasks)
asyncio.run(main())
"""
)
"""Two workers that sleep, and three tasks whose jobs wait behind them."""

UNREAD = (
    _START
    + """
async def watch():
    code = "print('x' * 1_000_000)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=-1)
    say()
    await child.wait()
async def tick():
    while True: await asyncio.sleep(0.1)
async def main(): await asyncio.gather(watch(), tick())
asyncio.run(main())
"""
)
"""A child that fills its pipe, whose end a task awaits, while the rest goes on."""

POLLED = UNREAD.replace(
    "    say()", "    threading.Thread(target=poll, args=(child,), daemon=True).start(); say()"
).replace(
    "async def tick",
    """def poll(child):
    import select
    poll = select.poll()
    poll.register(child._transport.get_pipe_transport(1).get_extra_info("pipe"), select.POLLPRI)
    poll.poll()
async def tick""",
)
"""Likewise, but a thread waits for that pipe."""

HEALTHY = {
    "a child that takes its time for what it gets": """
child = subprocess.Popen(["sh", "-c", "sleep 60; cat"], stdin=-1, stdout=-1)
say()
child.stdin.write(b"x" * 1_000_000)
""",
    "a full pipe that another thread will read": """
child = subprocess.Popen(["cat"], stdin=-1, stdout=-1)
def read():
    time.sleep(60)
    child.stdout.read()
threading.Thread(target=read, daemon=True).start()
say()
child.stdin.write(b"x" * 1_000_000)
""",
    "a queue to a process that is full": """
import multiprocessing
def work(jobs):
    signal.alarm(90)  # nobody else ends it after a kill
    while jobs.get(): time.sleep(60)
jobs = multiprocessing.Queue(1)
multiprocessing.Process(target=work, args=(jobs,), daemon=True).start()
say()
while True: jobs.put(1)
""",
    "a lock contended but moving": """
lock, threads = threading.Lock(), []
def work():
    while True:
        with lock: time.sleep(0.02)
for _ in range(4): threading.Thread(target=work, daemon=True).start()
say()
work()
""",
    "threads that give up on a lock, and try again": """
a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(3)
def take(first, second):
    with first:
        both.wait()
        while not second.acquire(timeout=0.02): pass
for pair in ((a, b), (b, a)): threading.Thread(target=take, args=pair, daemon=True).start()
both.wait()
say()
threading.Event().wait()
""",
    "a lock passed on between two threads": """
a, b = threading.Lock(), threading.Lock()
def take():
    while True:
        with a:
            with b: time.sleep(0.01)
for _ in range(3): threading.Thread(target=take, daemon=True).start()
say()
threading.Event().wait()
""",
    "a full pool that drains": """
pool = ThreadPoolExecutor(2)
for _ in range(1000): pool.submit(time.sleep, 0.05)
say()
""",
    "a slow job at shutdown": """
pool = ThreadPoolExecutor(1)
async def main():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    say()
asyncio.run(main())
""",
    "a consumer at the end that will be fed": """
jobs = queue.Queue()
def feed():
    time.sleep(3600)
    jobs.put(1)
threading.Thread(target=jobs.get).start()
threading.Thread(target=feed, daemon=True).start()
say()
""",
    "idle workers": """
pool, jobs = ThreadPoolExecutor(3), queue.Queue()
list(pool.map(time.sleep, [0.05] * 3))
def again():
    while True:
        job = jobs.get()
        try: print(job)
        finally: jobs.put(job)
for _ in range(3): threading.Thread(target=again, daemon=True).start()
say()
threading.Event().wait()
""",
    "a lock held across a long await": """
lock = asyncio.Lock()
async def work():
    while True:
        async with lock: await asyncio.sleep(3600)
async def main():
    asyncio.get_running_loop().call_later(0.2, say)
    await asyncio.gather(*(work() for _ in range(5)))
asyncio.run(main())
""",
    "a semaphore at its limit": """
async def work(places):
    while True:
        async with places: await asyncio.sleep(0.05)
async def main():
    places = asyncio.Semaphore(2)
    say()
    await asyncio.gather(*(work(places) for _ in range(20)))
asyncio.run(main())
""",
    "connections that are lent and come back": """
pool, workers = queue.Queue(), ThreadPoolExecutor(4)
pool.put(1)
def query():
    while True:
        lent = pool.get()
        try: time.sleep(0.05)
        finally: pool.put(lent)
for _ in range(4): workers.submit(query)
say()
""",
    "a supervisor of idle workers that a signal ends": """
jobs, stop = queue.Queue(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
workers = [threading.Thread(target=jobs.get) for _ in range(2)]
for worker in workers: worker.start()
def supervise():
    for worker in workers: worker.join()
threading.Thread(target=supervise).start()
say()
stop.wait()
""",
    "idle workers that main has started and awaits": """
async def work(jobs):
    while True: await jobs.get()
async def main():
    jobs = asyncio.Queue()
    asyncio.get_running_loop().call_soon(say)
    await asyncio.gather(*(work(jobs) for _ in range(3)))
asyncio.run(main())
""",
    "an event under a lock that the first client sets": """
async def main():
    came, lock = asyncio.Event(), asyncio.Lock()
    async def serve(reader, writer): came.set()
    async def enter():
        async with lock: await came.wait()
    await asyncio.start_server(serve, "127.0.0.1", 0)
    asyncio.get_running_loop().call_soon(say)
    await asyncio.gather(enter(), enter())
asyncio.run(main())
""",
    "a barrier with a timeout": """
barrier = threading.Barrier(2)
def meet():
    try: barrier.wait(3600)
    except threading.BrokenBarrierError: pass
thread = threading.Thread(target=meet)
thread.start()
say()
thread.join()
""",
    "a lock that another thread releases": """
turn = threading.Lock()
turn.acquire()
def play():
    time.sleep(3600)
    turn.release()
threading.Thread(target=play, daemon=True).start()
say()
with turn: pass
""",
}

PROGRAMS = {name: _START + program for name, (_, _, program) in HANGS.items()} | {
    name: _START + program for name, program in HEALTHY.items()
}
