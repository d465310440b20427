"""Each rotation closes the connection to the log server, and starts another reader: close() wakes no read.

Leak: tail
Rate: 24
Shows: closed under its reader
"""

import socket
import threading
import time


def serve(server):
    connections = []
    while True:
        connection, _ = server.accept()
        connection.sendall(b"first line\n")
        connections.append(connection)


def tail(lines):
    for line in lines:
        print(line)


server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(server,), daemon=True).start()
while True:
    connection = socket.create_connection(server.getsockname())
    threading.Thread(target=tail, args=(connection.makefile("rb"),), daemon=True).start()  # LEAK
    time.sleep(2.5)
    connection.close()
