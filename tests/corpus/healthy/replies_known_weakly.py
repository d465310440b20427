"""A thread waits for a reply in a queue that is found by number, weakly; it comes within a minute.

Healthy.
Looks like: thread never told to end
"""

import queue
import random
import threading
import time
import weakref


class Replies(queue.SimpleQueue):
    """One that can be known weakly."""


waiting = weakref.WeakValueDictionary()


def ask(number, asked):
    replies = Replies()
    waiting[number] = replies
    asked.set()
    replies.get()


def dispatch(due):
    while True:
        for number in [each for each, moment in list(due.items()) if moment < time.monotonic()]:
            del due[number]
            replies = waiting.get(number)
            if replies is not None:
                replies.put("ok")
            del replies
        time.sleep(1)


due, number = {}, 0
threading.Thread(target=dispatch, args=(due,), daemon=True).start()
while True:
    number += 1
    asked = threading.Event()
    threading.Thread(target=ask, args=(number, asked), daemon=True).start()
    asked.wait()
    due[number] = time.monotonic() + random.uniform(20, 60)
    time.sleep(random.uniform(1, 2))
