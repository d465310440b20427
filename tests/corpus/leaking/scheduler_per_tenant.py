"""A background scheduler of apscheduler for each tenant that logs in, never shut down.

Leak: BlockingScheduler._main_loop
Rate: 24
Needs: apscheduler
Shows: thread never told to end
"""

import random
import time

from apscheduler.schedulers.background import BackgroundScheduler


class Tenant:
    def __init__(self, name):
        self.name = name
        self.scheduler = BackgroundScheduler()
        self.scheduler.add_job(self.refresh, "interval", minutes=5)
        self.scheduler.start()  # LEAK

    def refresh(self):
        print("refreshed", self.name)


tenants = {}
while True:
    name = f"t{len(tenants)}"
    tenants[name] = Tenant(name)
    time.sleep(random.expovariate(1 / 2.5))
