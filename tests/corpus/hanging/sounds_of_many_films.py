"""Two threads wait for programs whose warnings fill a pipe that only these threads have; the clock goes on.

Shows: output not read
"""

import subprocess
import sys
import threading
import time

WARNS = "import sys; sys.stderr.write('low volume ' * 20_000)"


def convert():
    child = subprocess.Popen([sys.executable, "-c", WARNS], stderr=subprocess.PIPE)
    child.wait()  # HANG
    return child.stderr.read()


for number in range(2):
    threading.Thread(target=convert, name=f"film {number}", daemon=True).start()
while True:
    time.sleep(0.2)
