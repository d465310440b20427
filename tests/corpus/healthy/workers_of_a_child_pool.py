"""A process pool with one long job; main waits for its result, the pool's own threads for its processes.

Healthy.
Looks like: deadlock, cannot end
"""

import time
from concurrent.futures import ProcessPoolExecutor

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        print(pool.submit(time.sleep, 600).result())
