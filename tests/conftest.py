"""What holds for all tests.

Many interrupt children by Ctrl-C's signal.  Where the tests themselves were started in the background, with
that signal ignored, the children would inherit that.
"""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
