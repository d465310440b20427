"""The client's end of the wire against a scripted agent: answers, refusals, silence, nonsense, the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import model, wire
from taskscope.model import requests
from taskscope.model.snapshot import NAMES
from taskscope.sources.base import AgentGone, NotAvailable, SourceError, SourceMisbehaves, TargetGone
from taskscope.sources.live import MAX_WAITING, LiveSource
from tests.unit.test_saved_source import snapshot, task

if TYPE_CHECKING:
    from pathlib import Path

PROCESS = model.Process(1, "svc", "3.11.7", "cpython", "/python", ("svc.py",), "host", "me", "/", 0.0)
HELLO = model.Hello(wire.PROTOCOL, "0.1.0", PROCESS, 1.0, False, 0.0, 10.0, 1000.0)

Answer = Callable[["Peer", wire.Request], Awaitable[None]]
Reply = Callable[[int | None], bytes]


def friendly(id: int | None) -> bytes:
    """The usual answer to a hello."""
    return wire.response(id, wire.pack(HELLO))


class Peer:
    """One connection of a scripted agent."""

    def __init__(
        self, answer: Answer, hello: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.answer, self.hello, self.reader, self.writer = answer, hello, reader, writer

    async def serve(self) -> None:
        decoder = wire.Decoder(wire.MAX_REQUEST)
        while data := await self.reader.read(65536):
            for message in decoder.feed(data):
                assert isinstance(message, wire.Request)
                if message.method == "hello":
                    self.send(self.hello(message.id))
                else:
                    await self.answer(self, message)
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def sample(self, sample: model.Sample) -> None:
        self.send(wire.request(None, "sample", wire.pack(sample)))


def sample(seq: int, *sites: int, full: bool = False) -> model.Sample:
    counts = tuple(model.SiteCounts(site, model.Counts(live=seq)) for site in sites)
    rest = {
        "fds": None,
        "rss": None,
        "cpu": None,
        "loop_latency": None,
        "agent_cpu": None,
        "agent_memory": None,
    }
    return model.Sample(seq, float(seq), 0.0, 1.0, model.Counts(), 1, **rest, full=full, sites=counts)  # type: ignore[arg-type]


@asynccontextmanager
async def agent(
    folder: Path, answer: Answer, *, hello: Reply = friendly, patience: float = 10.0
) -> AsyncIterator[LiveSource]:
    """A source connected to a scripted agent."""
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(Peer(answer, hello, reader, writer).serve()))

    path = str(folder / "agent.sock")
    server = await asyncio.start_unix_server(accept, path)
    source = LiveSource(path, patience=patience)
    try:
        await source.open()
        yield source
    finally:
        await source.close()
        server.close()
        await asyncio.wait(serving, timeout=5)
        for each in serving:
            each.cancel()


async def silent(peer: Peer, request: wire.Request) -> None:
    """An agent that is stuck."""


async def test_answers_find_their_questions_in_any_order(tmp_path: Path) -> None:
    held: list[wire.Request] = []

    async def answer(peer: Peer, request: wire.Request) -> None:
        held.append(request)
        if len(held) == 2:
            for each in reversed(held):
                frame = model.Site(each.params["site"], "task", model.Frame("f", 1, "g"), None, "c")
                detail = model.SiteDetail(frame, model.SiteCounts(each.params["site"], model.Counts()), ())
                peer.send(wire.response(each.id, wire.pack(detail)))

    async with agent(tmp_path, answer) as source:
        one, two = await asyncio.gather(source.ask(requests.Site(1)), source.ask(requests.Site(2)))
    assert (one.site.id, two.site.id) == (1, 2)


async def test_every_question_is_asked_by_the_name_and_parameters_of_the_protocol(tmp_path: Path) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    async def answer(peer: Peer, request: wire.Request) -> None:
        asked.append((request.method, dict(request.params)))
        peer.send(wire.failure(request.id, wire.NOT_FOUND, "gone"))

    async with agent(tmp_path, answer) as source:
        for question in (
            source.ask(requests.SetInterval(2.0)),
            source.ask(requests.History(60)),
            source.ask(requests.SiteHistory((1, 2), 60)),
            source.ask(requests.Site(3)),
            source.ask(requests.Tasks(sites=(4,), parked="k", order="newest", after=9, limit=5)),
            source.ask(requests.Task(5)),
            source.ask(requests.Ages(None)),
            source.ask(requests.Parked((6,))),
            source.ask(requests.Groups("parent")),
            source.ask(requests.Tree("await", 7)),
            source.ask(requests.Threads()),
            source.ask(requests.Thread(8)),
            source.ask(requests.Ended(10)),
            source.ask(requests.Stalls()),
            source.ask(requests.Loops()),
            source.ask(requests.Source("f.py", 11, 3)),
            source.ask(requests.Facts(13, (1.0, 2.0), 5.0)),
            source.ask(requests.Cancel(12)),
        ):
            with pytest.raises(NotAvailable, match="gone"):
                await question
    page = {"sites": [4], "parent": None, "parked": "k", "order": "newest", "after": 9, "limit": 5}
    assert asked == [
        ("set_interval", {"seconds": 2.0}),
        ("history", {"seconds": 60}),
        ("site_history", {"sites": [1, 2], "seconds": 60}),
        ("site", {"site": 3}),
        ("tasks", page),
        ("task", {"serial": 5}),
        ("ages", {"sites": None}),
        ("parked", {"sites": [6]}),
        ("groups", {"by": "parent"}),
        ("tree", {"by": "await", "of": 7}),
        ("threads", {}),
        ("thread", {"ident": 8}),
        ("ended", {"limit": 10}),
        ("stalls", {}),
        ("loops", {}),
        ("source", {"file": "f.py", "line": 11, "context": 3}),
        ("facts", {"site": 13, "cuts": [1.0, 2.0], "before": 5.0}),
        ("cancel", {"serial": 12}),
    ]


async def test_a_refusal_that_is_the_agents_fault_is_a_source_error(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        peer.send(wire.failure(request.id, wire.INTERNAL, "it broke"))

    async with agent(tmp_path, answer) as source:
        with pytest.raises(SourceError, match="it broke") as caught:
            await source.ask(requests.Threads())
    assert not isinstance(caught.value, NotAvailable)


async def test_a_silent_agent_is_waited_for_within_bounds(tmp_path: Path) -> None:
    async with agent(tmp_path, silent, patience=0.05) as source:
        with pytest.raises(SourceError, match=r"has not answered 'threads' within 0\.05 s"):
            await source.ask(requests.Threads())


async def test_an_answer_whose_caller_has_gone_is_dropped(tmp_path: Path) -> None:
    held: list[tuple[Peer, wire.Request]] = []
    arrived = asyncio.Event()

    async def answer(peer: Peer, request: wire.Request) -> None:
        if request.method == "threads":
            held.append((peer, request))
            arrived.set()
        else:
            for late, question in held:
                late.send(wire.response(question.id, []))
            peer.send(wire.response(request.id, []))

    async with agent(tmp_path, answer) as source:
        asking = asyncio.create_task(source.ask(requests.Threads()))
        await arrived.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert await source.ask(requests.Loops()) == ()


async def test_the_end_of_the_target_reaches_all_waiters(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        if request.method == "subscribe":
            peer.send(wire.response(request.id, {}))
            peer.sample(sample(1, 1, full=True))
        else:
            peer.writer.close()

    async with agent(tmp_path, answer) as source:
        samples = source.samples()
        assert (await anext(samples)).full
        waiting = asyncio.ensure_future(anext(samples))
        with pytest.raises(
            AgentGone, match=r"process \d+ still runs, but its agent has closed the connection"
        ):
            await source.ask(requests.Threads())
        with pytest.raises(
            AgentGone, match=r"process \d+ still runs, but its agent has closed the connection"
        ):
            await waiting
        with pytest.raises(
            AgentGone, match=r"process \d+ still runs, but its agent has closed the connection"
        ):
            await source.ask(requests.Loops())


async def test_a_reader_who_is_slow_loses_nothing(tmp_path: Path) -> None:
    many = 3 * MAX_WAITING

    async def answer(peer: Peer, request: wire.Request) -> None:
        peer.send(wire.response(request.id, {} if request.method == "subscribe" else []))
        if request.method == "subscribe":
            peer.sample(sample(1, 1, 2, full=True))
        else:
            for seq in range(2, many + 1):
                peer.sample(sample(seq, seq))
            peer.send(wire.response(request.id, []))

    async with agent(tmp_path, answer) as source:
        samples = source.samples()
        first = await anext(samples)
        await source.ask(requests.Loops())
        while len(source._samples) < MAX_WAITING:
            await asyncio.sleep(0)
        seen = {each.site for each in first.sites}
        seq, received = 1, 1
        while seq < many:
            each = await anext(samples)
            seq, received = each.seq, received + 1
            seen |= {counts.site for counts in each.sites}
    assert seen == {1, *range(2, many + 1)}
    assert received < many


async def test_a_guess_about_a_site_that_has_gone_meanwhile_is_dropped(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("async def work(): ...\nasync def main():\n    asyncio.create_task(work())\n")
    frame = model.Frame(str(program), 1, "work")
    sites = tuple(model.Site(id, "task", frame, frame, "work", "unknown") for id in (1, 2))
    first = dataclasses.replace(sample(1, 1, 2, full=True), new_sites=sites)

    async def answer(peer: Peer, request: wire.Request) -> None:
        peer.send(wire.response(request.id, [str(program)] if request.method == "modules" else {}))
        if request.method == "subscribe":
            peer.sample(first)
        elif request.method == "loops":
            peer.sample(sample(2, 2, full=True))

    async with agent(tmp_path, answer) as source:
        samples = source.samples()
        await anext(samples)
        while source._searching is None or not source._searching.done():
            await asyncio.sleep(0)
        with contextlib.suppress(SourceError):
            await source.ask(requests.Loops())
        second = await anext(samples)
    assert [(site.id, site.known) for site in second.new_sites] == [(2, "imputed")]


async def test_a_snapshot_is_put_together_from_its_parts(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        if request.method != "snapshot":  # what the judge asks to add the findings
            peer.send(wire.failure(request.id, wire.NOT_FOUND, "gone"))
            return
        assert request.params == {"stacks": False}
        whole = snapshot([task(1)])
        for section, value in (*whole.items(), ("tasks", [task(2), task(3)]), ("unknown", [1])):
            peer.send(wire.request(None, "part", {"section": section, "value": value}))
        peer.send(wire.response(request.id, {"parts": 4}))

    async with agent(tmp_path, answer) as source:
        taken = await source.ask(requests.Snapshot(stacks=False))
        assert [each["serial"] for each in taken["tasks"]] == [1, 2, 3]
        assert tuple(taken) == NAMES
        assert await source.ask(requests.Snapshot(stacks=False)) == taken


async def test_a_snapshot_that_does_not_fit_is_reported(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        for section, value in snapshot([task(1, birth="yesterday")]).items():
            peer.send(wire.request(None, "part", {"section": section, "value": value}))
        peer.send(wire.response(request.id, {"parts": 4}))

    async with agent(tmp_path, answer) as source:
        with pytest.raises(SourceMisbehaves, match="'snapshot' does not fit: tasks: a task's birth is not a"):
            await source.ask(requests.Snapshot())


async def test_a_long_snapshot_is_not_cut_short_while_parts_arrive(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        for section, value in snapshot([]).items():
            await asyncio.sleep(0.05)
            peer.send(wire.request(None, "part", {"section": section, "value": value}))
        peer.send(wire.response(request.id, {"parts": 10}))

    async with agent(tmp_path, answer, patience=0.3) as source:
        assert (await source.ask(requests.Snapshot()))["tasks"] == []


@pytest.mark.parametrize(
    "nonsense",
    [b"hello\n", b'{"jsonrpc": "1.0"}\n', b'{"jsonrpc":"2.0","method":"sample","params":{"seq":"x"}}\n'],
)
async def test_an_agent_that_talks_nonsense_is_left(tmp_path: Path, nonsense: bytes) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        peer.send(nonsense)

    async with agent(tmp_path, answer) as source:
        with pytest.raises(SourceMisbehaves, match=r"the agent of process \d+ misbehaves: "):
            await source.ask(requests.Threads())


@pytest.mark.parametrize("answered", [{"protocol": 99}, {}, []])
async def test_another_protocol_version_is_a_clear_sentence(tmp_path: Path, answered: Any) -> None:
    with pytest.raises(SourceError, match="use the same version of TaskScope on both sides"):
        async with agent(tmp_path, silent, hello=lambda serial: wire.response(serial, answered)):
            pass


async def test_an_agent_that_refuses_our_version_is_quoted(tmp_path: Path) -> None:
    def refuse(id: int | None) -> bytes:
        return wire.failure(id, wire.MISMATCH, "this agent speaks protocol 7, you speak 1")

    with pytest.raises(SourceError, match="this agent speaks protocol 7"):
        async with agent(tmp_path, silent, hello=refuse):
            pass


async def test_nobody_at_the_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(TargetGone, match=r"nobody listens at .*gone\.sock"):
        await LiveSource(str(tmp_path / "gone.sock")).open()


async def test_closing_twice_and_asking_afterwards(tmp_path: Path) -> None:
    async with agent(tmp_path, silent) as source:
        await source.close()
        await source.close()
        with pytest.raises(TargetGone):
            await source.ask(requests.Threads())


async def test_an_agent_that_names_sites_without_end_is_left(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        peer.send(wire.response(request.id, {}))
        for seq in range(1, 30):
            peer.sample(sample(seq, *range(1000 * seq, 1000 * seq + 1000), full=seq == 1))

    async with agent(tmp_path, answer) as source:
        with pytest.raises(SourceMisbehaves, match="it names more than 20,000 sites"):
            async for _ in source.samples():
                pass


async def test_a_page_larger_than_asked_for_is_refused(tmp_path: Path) -> None:
    async def answer(peer: Peer, request: wire.Request) -> None:
        one = wire.pack(model.Task(1, "n", "c", "pending", 1, 0, False, 1, None))
        peer.send(wire.response(request.id, {"tasks": [one] * 6, "total": 6, "after": None}))

    async with agent(tmp_path, answer) as source:
        assert len((await source.ask(requests.Tasks(limit=6))).tasks) == 6
        with pytest.raises(SourceMisbehaves, match="it sent 6 tasks for a page of at most 5"):
            await source.ask(requests.Tasks(limit=5))


async def test_parts_without_end_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskscope.sources.live.MAX_SNAPSHOT", 100_000)

    async def answer(peer: Peer, request: wire.Request) -> None:
        for _ in range(100):
            peer.send(wire.request(None, "part", {"section": "tasks", "value": [task(1)] * 100}))

    async with agent(tmp_path, answer) as source:
        with pytest.raises(SourceMisbehaves, match="its snapshot is larger than"):
            await source.ask(requests.Snapshot())
