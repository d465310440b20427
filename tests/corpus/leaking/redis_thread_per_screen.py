"""A screen listens on its redis channel in a thread; closing it does not stop the thread.

Leak: PubSubWorkerThread.run
Rate: 24
Needs: redis
Runs: redis-server
Shows: thread never told to end
"""

import subprocess
import tempfile
import time
from pathlib import Path

import redis


class Screen:
    def __init__(self, client, number):
        pubsub = client.pubsub()
        pubsub.subscribe(**{f"screen.{number}": print})
        self.thread = pubsub.run_in_thread(sleep_time=1, daemon=True)  # LEAK


with tempfile.TemporaryDirectory() as folder:
    address = f"{folder}/redis"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", address, "--dir", folder], stdout=subprocess.DEVNULL
    )
    try:
        while not Path(address).exists():
            time.sleep(0.1)
        client, number = redis.Redis(unix_socket_path=address), 0
        while True:
            number += 1
            Screen(client, number)
            time.sleep(2.5)
    finally:
        server.kill()
