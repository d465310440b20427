"""A new Zeroconf, a thread with a loop, for each look-up of a printer; none is closed.

Leak: Zeroconf._start_thread._run_loop
Rate: 20
Needs: zeroconf
Shows: thread never told to end
"""

import time

from zeroconf import Zeroconf

found = []


def look_up(name):
    zeroconf = Zeroconf(interfaces=["127.0.0.1"])  # LEAK
    found.append(zeroconf)
    return zeroconf.get_service_info("_ipp._tcp.local.", f"{name}._ipp._tcp.local.", timeout=500)


while True:
    look_up("printer")
    time.sleep(2.5)
