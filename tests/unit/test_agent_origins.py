"""Whose file is it: the user's, a library's, Python's, or ours?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import taskscope
from taskscope.agent.inspect.origins import origin

OURS = Path(taskscope.__file__).parent


@pytest.mark.parametrize("part", ["agent/agent.py", "agent/inspect/walk.py", "model/frames.py", "wire.py"])
def test_our_files_are_ours_where_taskscope_runs_from_a_checkout(part: str) -> None:
    assert origin(str(OURS / part)) == "own"


def test_the_demos_are_the_programs_of_a_user() -> None:
    assert origin(str(OURS / "demo/orders/server.py")) == "user"


def test_other_files_are_the_users_or_pythons() -> None:
    assert origin("/srv/app/taskscope_jobs.py") == "user"
    assert origin(asyncio.__file__) == "stdlib"
