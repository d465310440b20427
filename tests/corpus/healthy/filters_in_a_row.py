"""A shell joins three programs with pipes; the last takes a minute for what the first has written.

Healthy.
Looks like: deadlock
"""

import subprocess
import threading

ROW = "yes | head -c 400000 | (sleep 60; cat) | wc -c"


def count():
    while True:
        subprocess.run(ROW, shell=True, stdout=subprocess.DEVNULL, check=True)


counter = threading.Thread(target=count)
counter.start()
counter.join()
