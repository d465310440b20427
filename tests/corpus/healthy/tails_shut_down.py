"""Each rotation shuts the connection to the log server down before it closes it, and joins the reader.

Healthy.
Looks like: closed under its reader
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
    with lines:
        for line in lines:
            print(line)


server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(server,), daemon=True).start()
while True:
    connection = socket.create_connection(server.getsockname())
    reader = threading.Thread(target=tail, args=(connection.makefile("rb"),), daemon=True)
    reader.start()
    time.sleep(2.5)
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    reader.join()
