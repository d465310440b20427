"""Jobs of a thread pool take a connection, and an error keeps them from giving it back: none is left.

``--fixed``: it is given back in finally.

Needs: psycopg_pool, psycopg
Level: suspect
Shows: slots taken
Says: ConnectionPool, all 3 slots, no task or thread has 3 of them
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from psycopg_pool import ConnectionPool

from tests.corpus.servers import postgres


def handle(pool, number):
    connection = pool.getconn()  # HANG
    try:
        if number % 2:
            raise ValueError("no such order")
    except ValueError:
        if "--fixed" not in sys.argv:
            return
    pool.putconn(connection)


with (
    ConnectionPool(postgres(), min_size=1, max_size=3, timeout=3600) as pool,
    ThreadPoolExecutor(2) as workers,
):
    print("standing", flush=True)
    while True:
        workers.submit(handle, pool, 1)
        workers.submit(handle, pool, 2)
        time.sleep(0.2 if "--fixed" in sys.argv else 5)
