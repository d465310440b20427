"""A threading server: a session lasts forty seconds or so, and one begins every other second.

Healthy.
Looks like: thread never told to end
"""

import random
import socket
import socketserver
import threading
import time


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def close_in_time(connections):
    while True:
        time.sleep(0.5)
        for connection, ends in list(connections):
            if time.monotonic() > ends:
                connections.remove((connection, ends))
                connection.close()


connections = []
with Server(("127.0.0.1", 0), Session) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=close_in_time, args=(connections,), daemon=True).start()
    while True:
        connection = socket.create_connection(server.server_address)
        connection.sendall(b"hello\n")
        connections.append((connection, time.monotonic() + random.uniform(30, 50)))
        time.sleep(random.expovariate(1 / 2))
