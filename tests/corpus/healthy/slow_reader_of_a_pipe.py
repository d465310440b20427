"""A child reads its input a kilobyte a second; who writes to it waits almost always.

Healthy.
Looks like: deadlock
"""

import subprocess
import sys

SLOW = """
import os, time
while os.read(0, 1000): time.sleep(1)
"""
child = subprocess.Popen([sys.executable, "-c", SLOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
while True:
    child.stdin.write(b"x" * 10_000)
    child.stdin.flush()
