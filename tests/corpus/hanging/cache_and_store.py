"""A cache with an RLock asks the store under it; the store, under a plain lock, tells the cache what is new.

Shows: deadlock
"""

import threading
import time


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.listeners = []

    def write(self, key):
        with self.lock:  # HANG
            time.sleep(0.2)
            for listener in self.listeners:
                listener(key)

    def read(self, key):
        with self.lock:  # HANG
            return key


class Cache:
    def __init__(self, store):
        self.lock = threading.RLock()
        self.store = store
        self.known = {}
        store.listeners.append(self.forget)

    def get(self, key):
        with self.lock:  # HANG
            time.sleep(0.2)
            self.known[key] = self.store.read(key)

    def forget(self, key):
        with self.lock:  # HANG
            self.known.pop(key, None)


store = Store()
cache = Cache(store)
threading.Thread(target=store.write, args=("a",), name="writer").start()
threading.Thread(target=cache.get, args=("a",), name="reader").start()
