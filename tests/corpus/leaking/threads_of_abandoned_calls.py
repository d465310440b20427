"""Calls that take too long are abandoned, and their threads with them: each waits for its answer.

Leak: ask
Rate: 10
Shows: thread never told to end
"""

import queue
import random
import threading
import time


def ask(answers):
    answers.get()


def call():
    answers = queue.Queue()
    thread = threading.Thread(target=ask, args=(answers,), daemon=True)
    thread.start()  # LEAK
    if random.random() < 0.7:
        answers.put("ok")
    thread.join(0.2)


while True:
    call()
    time.sleep(random.uniform(1, 2.3))
