"""A thread for each request waits for a future that a pool of senders should complete; some forget to.

Leak: reply
Rate: 24
Shows: thread never told to end
"""

import queue
import random
import threading
import time
from concurrent.futures import Future


def reply(answer):
    print(answer.result())


def send(requests):
    while True:
        answer = requests.get()
        time.sleep(random.uniform(0.05, 0.5))
        if random.random() < 0.6:
            answer.set_result("sent")
        del answer


requests = queue.Queue()
for _ in range(3):
    threading.Thread(target=send, args=(requests,), daemon=True).start()
while True:
    answer = Future()
    requests.put(answer)
    threading.Thread(target=reply, args=(answer,), daemon=True).start()  # LEAK
    del answer
    time.sleep(random.uniform(0.5, 1.5))
