"""A recording as a source: at every moment it shows what the live target showed then."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from taskscope import wire
from taskscope.export.recording import RecordingWriter, line
from taskscope.model import Sample, SourceLines, requests
from taskscope.model.recording import FORMAT, SCHEMA, Answer, Start
from taskscope.model.state import TargetState
from taskscope.sources import recorded as recorded_source
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.recorded import RecordedSource
from tests.recordings import record
from tests.tui.fake_source import EXECUTOR, LEAK, WALL, FakeSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.recordings import Seen

SECONDS = 200
"""Some members, and more than is read to the second."""


@pytest.fixture(autouse=True)
def _short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_source, "WINDOW", 100.0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Seen]]:
    """A recording, and what the live target showed after each of its samples."""
    path = tmp_path_factory.mktemp("recorded") / "a.rec"
    return str(path), asyncio.run(record(path, SECONDS))


@pytest.fixture
async def opened(recorded: tuple[str, list[Seen]]) -> AsyncIterator[RecordedSource]:
    source = RecordedSource(recorded[0])
    await source.open()
    yield source
    await source.close()


async def shown(source: RecordedSource) -> Sample | None:
    """What it yields, if it yields anything."""
    found = [each async for each in source.samples()]
    assert len(found) <= 1
    return found[0] if found else None


def counts(sample: Sample | None) -> object:
    assert sample is not None
    rows = {each.site: each.counts for each in sample.sites}
    return sample.tasks, rows, {each.id: each for each in sample.new_sites}


async def test_it_opens_at_its_end(opened: RecordedSource) -> None:
    assert (opened.begin, opened.end, opened.position) == (WALL + 60, WALL + 260, WALL + 260)
    sample = await shown(opened)
    assert sample is not None
    assert sample.full
    assert sample.wall == WALL + 260
    assert await shown(opened) is None  # until it moves


async def test_every_moment_is_as_it_was(opened: RecordedSource, recorded: tuple[str, list[Seen]]) -> None:
    source, (_, live) = opened, recorded
    for at in (0, SECONDS, 1, 59, 60, 61, 150, 180, 3):  # forwards and back
        await source.seek(source.begin + at)
        sample, findings = live[at]
        assert counts(await shown(source)) == counts(sample)
        levels = [(each.level, each.id, each.cause) for each in source.findings]
        assert levels == [(each.level, each.id, each.cause) for each in findings], at


async def test_playing_on_yields_what_changes(
    opened: RecordedSource, recorded: tuple[str, list[Seen]]
) -> None:
    source, (_, live), state = opened, recorded, TargetState(opened.hello)
    await source.seek(source.begin)
    while source.position < source.end:
        sample = await shown(source)
        assert sample is not None
        state.apply(sample)
        at = round(source.position - source.begin)
        assert counts(state.whole()) == counts(live[at][0]), at
        await source.advance(17)
    assert source.position == source.end


async def test_the_next_finding_is_found(tmp_path: Path) -> None:
    live = await record(tmp_path / "a.rec", 120, FakeSource(start=1))
    source = RecordedSource(str(tmp_path / "a.rec"))
    await source.open()
    assert not await source.next_finding()
    await source.seek(source.begin)
    first = next(at for at, (_, findings) in enumerate(live) if any(f.level != "info" for f in findings))
    assert first > 0
    assert await source.next_finding()
    assert source.position == pytest.approx(source.begin + first, abs=0.01)
    assert [each.id for each in source.findings if each.level != "info"] == [LEAK]


async def test_charts_go_back_to_before_the_recording(opened: RecordedSource) -> None:
    source = opened
    history = await source.ask(requests.History(1e6))
    assert history.times[0] < 1010  # the agent's own record
    assert history.times[-1] == 1060.0 + SECONDS
    steps = [later - before for before, later in zip(history.times, history.times[1:], strict=False)]
    assert max(steps[-90:]) == 1.0
    assert max(steps) <= 80.0  # one for each member
    (past,) = await source.ask(requests.SiteHistory((LEAK,), 1e6))
    assert past.times[0] < 1030
    assert past.live[-1] == 26_000
    await source.seek(source.begin + 5)
    assert (await source.ask(requests.History(1e6))).times[-1] == 1065.0


async def test_details_are_as_they_were(opened: RecordedSource) -> None:
    assert (await opened.ask(requests.Site(LEAK))).site.frame == EXECUTOR
    page = await opened.ask(requests.Tasks((LEAK,), limit=7))
    assert (len(page.tasks), page.after) == (7, None)
    assert page.total > 1000
    assert (await opened.ask(requests.Task(page.tasks[0].serial))).creation[0] == EXECUTOR
    assert len(await opened.ask(requests.Ended(3))) == 3
    assert len(await opened.ask(requests.Stalls())) == 1
    assert len(await opened.ask(requests.Threads())) == 5
    lines = await opened.ask(requests.Source(EXECUTOR.file, EXECUTOR.line, 2))
    assert lines.lines[EXECUTOR.line - lines.first] == f"    line_{EXECUTOR.line}()  # of the file"


@pytest.mark.parametrize(
    "question",
    [
        requests.Groups("parent"),
        requests.Task(999_999),
        requests.Site(999),
        requests.Tasks((999,)),
        requests.Cancel(1),
        requests.Console(),
        requests.Snapshot(),
        requests.SetInterval(1.0),
        requests.Source("/nowhere.py", 1),
    ],
)
async def test_what_was_not_recorded_is_said(
    opened: RecordedSource, question: requests.Request[object]
) -> None:
    with pytest.raises(NotAvailable, match=r"record"):
        await opened.ask(question)


async def test_a_later_connection_is_another_part(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    await record(path, 30)
    await record(path, 30, FakeSource(start=500, pid=99, name="again"))
    source = RecordedSource(str(path))
    hello = await source.open()
    assert (hello.process.pid, source.end - source.begin) == (99, 470)
    await source.seek(source.begin + 10)
    assert source.hello.process.pid == 4121
    sample = await shown(source)
    await source.advance(450)
    assert source.hello.process.pid == 99
    later = await shown(source)
    assert sample is not None
    assert later is not None
    assert later.full


async def test_a_file_without_a_sample_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    start = Start(FORMAT, SCHEMA, "0", await FakeSource().open())
    with closing(RecordingWriter(path)) as writer:
        writer.begin(1.0, 1.0, [line("start", wire.pack(start)), line("sample", {"monotonic": "x"})])
    with pytest.raises(SourceError, match="no sample in it can be read"):
        await RecordedSource(str(path)).open()


async def test_a_sample_without_a_start_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    start = {"format": FORMAT, "schema": SCHEMA, "taskscope": "0", "hello": {}}
    sample = wire.pack(FakeSource().sample(full=True))
    with closing(RecordingWriter(path)) as writer:
        writer.begin(1060.0, 1060.0, [line("start", start), line("sample", sample)])
    with pytest.raises(SourceError, match="no sample in it can be read"):
        await RecordedSource(str(path)).open()


async def test_of_several_pieces_of_a_file_the_one_around_the_line_is_shown(tmp_path: Path) -> None:
    def piece(at: int) -> bytes:
        lines = SourceLines("/app.py", at - 6, tuple(str(each) for each in range(at - 6, at + 7)))
        params = {"file": "/app.py", "line": at, "context": 6}
        return line("answer", wire.pack(Answer(1.0, "source", params, wire.pack(lines))))

    path, fake = tmp_path / "a.rec", FakeSource()
    start = Start(FORMAT, SCHEMA, "0", await fake.open())
    sample = wire.pack(fake.sample(full=True))
    with closing(RecordingWriter(path)) as writer:
        lines = [line("start", wire.pack(start)), line("sample", sample), piece(48), piece(44)]
        writer.begin(WALL + 60, 1060.0, lines)
    source = RecordedSource(str(path))
    await source.open()
    assert (await source.ask(requests.Source("/app.py", 44, 2))).first == 38
    await source.close()
