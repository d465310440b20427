"""Each reload of the configuration starts the metrics endpoint of prometheus_client once more.

Leak: BaseServer.serve_forever
Rate: 12
Needs: prometheus_client
Shows: thread never told to end
"""

import random
import time

from prometheus_client import CollectorRegistry, start_http_server

endpoints = []
while True:
    endpoints.append(start_http_server(0, "127.0.0.1", CollectorRegistry()))  # LEAK
    time.sleep(random.uniform(4, 6))
