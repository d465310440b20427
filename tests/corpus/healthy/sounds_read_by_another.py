"""A thread waits for a program whose warnings fill a pipe; another thread, which has it too, reads it later.

Healthy.
Looks like: deadlock
"""

import subprocess
import sys
import threading
import time

WARNS = "import sys; sys.stderr.write('low volume ' * 20_000)"


def convert(children):
    child = subprocess.Popen([sys.executable, "-c", WARNS], stderr=subprocess.PIPE)
    children.append(child)
    child.wait()


children = []
while True:
    waiting = threading.Thread(target=convert, args=(children,))
    waiting.start()
    time.sleep(20)
    children.pop().stderr.read()
    waiting.join()
