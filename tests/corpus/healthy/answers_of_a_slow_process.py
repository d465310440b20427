"""A child takes half a minute for what it gets and for each answer; who feeds it stands still as long.

Healthy.
Looks like: deadlock
"""

import subprocess
import sys

SLOW = """
import os, time
while data := os.read(0, 200_000):
    time.sleep(30)
    os.write(1, data[:10])
"""
child = subprocess.Popen([sys.executable, "-c", SLOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
while True:
    child.stdin.write(b"x" * 200_000)
    child.stdin.flush()
    child.stdout.read(10)
