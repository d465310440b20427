"""A thread takes a lock by hand and fails before it gives it back; the others wait.

Shows: owner gone
"""

import threading

lock = threading.Lock()


def parse(text):
    lock.acquire()
    number = int(text)
    lock.release()
    return number


def report():
    with lock:  # HANG
        pass


threading.excepthook = lambda *_: None
failing = threading.Thread(target=parse, args=("ten",))
failing.start()
failing.join()
threads = [threading.Thread(target=report) for _ in range(3)]
for thread in threads:
    thread.start()
