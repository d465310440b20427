"""A handler that has a session asks a helper, which opens another: two at a time take both connections.

Needs: sqlalchemy
Shows: deadlock
Says: all 2 slots, QueuePool of 2
"""

import tempfile
import threading
import time

from sqlalchemy import QueuePool, create_engine, text
from sqlalchemy.orm import Session

folder = tempfile.TemporaryDirectory()
engine = create_engine(
    f"sqlite:///{folder.name}/orders", poolclass=QueuePool, pool_size=1, max_overflow=1, pool_timeout=3600
)
both = threading.Barrier(2)


def price_of(order):
    with Session(engine) as session:
        return session.scalar(text("SELECT 1"))  # HANG


def handle(order):
    with Session(engine) as session:
        session.execute(text("SELECT 1"))
        if order < 2:
            both.wait()
        price_of(order)


for number in range(4):
    threading.Thread(target=handle, args=(number,), name=f"handler {number}").start()
    time.sleep(0.1)
while True:
    time.sleep(0.2)
