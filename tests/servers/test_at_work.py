"""Of popular servers at work nothing is called a leak or a hang, in five minutes each."""

from __future__ import annotations

import os
import sys

import pytest

from tests.corpus.program import shown
from tests.servers.at_work import SERVERS, Server, missing, watch_all

PYTHON = os.environ.get("TASKSCOPE_SERVERS_PYTHON", sys.executable)
SECONDS = 300.0


@pytest.mark.servers
@pytest.mark.timeout(SECONDS + 180)
@pytest.mark.parametrize("server", SERVERS, ids=lambda each: each.name)
async def test_of_a_server_at_work_nothing_is_said_for_certain(server: Server) -> None:
    lack = missing(server, PYTHON)
    if lack:
        pytest.skip(f"{server.name} needs {', '.join(lack)}")
    await watch_all([server], PYTHON, SECONDS)
    assert server.watched
    assert not server.trouble
    assert [shown(each) for each in server.sure] == []
