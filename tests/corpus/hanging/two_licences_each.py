"""Three licences in a threading.Semaphore, and three jobs that each need two, taken one by one.

Shows: deadlock
"""

import threading


def convert(licences, begun):
    licences.acquire()  # HANG
    try:
        begun.wait()
        with licences:  # HANG
            pass
    finally:
        licences.release()


licences, begun = threading.Semaphore(3), threading.Barrier(3)
jobs = [threading.Thread(target=convert, args=(licences, begun)) for _ in range(3)]
for job in jobs:
    job.start()
for job in jobs:
    job.join()
