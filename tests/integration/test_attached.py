"""``taskscope.attach``: another process as the model's objects, with and without an event loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import taskscope
from taskscope.model import requests
from taskscope.sources.base import NotAvailable, SourceError, TargetGone
from tests.integration.children import STANDING, running, says

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def child() -> Iterator[subprocess.Popen[str]]:
    with running(STANDING, "--name", "standing") as child:
        says(child, "standing")
        yield child


def test_a_program_reads_another_process(child: subprocess.Popen[str]) -> None:
    before = set(threading.enumerate())
    with taskscope.attach(child.pid) as service:
        assert service.process.pid == child.pid
        state = service.state()
        assert state.tasks.live == 324
        site = next(each.id for each in state.new_sites if each.coroutine == "sleeper")
        sleepers = list(service.tasks([site]))
        assert {task.coroutine for task in sleepers} == {"sleeper"}
        assert len(sleepers) == next(each.counts.live for each in state.sites if each.site == site)
        assert len(list(service.tasks())) == 324
        assert service.stack(sleepers[0].serial)[-1].function == "sleeper"
        assert service.task(sleepers[0].serial).task.name == sleepers[0].name
        ended = 10**9
        assert service.stack(ended) == ()
        with pytest.raises(NotAvailable, match="has ended"):
            service.task(ended)
        assert any(thread.name == "MainThread" for thread in service.threads())
        assert not [each for each in service.findings() if each.level != "info"]
        assert service.judged().early
        assert service.ask(requests.Loops())
    assert set(threading.enumerate()) <= before


async def test_the_same_is_awaited_in_a_loop(child: subprocess.Popen[str]) -> None:
    async with taskscope.attach("standing") as service:
        assert (await service.state()).tasks.live == 324
        tasks = [task async for task in service.tasks(order="newest")]
        assert len(tasks) == 324
        assert (await service.stack(tasks[0].serial))[0].line > 0
        assert isinstance(await service.findings(), tuple)


def test_a_file_is_read_alike(child: subprocess.Popen[str], tmp_path: Path) -> None:
    from taskscope.export.snapshot import save

    path = tmp_path / "a.json"
    with taskscope.attach(child.pid) as service:
        save(service.ask(requests.Snapshot()), path)
    with taskscope.attach(str(path)) as saved:
        assert saved.state().tasks.live == 324
        assert len(list(saved.tasks())) == 324
        assert saved.findings() == ()
        assert saved.judged().early


def test_what_cannot_be_attached_to_is_one_sentence() -> None:
    with pytest.raises(SourceError, match="no agent is named 'nobody'"), taskscope.attach("nobody"):
        pass


def test_a_target_that_ends_is_said_so() -> None:
    with running(STANDING, "--name", "ending") as child:
        says(child, "standing")
        with taskscope.attach(child.pid) as service:
            service.state()
            child.kill()
            child.wait()
            with pytest.raises(TargetGone):
                while True:  # until the end of the connection has been read
                    service.state()
