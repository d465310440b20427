"""The recorder: samples are written as they come, whatever the target does not answer."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.export.recording import RecordingWriter
from taskscope.export.recording_file import RecordingFile
from taskscope.model import requests
from taskscope.sources.base import TargetGone
from taskscope.sources.recorder import MAX_ANSWERS, Recorder
from tests.tui.fake_source import FakeSource

if TYPE_CHECKING:
    from pathlib import Path


class Silent(FakeSource):
    """Sends samples and answers nothing."""

    async def ask(self, request: requests.Request[Any]) -> Any:
        await asyncio.Event().wait()


def kinds(path: Path) -> list[str]:
    with closing(RecordingFile(path)) as file:
        return [kind for number in range(len(file.members)) for kind, _ in file.lines(number)]


async def test_an_agent_that_does_not_answer_costs_no_sample(tmp_path: Path) -> None:
    path, source = tmp_path / "a.rec", Silent()
    hello = await source.open()
    with closing(RecordingWriter(path)) as writer:
        seen = 0
        with pytest.raises(TargetGone):
            async with asyncio.timeout(20):
                async for _ in Recorder(source, hello, writer).record(0.0):
                    seen += 1
                    source.advance() if seen < 100 else source.end()
    assert kinds(path).count("sample") == 100


async def test_what_a_member_repeats_is_bounded_and_the_newest(tmp_path: Path) -> None:
    source = FakeSource()
    recorder = Recorder(source, await source.open(), RecordingWriter(tmp_path / "a.rec"))
    detail = await source.task(requests.Task(1))
    for serial in range(1000):
        named = dataclasses.replace(detail, task=dataclasses.replace(detail.task, name="x" * 1000))
        recorder._note(requests.Task(serial), (named,) * 2)
    recorder._note(requests.Task(1000), (detail,) * 1000)  # too large
    assert MAX_ANSWERS / 2 < sum(len(text) for _, text in recorder._answers.values()) <= MAX_ANSWERS
    assert requests.Task(999) in recorder._answers
    assert requests.Task(0) not in recorder._answers
    assert requests.Task(1000) not in recorder._answers
    recorder._writer.close()
