"""What the product says of one process, as whoever runs this: ``python -m tests.machine.look PID``.

Looks as ``ps`` and ``doctor`` do, attaches, asks the agent something and detaches: all in one interpreter,
because under emulation each takes seconds to start.  Prints JSON, and needs no package.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from taskscope.attach import inject
from taskscope.attach.diagnosis import diagnose
from taskscope.attach.discover import processes
from taskscope.attach.errors import AttachError
from taskscope.sources.base import SourceError
from taskscope.sources.detaching import detach
from tests.agent_client import AgentClient
from tests.patience import FACTOR


@dataclass(frozen=True, slots=True)
class Seen:
    """Sentences, empty where there is nothing to complain about.

    ``seconds``: of attaching; ``path``: of the agent's socket; ``process``: what the agent says of it,
    ``tasks``: how many it has; ``progress``: what was said meanwhile.
    """

    listed: bool
    ps: str
    doctor: str
    facts: dict[str, str]
    attach: str
    detach: str = ""
    path: str = ""
    seconds: float = 0.0
    tasks: int = 0
    process: dict[str, Any] = field(default_factory=dict)
    progress: tuple[str, ...] = ()


def seen(pid: int) -> Seen:
    """Looks; the process is as before afterwards."""
    listed = processes(only={pid})
    found = diagnose(pid)
    parts: dict[str, Any] = {}
    progress: list[str] = []
    began = time.monotonic()
    refused = ""
    try:
        point = inject.ensure_agent(pid, timeout=inject.TIMEOUT * FACTOR, progress=progress.append)
        parts["seconds"] = time.monotonic() - began
        client = AgentClient(point.path)
        parts |= {"path": point.path, "tasks": client.live(), "process": client.hello["process"]}
        client.close()
        detach(pid, progress.append)
    except AttachError as error:
        refused = str(error)
        parts["seconds"] = time.monotonic() - began
    except SourceError as error:
        parts["detach"] = str(error)
    return Seen(
        listed=bool(listed),
        ps=listed[0].obstacle if listed else "",
        doctor=str(found.obstacle or ""),
        facts={fact.topic: fact.text for fact in found.facts},
        attach=refused,
        progress=tuple(progress),
        **parts,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(seen(int(sys.argv[1])))))
