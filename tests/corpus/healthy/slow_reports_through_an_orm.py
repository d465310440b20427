"""Every report holds one of two connections for a quarter of a minute, and all others wait for their turn.

Another pool is at rest, and readers that have connections of their own wait for the next item of a queue.

Healthy.
Looks like: deadlock, slots taken
Needs: sqlalchemy
"""

import queue
import socket
import tempfile
import threading
import time

from sqlalchemy import QueuePool, create_engine, text
from sqlalchemy.orm import Session

folder = tempfile.TemporaryDirectory()


def made(name):
    return create_engine(
        f"sqlite:///{folder.name}/{name}", poolclass=QueuePool, pool_size=2, max_overflow=0, pool_timeout=3600
    )


def report(engine):
    while True:
        with Session(engine) as session:
            session.execute(text("SELECT 1"))
            time.sleep(15)


class Mailbox:
    def __init__(self):
        self.items = queue.Queue(2)

    def attach(self, reader):
        reader.mailbox = self

    def get(self):
        return self.items.get()

    def put(self, item):
        self.items.put(item)


class Reader(threading.Thread):
    def __init__(self, mailbox):
        super().__init__()
        self.connection = socket.socket()
        mailbox.attach(self)

    def run(self):
        while True:
            self.mailbox.get()


reports, rest = made("reports"), made("rest")
with Session(rest) as session:
    session.execute(text("SELECT 1"))
mailbox = Mailbox()
for _ in range(2):
    Reader(mailbox).start()
for number in range(6):
    threading.Thread(target=report, args=(reports,), name=f"report {number}").start()
while True:
    time.sleep(0.2)
