"""A thread for each file that is fetched from a slow server, half a minute or so; nobody keeps the thread.

Healthy.
Looks like: thread never told to end
"""

import random
import socket
import socketserver
import threading
import time


class Files(socketserver.BaseRequestHandler):
    def handle(self):
        for _ in range(random.randrange(15, 35)):
            self.request.sendall(b"." * 1000)
            time.sleep(1)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def fetch(address):
    connection = socket.create_connection(address, timeout=10)
    while connection.recv(1000):
        pass
    connection.close()


with Server(("127.0.0.1", 0), Files) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        threading.Thread(target=fetch, args=(server.server_address,), daemon=True).start()
        time.sleep(random.expovariate(1 / 2))
