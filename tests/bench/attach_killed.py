"""Kills attachers at random moments of an injection and looks whether the target was harmed.

    python -m tests.bench.attach_killed [--times 200] [--signal TERM --signal INT --signal HUP]
    python -m tests.bench.attach_killed --signal KILL [--helper]

``--helper`` aims at the child that holds the target's thread instead of at the attacher, which nothing but
somebody's own ``kill -9`` does: the one way to harm a target.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from taskscope.attach import inject
from taskscope.attach.errors import AttachError
from tests import pythons, targets
from tests.agent_client import AgentClient

CODE = """
import sys
from taskscope.attach import inject
print("ready", flush=True)
print(inject.ensure_agent(int(sys.argv[1])).path, flush=True)
"""

PROGRAMS = ("asyncio idle", "allocating")


def attacher_of(pid: int) -> subprocess.Popen[str]:
    """An attacher, about to begin."""
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, str(pid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def once(python: Path, program: str, number: int, *, aim_at_helper: bool) -> str:
    """One attach, killed somewhere on its way; what became of the target: ``unharmed`` or how it was."""
    with targets.running(python, program) as target:
        attacher = attacher_of(target.pid)
        try:
            if aim_at_helper:
                aim = in_the_window(attacher, target.pid)
                if aim is None:
                    return "missed"
                os.kill(aim, number)
            else:
                time.sleep(random.uniform(0, 0.35))
                os.kill(attacher.pid, number)
        except ProcessLookupError:
            pass
        attacher.wait()
        assert attacher.stdout is not None
        attacher.stdout.close()
        return condition(target)


def in_the_window(attacher: subprocess.Popen[str], pid: int) -> int | None:
    """The helper's pid, at a moment when it holds the target; None if that was over too soon."""
    status = Path(f"/proc/{pid}/status")
    while attacher.poll() is None:
        text = status.read_text()
        tracer = text[text.index("TracerPid:") + 10 :].split(None, 1)[0]
        if tracer != "0":
            time.sleep(random.uniform(0, 0.001))
            return int(tracer)
    return None


def condition(target: targets.Program) -> str:
    """Whether the target runs on as ever: it lives, is not stopped or traced, and can be attached to."""
    try:
        point = inject.ensure_agent(target.pid, timeout=20)
        AgentClient(point.path).detach()
    except AttachError as error:
        return f"harmed: {error}" if target.alive else f"dead ({target.child.returncode})"
    return "unharmed"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--signal", action="append", choices=("TERM", "INT", "HUP", "KILL"))
    parser.add_argument("--version", choices=pythons.SUPPORTED, action="append")
    parser.add_argument("--helper", action="store_true")
    options = parser.parse_args()
    worst = 0
    for version in options.version or ["3.11"]:
        for name in options.signal or ["TERM", "INT", "HUP"]:
            seen: dict[str, int] = {}
            for turn in range(options.times):
                program = PROGRAMS[turn % len(PROGRAMS)]
                number = signal.Signals[f"SIG{name}"]
                found = once(pythons.installed()[version], program, number, aim_at_helper=options.helper)
                seen[found] = seen.get(found, 0) + 1
            print(f"{version} SIG{name}: {seen}", flush=True)
            worst += sum(count for found, count in seen.items() if found not in {"unharmed", "missed"})
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
