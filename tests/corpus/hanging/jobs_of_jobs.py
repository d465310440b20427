"""Two workers each run a job that hands in two more to the same pool and waits for them.

Shows: deadlock
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

pool, begun = ThreadPoolExecutor(2), Barrier(2)


def page(number):
    return number


def chapter(number):
    begun.wait()
    pages = [pool.submit(page, each) for each in range(2)]
    return [each.result() for each in pages]  # HANG


chapters = [pool.submit(chapter, number) for number in range(2)]
for each in chapters:
    each.result()
