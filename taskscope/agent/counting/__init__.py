"""An agent that only counts, for free-threaded builds, where looking at what other threads change may crash.

Tasks are counted in the threads of their loops (``births``), each in a ledger of its own (``ledgers``); our
thread only adds these up (``agent``).
"""
