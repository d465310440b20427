"""Real processes with aiomonitor in them, seen over its web API alone."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from taskscope.export import snapshot as files
from taskscope.model import requests
from taskscope.sources.aiomonitor import client, source
from taskscope.sources.base import NotAvailable, SourceError, TargetGone
from taskscope.sources.resolve import resolve
from tests.integration import monitored as program
from tests.integration.children import taskscope
from tests.integration.monitored import Child, free_port, monitored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from taskscope import model

pytestmark = pytest.mark.packages

HERE = program.HERE


def line(text: str) -> int:
    """The line of the program that holds this text."""
    lines = Path(HERE).read_text().splitlines()
    return next(number for number, each in enumerate(lines, 1) if text in each)


@pytest.fixture(scope="module")
def hooked() -> Iterator[Child]:
    with monitored("hook") as child:
        yield child


class Watched:
    """A source that is open, its hello, and its samples one by one."""

    def __init__(self, source: source.AiomonitorSource, hello: model.Hello) -> None:
        self.source = source
        self.hello = hello
        self.sites: dict[str, model.Site] = {}
        self.sample: model.Sample
        self._samples = source.samples()

    async def next(self) -> model.Sample:
        self.sample = await anext(self._samples)
        self.sites.update((site.coroutine, site) for site in self.sample.new_sites)
        return self.sample

    async def until(self, true: Callable[[model.Sample], bool]) -> model.Sample:
        for _ in range(50):
            if true(await self.next()):
                return self.sample
        raise AssertionError(f"never seen: {self.sample}")


@asynccontextmanager
async def watching(target: str) -> AsyncIterator[Watched]:
    found = resolve(target)
    assert isinstance(found, source.AiomonitorSource)
    try:
        watched = Watched(found, await found.open())
        await found.ask(requests.SetInterval(0.05))
        await watched.next()
        yield watched
    finally:
        await found.close()


async def test_sites_are_the_lines_that_start_tasks(hooked: Child) -> None:
    async with watching(hooked.target) as watched:
        family, leaf = watched.sites["family"], watched.sites["leaf"]
        assert (family.frame.file, family.frame.line) == (HERE, line("create_task(family())"))
        assert (family.frame.function, family.known) == ("main", "exact")
        assert leaf.user_frame is not None
        assert (leaf.user_frame.line, leaf.known) == (line("gather(leaf()"), "imputed")
        assert leaf.via is not None
        assert leaf.via.file.endswith("asyncio/tasks.py")


async def test_the_process_is_found_through_the_connection(hooked: Child) -> None:
    async with watching(hooked.target) as watched:
        assert watched.hello.process.pid == hooked.pid
        assert watched.hello.process.python.startswith("3.")
        assert (watched.sample.rss or 0) > 1_000_000
        assert watched.sample.threads >= 2


async def test_births_and_ends_are_counted_from_list_to_list() -> None:
    with monitored("hook") as child:
        async with watching(child.target) as watched:
            before = watched.sample.tasks
            child.do("start 30")
            await watched.until(lambda sample: sample.tasks.live == before.live + 30)
            child.do("end 11")
            sample = await watched.until(lambda sample: sample.tasks.live == before.live + 19)
            assert sample.tasks.born - before.born >= 30
            assert sample.tasks.born == sample.tasks.live + sample.tasks.ended
            past = await watched.source.ask(requests.History(60))
            assert past.tasks[-1] == before.live + 19
            site = next(site for site in watched.sites.values() if site.frame.line == line("# the site of"))
            (own,) = await watched.source.ask(requests.SiteHistory((site.id,), 60))
            assert (own.live[-1], own.born[-1], own.ended[-1]) == (19, 30, 11)


async def test_tasks_never_seen_alive_are_counted_with_how_they_ended() -> None:
    with monitored("hook") as child:
        async with watching(child.target) as watched:
            before = watched.sample.tasks
            child.do("churn 40")
            child.do("fail")
            await watched.until(lambda sample: sample.tasks.born - before.born >= 42)
            ended = await watched.source.ask(requests.Ended(100))
            outcomes = {(each.coroutine, each.outcome, each.error) for each in ended}
            assert ("boom", "failed", "ValueError") in outcomes
            assert ("leaf", "cancelled", "") in outcomes
            assert ("quick", "finished", "") in outcomes
            assert len([each for each in ended if each.coroutine == "quick"]) == 40


async def test_a_task_shows_its_stack_and_where_it_comes_from(hooked: Child) -> None:
    async with watching(hooked.target) as watched:
        leaf = watched.sites["leaf"]
        page = await watched.source.ask(requests.Tasks(sites=(leaf.id,), limit=1))
        detail = await watched.source.ask(requests.Task(page.tasks[0].serial))
        assert [frame.function for frame in detail.stack] == ["sleep", "leaf"]
        assert detail.task.parked is not None
        assert detail.task.parked.wait == "sleep"
        assert [ancestor.coroutine for ancestor in detail.created_by] == ["family", "main"]
        assert "family" in [frame.function for frame in detail.creation]
        assert "_coro_wrapper" not in [frame.function for frame in detail.stack + detail.creation]
        shown = await watched.source.ask(requests.Source(HERE, detail.stack[-1].line, 2))
        assert "await asyncio.sleep(3600)" in "".join(shown.lines)


async def test_tasks_come_in_pages() -> None:
    with monitored("hook") as child:
        child.do("start 45")
        async with watching(child.target) as watched:
            serials: list[int] = []
            after: int | None = None
            while True:
                page = await watched.source.ask(requests.Tasks(order="newest", after=after, limit=20))
                serials += [task.serial for task in page.tasks]
                after = page.after
                if after is None:
                    break
            assert len(serials) == page.total == watched.sample.tasks.live
            assert serials == sorted(serials, reverse=True)
            births = [task.birth for task in page.tasks if task.birth is not None]
            assert births == sorted(births, reverse=True)


async def test_a_task_that_has_ended_is_no_more() -> None:
    with monitored("hook") as child:
        child.do("start 1")
        async with watching(child.target) as watched:
            newest = (await watched.source.ask(requests.Tasks(order="newest", limit=1))).tasks[0]
            child.do("end 1")
            with pytest.raises(NotAvailable, match=f"task {newest.serial} has ended"):
                await watched.source.ask(requests.Task(newest.serial))
            with pytest.raises(NotAvailable, match="task 99999 has ended"):
                await watched.source.ask(requests.Task(99999))


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda source: source.ask(requests.Threads()), "threads"),
        (lambda source: source.ask(requests.Thread(1)), "threads"),
        (lambda source: source.ask(requests.Loops()), "event loops"),
        (lambda source: source.ask(requests.Stalls()), "blocked loops"),
        (lambda source: source.ask(requests.Parked(None)), "where tasks are parked"),
        (lambda source: source.ask(requests.Groups("parent")), "which task created which"),
        (lambda source: source.ask(requests.Tree("await", None)), "which task created or awaits which"),
        (lambda source: source.ask(requests.Tasks(parent=1)), "which task created which"),
        (lambda source: source.ask(requests.Source("<cwd>/x.py", 1, 2)), "not on this machine"),
    ],
)
async def test_what_it_does_not_tell_is_said(
    hooked: Child, ask: Callable[[source.AiomonitorSource], Any], what: str
) -> None:
    async with watching(hooked.target) as watched:
        with pytest.raises(NotAvailable, match=what):
            await ask(watched.source)


async def test_without_its_hook_tasks_are_grouped_by_coroutine() -> None:
    with monitored("plain") as child:
        child.do("start 3")
        async with watching(child.target) as watched:
            assert "hook_task_factory=True" in " ".join(watched.hello.notes)
            leaf = watched.sites["leaf"]
            assert leaf.known == "unknown"
            assert (leaf.frame.file, leaf.frame.line) == (HERE, line("async def leaf()"))
            counts = next(each for each in watched.sample.sites if each.site == leaf.id)
            assert (counts.counts.live, counts.oldest) == (5, None)
            with pytest.raises(NotAvailable, match="report ages"):
                await watched.source.ask(requests.Facts(leaf.id, (0.0,)))


async def test_ages_and_cohorts_come_from_the_listed_ages(hooked: Child) -> None:
    async with watching(hooked.target) as watched:
        leaf = watched.sites["leaf"]
        ages = await watched.source.ask(requests.Ages((leaf.id,)))
        assert sum(ages.counts) == 2
        facts = await watched.source.ask(requests.Facts(leaf.id, (0.0, watched.sample.monotonic)))
        assert facts.alive == (0, 2)


async def test_two_processes_behind_one_port_are_noticed_and_not_mixed() -> None:
    with monitored("hook") as first:
        first.do("start 200")
        with monitored("hook", "alone", web=first.web) as second:
            second.do("start 7")
            second_opens(second)
            async with watching(first.target) as watched:
                here = {first.pid, second.pid}
                assert watched.hello.process.pid in here
                other = (here - {watched.hello.process.pid}).pop()
                assert any(f"tasks of pid {other} are not shown" in note for note in watched.hello.notes)
                live = watched.sample.tasks.live
                for _ in range(4):
                    assert (await watched.next()).tasks.live == live


def second_opens(child: Child) -> None:
    """A second worker's telnet port fails to bind, so users give it one of its own."""
    assert child.do("share") == "done"


