"""Starts the agent in a program of ``taskscope run`` before its first line (see ``commands/run.py``).

Imported by the interpreter's ``site`` because our folder comes first in PYTHONPATH.  It undoes that,
starts the agent, and then stands aside for the environment's own ``sitecustomize``: if there is none, the
ImportError of the last line is what ``site`` expects, and no module of this name stays behind.
"""

import json
import os
import sys


def _start() -> None:
    handover = json.loads(os.environ.pop("TASKSCOPE_RUN"))
    if handover["path"] is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = handover["path"]
    sys.path.remove(handover["hook"])
    sys.path_importer_cache.pop(handover["hook"], None)
    house = handover["hook"].rpartition("/taskscope/")[0]
    sys.path.insert(0, house)
    try:
        import taskscope

        taskscope.start(**handover["start"])
    except Exception as error:  # noqa: BLE001  the program comes first: it runs without an agent then
        sys.stderr.write(f"taskscope: the agent could not start; running the program without it: {error}\n")
    finally:
        sys.path.remove(house)


_start()
del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
