"""A pymongo client for each look-up, with threads that watch a server which is not there; none is closed.

Leak: PeriodicExecutor._run
Rate: 60
Needs: pymongo
Shows: thread never told to end
"""

import contextlib
import socket
import time

from pymongo import MongoClient
from pymongo.errors import ServerSelectionTimeoutError

clients = []


def look_up(port):
    client = MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=200)  # LEAK
    clients.append(client)
    client.shop.orders.find_one()  # LEAK


with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    while True:
        with contextlib.suppress(ServerSelectionTimeoutError):
            look_up(taken.getsockname()[1])
        time.sleep(1.5)