async def test_its_list_is_never_asked_for_twice_at_once_and_no_faster_than_it_answers(
    hooked: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []
    look = client.Client.look
    loop = asyncio.get_running_loop()

    async def slow(self: client.Client, *, fresh: bool = False) -> Any:
        began = loop.time()
        found = await look(self, fresh=fresh)
        await asyncio.sleep(0.03)
        self.spent += 0.03
        asked.append((began, loop.time()))
        return found

    monkeypatch.setattr(client.Client, "look", slow)
    async with watching(hooked.target) as watched:
        await watched.source.ask(requests.SetInterval(0.01))
        asked.clear()
        for _ in range(4):
            await watched.next()
    for (_, answered), (began, _) in itertools.pairwise(asked):
        assert began - answered >= 0.03 * (1 / client.SHARE - 1)


async def test_the_end_of_the_process_is_told() -> None:
    with monitored("hook") as child:
        async with watching(child.target) as watched:
            child.process.kill()
            child.process.wait()
            with pytest.raises(TargetGone, match="nobody answers"):
                await watched.next()


async def test_a_snapshot_keeps_to_the_format_and_opens_again(hooked: Child, tmp_path: Path) -> None:
    schema = json.loads((Path(files.__file__).parent / "snapshot.schema.json").read_text())
    async with watching(hooked.target) as watched:
        state = await watched.source.ask(requests.Snapshot())
        jsonschema.validate(state, schema)
        path = tmp_path / "monitored.json"
        files.save(state, str(path))
        saved = resolve(str(path))
        await saved.open()
        assert (await saved.ask(requests.Tasks())).total == watched.sample.tasks.live
        leaf = next(site for site in state["sites"] if site["coroutine"] == "leaf")
        assert (await saved.ask(requests.Site(leaf["id"]))).stacks


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("aiomonitor://", "is not an address like"),
        ("aiomonitor://127.0.0.1:x", "is not an address like"),
        ("aiomonitor://127.0.0.1:1/tasks", "is not an address like"),
        pytest.param(
            f"aiomonitor://127.0.0.1:{free_port()}",
            "nobody answers at .* \\(connection refused\\)",
            id="nobody there",  # a number in it would differ between workers
        ),
    ],
)
async def test_a_wrong_address_is_said(target: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        await resolve(target).open()


async def test_its_telnet_port_is_not_taken_for_its_web_port(hooked: Child) -> None:
    with pytest.raises(SourceError, match="is not the web port of an aiomonitor"):
        await resolve(f"aiomonitor://127.0.0.1:{hooked.telnet}").open()


def test_the_command_line_watches_and_saves_it(hooked: Child, tmp_path: Path) -> None:
    watched = taskscope("watch", hooked.target, "--for", "1s", "--interval", "500ms", "--json")
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout)["samples"]
    path = tmp_path / "saved.json"
    saved = taskscope("snapshot", hooked.target, "-o", str(path))
    assert saved.returncode == 0, saved.stderr
    assert json.loads(path.read_text())["agent"]["arrived"] == "aiomonitor"
