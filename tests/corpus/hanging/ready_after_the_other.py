"""Two services start in threads; each says that it is ready once the other has.

Shows: deadlock
"""

import threading


class Service:
    def __init__(self):
        self.ready = threading.Event()
        self.needs = None

    def run(self):
        self.needs.ready.wait()  # HANG
        self.ready.set()


database, search = Service(), Service()
database.needs, search.needs = search, database
threads = [threading.Thread(target=each.run) for each in (database, search)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
