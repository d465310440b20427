"""A native mutex and the interpreter lock, taken in opposite order by two threads: no Python runs any more.

Stands for extensions in C or Rust.  ``--fixed``: lets go of the interpreter lock while it waits.

Where: outside
Says: holds the GIL and waits in pthread_mutex_lock
"""

import asyncio
import ctypes
import sys
import threading
import time

MUTEX = ctypes.create_string_buffer(64)
RELEASING = ctypes.CDLL(None)
KEEPING = RELEASING if "--fixed" in sys.argv else ctypes.PyDLL(None)


def poll_core():
    """The native side: has its mutex, then needs the interpreter."""
    while True:
        RELEASING.pthread_mutex_lock(MUTEX)
        time.sleep(0.05)
        RELEASING.pthread_mutex_unlock(MUTEX)
        time.sleep(0.05)


def record_heartbeat():
    KEEPING.pthread_mutex_lock(MUTEX)  # HANG
    KEEPING.pthread_mutex_unlock(MUTEX)


def activity():
    time.sleep(0.1)
    while True:
        record_heartbeat()
        time.sleep(0.013)


async def main():
    threading.Thread(target=poll_core, name="core-poller", daemon=True).start()
    threading.Thread(target=activity, name="activity-1", daemon=True).start()
    while True:
        await asyncio.sleep(1)


print("standing", flush=True)
asyncio.run(main())
