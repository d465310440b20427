"""A server whose thread goes on when the main thread has run to its end.

Healthy.
Looks like: ends slowly
"""

import socket
import threading


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.close()


threading.Thread(target=serve, args=(socket.create_server(("127.0.0.1", 0)),)).start()
