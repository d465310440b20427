"""The collector runs while redis takes a connection, and finalises a PubSub that wants the same lock.

``--fixed``: each PubSub is closed.

Needs: redis==5.2.1
Line: redis/connection.py ConnectionPool.get_connection, redis/connection.py ConnectionPool.release
Shows: deadlocked with itself
Says: a finaliser
"""

import asyncio
import gc
import socketserver
import sys
import threading
import time

import redis


class Store(socketserver.StreamRequestHandler):
    """Answers every command with +OK or, for SUBSCRIBE, with its confirmation."""

    def handle(self):
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2])
            if words[0].upper() == b"SUBSCRIBE":
                self.wfile.write(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(words[1]), words[1]))
            else:
                self.wfile.write(b"+OK\r\n")


class Listener:
    def __init__(self, client):
        self.pubsub = client.pubsub()
        self.pubsub.subscribe(updates=self.on_message)  # a cycle: pubsub, handler, self, pubsub

    def on_message(self, message):
        pass


def work(client):
    while True:
        listener = Listener(client)
        client.set("key", "value")
        if "--fixed" in sys.argv:
            listener.pubsub.close()
        del listener
        time.sleep(0.02)


async def main():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Store)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = redis.Redis(host="127.0.0.1", port=server.server_address[1])
    gc.set_threshold(50)
    threading.Thread(target=work, args=(client,), name="worker", daemon=True).start()
    print("standing", flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
