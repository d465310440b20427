"""Whoever has a connection waits for the ledger's lock, and who has the lock waits for a connection.

Needs: psycopg_pool, psycopg
Shows: deadlock
Says: ConnectionPool of 1
"""

import threading
import time

from psycopg_pool import ConnectionPool

from tests.corpus.servers import postgres

ledger = threading.Lock()
has_connection, has_lock = threading.Event(), threading.Event()


def post(pool):
    with pool.connection() as _:  # HANG
        has_connection.set()
        has_lock.wait()
        with ledger:  # HANG
            pass


def close_the_day(pool):
    has_connection.wait()
    with ledger:  # HANG
        has_lock.set()
        with pool.connection() as _:  # HANG
            pass


with ConnectionPool(postgres(), min_size=1, max_size=1, timeout=3600) as pool:
    threading.Thread(target=post, args=(pool,), name="poster").start()
    threading.Thread(target=close_the_day, args=(pool,), name="closer").start()
    while True:
        time.sleep(0.2)
