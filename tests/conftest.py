"""What holds for all tests, and for the processes that they start.

Many interrupt children by Ctrl-C's signal.  Where the tests themselves were started in the background, with
that signal ignored, the children would inherit that.

Hundreds start Python, which would compile all of TaskScope each time where the environment forbids to keep
bytecode, as images of containers do.
"""

from __future__ import annotations

import os
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
