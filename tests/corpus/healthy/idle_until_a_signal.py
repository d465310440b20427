"""Idle workers on a queue, a supervisor that joins them, and main, which waits for SIGTERM.

Healthy.
Looks like: deadlock, cannot end
"""

import queue
import signal
import threading

jobs, stop = queue.Queue(), threading.Event()


def work():
    while (job := jobs.get()) is not None:
        print(job)


def supervise(workers):
    for worker in workers:
        worker.join()


signal.signal(signal.SIGTERM, lambda *_: stop.set())
workers = [threading.Thread(target=work) for _ in range(3)]
for worker in workers:
    worker.start()
threading.Thread(target=supervise, args=(workers,)).start()
stop.wait()
for _ in workers:
    jobs.put(None)
