"""A program that closes descriptors it does not know and keeps using its own sockets; run as a child.

``closed_descriptors.py ROUNDS``: counts what goes wrong with its own descriptors, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time

import taskscope

PAIRS = 5


def faults_of_a_round(number: int, limit: int) -> int:
    """Closes all but the standard ones, then talks over pairs of sockets that get the numbers closed."""
    os.closerange(3, limit)
    faults = 0
    pairs = [socket.socketpair() for _ in range(PAIRS)]
    # As many as the agent may have, up to its numbers: whatever it does to one of them shows below.
    more = [os.dup2(pairs[0][0].fileno(), above) for above in range(limit - 40, limit)]
    deadline = time.monotonic() + 0.05
    while time.monotonic() < deadline:
        for here, there in pairs:
            here.settimeout(0.5)
            there.settimeout(0.5)
            text = b"%d" % number
            try:
                here.sendall(text)
                faults += there.recv(100) != text
            except OSError:
                faults += 1
    for here, there in pairs:
        for each in (here, there):
            try:
                each.close()
            except OSError:
                faults += 1
    for copy in more:
        try:
            os.close(copy)
        except OSError:
            faults += 1
    return faults


def main() -> None:
    rounds = int(sys.argv[1])
    limit = 1_024
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    taskscope.start("closer", interval=0.1)
    agent = taskscope._agent
    assert agent is not None
    faults = sum(faults_of_a_round(number, limit) for number in range(rounds))
    assert taskscope._agent is agent, agent.sampler.disarmed
    print(
        json.dumps({"faults": faults, "path": agent.server.listener.path, "drops": agent.registry.dropped}),
        flush=True,
    )
    sys.stdin.readline()
    os.closerange(3, limit)
    print("alive", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
