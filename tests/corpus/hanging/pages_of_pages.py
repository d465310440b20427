"""A crawler follows the links of a page while it still reads it, through a pool that makes it wait.

Needs: urllib3
Shows: deadlock
Says: all 2 slots, HTTPConnectionPool of 2
"""

import threading
import time

import urllib3

from tests.corpus.servers import Pages, in_threads

pool = urllib3.HTTPConnectionPool("127.0.0.1", in_threads(Pages), maxsize=2, block=True)
both = threading.Barrier(2)


def follow(page):
    for _ in page.stream(1000):
        both.wait()
        pool.request("GET", "/linked", preload_content=False)  # HANG


def crawl():
    page = pool.request("GET", "/", preload_content=False)  # HANG
    follow(page)


for number in range(3):
    threading.Thread(target=crawl, name=f"crawler {number}").start()
while True:
    time.sleep(0.2)
