"""gunicorn's preloaded app logs under a lock that a thread of the master holds at times, also as it forks.

The worker's copy is held by a thread that does not exist there: it stops at "Booting worker" and never starts
its loop.  ``--fixed``: the child makes the lock anew.

Needs: gunicorn==25.1.0
Where: children
Shows: owner gone
Says: forked
"""

import os
import sys
import threading
import time

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger


class Shipper:
    """Ships the records of the log; the collector is slow."""

    def __init__(self):
        self.lock = threading.Lock()
        self.batch = []

    def add(self, record):
        with self.lock:  # HANG
            self.batch.append(record)

    def flush_for_ever(self):
        while True:
            with self.lock:
                self.batch.clear()
                time.sleep(0.19)  # of 0.2 s: most workers are forked meanwhile
            time.sleep(0.01)

    def renew(self):
        self.lock = threading.Lock()


SHIPPER = Shipper()


class ShippingLogger(Logger):
    def info(self, msg, *args, **kwargs):
        SHIPPER.add(msg)
        super().info(msg, *args, **kwargs)


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Service(BaseApplication):
    def load_config(self):
        settings = {
            "bind": "127.0.0.1:0",
            "workers": 4,
            "worker_class": "asgi",
            "preload_app": True,
            "timeout": 0,
            "control_socket_disable": True,
            "logger_class": ShippingLogger,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        return application


if "--fixed" in sys.argv:
    os.register_at_fork(after_in_child=SHIPPER.renew)
threading.Thread(target=SHIPPER.flush_for_ever, name="shipper", daemon=True).start()
print("standing", flush=True)
Service().run()
