"""Two threads wait at a barrier for a third, which a timer starts in ten minutes; main joins them.

Healthy.
Looks like: deadlock, cannot end
"""

import threading

barrier = threading.Barrier(3)
waiting = [threading.Thread(target=barrier.wait) for _ in range(2)]
for each in waiting:
    each.start()
threading.Timer(600, barrier.wait).start()
for each in waiting:
    each.join()
