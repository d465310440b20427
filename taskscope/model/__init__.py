"""What can be observed of a Python process, and the protocol: each fact defined once, no I/O.

Every value that crosses a boundary (agent to client, source to analysis, store to widget) is one of these.
Times are monotonic seconds *of the target* unless the name says ``wall``; ages are computed on display, as
``sample.monotonic - birth``.  Field names are the JSON names (see ``wire.pack``).

``vocabulary`` holds the closed sets of words, ``requests`` the methods of the protocol, ``snapshot`` the
sections of a snapshot; the other modules hold the values, all re-exported here.
"""

from __future__ import annotations

from taskscope.model import (
    cpu,
    descriptors,
    findings,
    frames,
    graph,
    mishaps,
    process,
    renewals,
    resources,
    sites,
    tasks,
    threads,
    timers,
    turning,
)  # fmt: skip
from taskscope.model.cpu import *  # noqa: F403
from taskscope.model.descriptors import *  # noqa: F403
from taskscope.model.findings import *  # noqa: F403
from taskscope.model.frames import *  # noqa: F403
from taskscope.model.graph import *  # noqa: F403
from taskscope.model.mishaps import *  # noqa: F403
from taskscope.model.process import *  # noqa: F403
from taskscope.model.renewals import *  # noqa: F403
from taskscope.model.resources import *  # noqa: F403
from taskscope.model.sites import *  # noqa: F403
from taskscope.model.tasks import *  # noqa: F403
from taskscope.model.threads import *  # noqa: F403
from taskscope.model.timers import *  # noqa: F403
from taskscope.model.turning import *  # noqa: F403

__all__ = [  # noqa: PLE0604  (all are lists of names)
    *cpu.__all__,
    *descriptors.__all__,
    *findings.__all__,
    *frames.__all__,
    *graph.__all__,
    *mishaps.__all__,
    *process.__all__,
    *resources.__all__,
    *renewals.__all__,
    *sites.__all__,
    *tasks.__all__,
    *threads.__all__,
    *timers.__all__,
    *turning.__all__,
]
