"""Replies of which only the status is read keep their connections, until the collector takes both away.

``--fixed``: the rest of each reply is read.

Needs: urllib3
Level: suspect
Shows: slots taken
Says: HTTPConnectionPool, all 3 slots, no task or thread has 3 of them
"""

import sys
import threading
import time

import urllib3

from tests.corpus.servers import Pages, in_threads

pool = urllib3.HTTPConnectionPool("127.0.0.1", in_threads(Pages), maxsize=3, block=True)


def check():
    reply = pool.request("GET", "/", preload_content=False)  # HANG
    if "--fixed" in sys.argv:
        reply.drain_conn()


def check_again_and_again():
    while True:
        check()
        time.sleep(0.05)


for number in range(2):
    threading.Thread(target=check_again_and_again, name=f"checker {number}").start()
print("standing", flush=True)
while True:
    time.sleep(0.2)
