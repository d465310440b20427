"""One executor of thirty: a job lasts half a minute or so and one comes every two seconds.

Healthy.
Looks like: pool per call, pool saturated, workers at work
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(30) as pool:
    while True:
        pool.submit(time.sleep, random.uniform(10, 50))
        time.sleep(random.expovariate(1 / 2))
