"""Two processes take turns: each waits for the other's message, and then works for a minute.

Healthy.
Looks like: deadlock
"""

import multiprocessing
import time


def play(pipe, begins):
    if begins:
        pipe.send("begin")
    while True:
        pipe.recv()
        time.sleep(60)
        pipe.send("your turn")


if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    multiprocessing.Process(target=play, args=(there, True), daemon=True).start()
    play(here, False)
