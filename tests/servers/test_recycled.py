"""gunicorn's workers come and go under load: they are followed, one leaks and is named, nothing stays behind.

``pytest tests/servers/test_recycled.py -m servers -n 0 -s``, in an environment with gunicorn;
``RECYCLED_SECONDS`` (default 120) is how long.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.servers.recycled import AT_ONCE, run

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = float(os.environ.get("RECYCLED_SECONDS", "120"))
pytestmark = [pytest.mark.servers, pytest.mark.timeout(SECONDS + 180)]
pytest.importorskip("gunicorn")

MORE = 16 << 20
"""Bytes by which memory may grow in the second half of the time: up to 200 ended workers are listed."""


async def test_recycled_workers_are_followed_and_the_leaking_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sockets := tmp_path / "s").mkdir(mode=0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(sockets))
    course = await run(tmp_path, sockets, SECONDS)
    print("", *course.told(), sep="\n")
    assert course.load.failed == []
    assert course.load.answered > SECONDS * 10
    (leak,) = [each for each in course.findings if each.level == "leak"]
    assert (leak.processes, leak.coroutine) == ((course.leaking,), "forgotten")
    assert leak.cause is not None
    assert course.left >= SECONDS / 4
    assert not any(each.state == "refused" for each in course.recent)
    assert course.before is not None
    assert course.after is not None
    assert course.after.fds <= course.before.fds
    for held in (course.ours, course.masters):
        half = held[len(held) // 2]
        assert held[-1].rss < half.rss + MORE
        assert held[-1].fds <= half.fds + AT_ONCE + 8  # connections to workers, of which some are just coming
        assert held[-1].threads <= half.threads + AT_ONCE
    assert course.strangers == ()
    assert course.remaining == ()
