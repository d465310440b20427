"""A process is joined before the queue with its results is read; it cannot end before they are.

Shows: deadlock
"""

import multiprocessing


def compute(results):
    for _ in range(20):
        results.put("x" * 100_000)


if __name__ == "__main__":
    results = multiprocessing.Queue()
    process = multiprocessing.Process(target=compute, args=(results,))
    process.start()
    process.join()  # HANG
    print(results.get())
