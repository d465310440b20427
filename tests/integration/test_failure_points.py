"""Failures of ours that once did harm; ``tests/attack`` tries them all."""

from __future__ import annotations

import sys

import pytest

from tests.attack.failing import attack

ONCE_HARMFUL = {
    "arming": [
        "factories.TaskHooks._patch_run_coroutine_threadsafe",
        "factories.TaskHooks._wrap",
        "factories._is_eager",
        "aiomonitor.MonitorPeer.follow",
        "imports.ImportWatch.when",
        "listener.Listener.listen",
        "server.Server._run",
        "threads.ThreadHooks.arm",
    ],
    "running": [
        "aiomonitor.is_monitor_factory",
        "factories.TaskHooks._is_recorded",
        "factories.TaskHooks.add_loop",
        "factories._shown",
        "imports.ImportWatch._find",
        "loops.LoopWatch.add",
        "loops.LoopWatch.look",
        "sampler.Sampler.sample",
    ],
    "answering": ["snapshot.snapshot", "wire.response", "clients.Client.flush", "descriptors.Held.close"],
    "stopping": [
        "descriptors.Held.close",
        "factories.TaskHooks.let_go",
        "loops.LoopWatch.stop",
        "parts.Part.undo",
        "server.Server._close",
        "server.Server.stop",
        "threads.ThreadHooks._forget_all",
    ],
}


@pytest.mark.parametrize("moment", ONCE_HARMFUL)
def test_a_failure_of_ours_does_not_reach_the_program_and_leaves_nothing(moment: str) -> None:
    points = [(name, "RuntimeError") for name in ONCE_HARMFUL[moment]]
    outcome = attack(sys.executable, moment, points)
    assert (outcome.runs, outcome.problems) == (len(points), {})
