"""Threads consume what another process produces, one job in two minutes; main joins them.

Healthy.
Looks like: deadlock, cannot end
"""

import multiprocessing
import threading
import time


def produce(jobs):
    while True:
        time.sleep(120)
        jobs.put("job")


def consume(jobs):
    while True:
        jobs.get()


if __name__ == "__main__":
    jobs = multiprocessing.Queue()
    multiprocessing.Process(target=produce, args=(jobs,), daemon=True).start()
    consumers = [threading.Thread(target=consume, args=(jobs,)) for _ in range(2)]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        consumer.join()
