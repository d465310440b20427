"""Runs a verb in a fork and kills it at a random moment, again and again.

Usage: ``python -m tests.attack.killed_writers SEED MOMENTS LONGEST VERB ARGUMENTS…``; prints a line when
one is dead and waits for one, so that the caller can look at what is left.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

from taskscope.__main__ import main
from taskscope.commands import record, snapshot  # noqa: F401  (imported before the forks)
from taskscope.export import recording  # noqa: F401
from taskscope.sources import recorder, resolve  # noqa: F401


def run(seed: str, moments: int, longest: float, words: list[str]) -> None:
    chance = random.Random(seed)
    for _ in range(moments):
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os._exit(main(words) or 0)
        time.sleep(chance.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("dead", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
