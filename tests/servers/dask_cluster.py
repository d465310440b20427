"""A dask cluster of two worker processes, and a client that gives it work."""

import random
import time

from distributed import Client, LocalCluster


def compute(number):
    time.sleep(random.uniform(0.01, 0.3))
    return number * 2


if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        while True:
            print(sum(client.gather(client.map(compute, range(20), pure=False))), flush=True)
            time.sleep(1)
