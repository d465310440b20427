"""A module starts a thread while it is imported, and waits for it; the thread imports the same module.

Line: settings_of_today.py <module>, settings_of_today.py load
Shows: deadlock
"""

import importlib
import sys
import tempfile
from pathlib import Path

MODULE = """
import threading

def load():
    from settings_of_today import VALUE
    return VALUE

thread = threading.Thread(target=load)
thread.start()
thread.join()
VALUE = 1
"""

with tempfile.TemporaryDirectory() as folder:
    Path(folder, "settings_of_today.py").write_text(MODULE)
    sys.path.insert(0, folder)
    importlib.import_module("settings_of_today")
