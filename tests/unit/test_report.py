"""The report: what is wrong comes first, no text is markup, private things stay private."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import model
from taskscope import text as fmt
from taskscope.analysis.patterns.stalls import stalled
from taskscope.commands.report import _past
from taskscope.export.html import html
from taskscope.export.markdown import markdown, plain
from taskscope.export.page import Chart, Code, Heading, Items, Paragraph, Table
from taskscope.export.redact import redacted
from taskscope.export.report import Seen, _steps, blocks, title
from taskscope.export.stacks import Lines
from taskscope.model import requests
from taskscope.sources.base import SourceError
from taskscope.sources.details import Details
from tests.tui.fake_source import BOOT, EXECUTOR, LEAK, FakeSource

if TYPE_CHECKING:
    from taskscope.export.page import Block

EVIL = "<script>alert(1)</script><img src=x onerror=y>\" ' &amp; [a](http://b) **c** `d` | _e_ </pre>```"

FINDING = model.Finding(
    "leak",
    "task",
    LEAK,
    EXECUTOR,
    EXECUTOR,
    "decay_after",
    6000,
    6000.0,
    BOOT,
    "6,000 live, steadily +6,000/min",
    cause=model.Cause(
        "sleepers", "each just sleeps", ("all 200 sampled tasks sleep",), "Keep and cancel them."
    ),
)


async def _seen(finding: model.Finding = FINDING) -> Seen:
    source = FakeSource()
    hello, sample = await source.open(), source.sample(full=True)
    details = Details(source)
    await details.look((finding,), sample.sites)
    history, sites = await _past(source, sample, (finding,))
    shown = "Watched for 60 s."
    return Seen(hello, sample, (finding,), details.told, history, sites, shown, model.Judged(60.0))


async def test_the_title_says_that_a_loop_is_blocked_now() -> None:
    held = model.Stall(1, BOOT, 830.0, False, None, (model.Frame("/app/spin.py", 4, "parse"),))
    blocked = dataclasses.replace(await _seen(), findings=stalled([held], BOOT))
    now = "the event loop is blocked, for 14 min now, by spin.py:4 parse"
    assert title(blocked) == f"orders: no leak or hang found; {now}"


class FailsOnTasks(FakeSource):
    """An agent with a fault in one of its answers."""

    async def ask(self, request: requests.Request[Any]) -> Any:
        if isinstance(request, requests.Task):
            raise SourceError("IndexError in task: index out of range")
        return await super().ask(request)


async def test_one_answer_that_fails_costs_no_other() -> None:
    source = FailsOnTasks()
    await source.open()
    details = Details(source)
    await details.look((FINDING,), source.sample(full=True).sites)
    assert any(isinstance(question, requests.Source) for question in details.told)
    assert list(details.failed) == ["IndexError in task: index out of range"]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return asyncio.run(_seen())


class Parser(HTMLParser):
    """Checks that tags match; notes all tags and attributes."""

    VOID = frozenset(("meta", "line", "polyline", "br"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(text: str) -> Parser:
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_what_is_wrong_comes_first(seen: Seen) -> None:
    text = markdown(blocks(seen))
    order = [
        "# orders: 1 leak",
        "LEAK executor.py:231 record_failure",
        "**What is wrong:** decay_after: 6,000 live",
        "**Cause:** Each just sleeps.",
        "**What happens, and the usual fix:** Keep and cancel them.",
        "Started at: /srv/orders/executor.py:231 in record_failure",
        ">  231      line_231()",
        "- all 200 sampled tasks sleep",
        "## The process over time",
        "## Lines that start tasks and threads",
        "## Started at executor.py:231 record_failure",
        "## When the event loop did not run",
        "## The process\n",
    ]
    found = [text.index(each) for each in order]
    assert found == sorted(found)


def test_the_count_of_a_line_holds_until_the_next() -> None:
    past = model.SiteHistory(1, (1.0, 5.0), (2, 7), (2, 7), (0, 0))
    assert _steps(past, 9.0) == ([1.0, 5.0, 5.0, 9.0], [2.0, 2.0, 7.0, 7.0])


def test_each_step_has_its_file_line_and_source(seen: Seen) -> None:
    text = markdown(blocks(seen))
    assert "- /srv/orders/executor.py:244 in decay_after:  line_244()" in text
    assert "nothing awaits it" in text
    assert "2 others looked at wait alike" in text


def test_what_has_no_content_is_left_out(seen: Seen) -> None:
    told: dict[Any, Any] = {
        question: tuple(dataclasses.replace(each, stack=()) for each in answer)
        if isinstance(question, requests.Stalls)
        else dataclasses.replace(answer, stacks=(), failures=())
        for question, answer in seen.told.items()
        if isinstance(question, (requests.Site, requests.Stalls))
    }
    text = markdown(blocks(dataclasses.replace(seen, told=told)))
    assert "its stack was not seen" in text
    assert "innermost line first" not in text
    assert "## Started at" not in text


def test_what_began_before_the_first_look_is_said_to_have_begun_before_the_next_minute(seen: Seen) -> None:
    sample = dataclasses.replace(seen.sample, monotonic=100.0, wall=1_700_000_030.0)
    began = dataclasses.replace(FINDING, since=90.0)
    assert fmt.since(began, sample)[-2:] == "13"
    assert fmt.since(dataclasses.replace(began, since_at_least=True), sample)[-2:] == "14"


def test_the_html_is_whole_and_needs_nothing_else(seen: Seen) -> None:
    text = html(title(seen), blocks(seen))
    page = parsed(text)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "a", "base", "form"})
    assert {name for name, _ in page.attributes}.isdisjoint({"src", "href", "onload", "style"})
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "url(" not in text
    assert "@import" not in text
    assert len(re.findall("<polyline", text)) >= 5
    assert "width=device-width" in text


EVERY: list[Block] = [
    Heading(1, EVIL, "LEAK"),
    Paragraph(EVIL, EVIL),
    Items((EVIL,)),
    Code(EVIL, 1, (EVIL, EVIL), 2),
    Table((EVIL, "n"), ((EVIL, "1"),), 1, EVIL),
    Chart(EVIL, (0.0, 1.0), (1.0, 2.0), (EVIL, EVIL), EVIL, EVIL),
]


@pytest.mark.parametrize("block", EVERY, ids=lambda block: type(block).__name__)
def test_text_is_never_markup_in_html(block: Block) -> None:
    page = parsed(html(EVIL, [block]))
    assert page.tags.isdisjoint({"script", "img"})
    assert EVIL in "".join(page.text)


@pytest.mark.parametrize(
    "text", ["<b>", "[a](b)", "**a**", "`a`", "a|b", "_a_", "# a", "&lt;", "> a", "~~a~~"]
)
def test_text_is_never_markup_in_markdown(text: str) -> None:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(plain(text))
    (inline,) = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for child in inline.children or ()}
    assert kinds <= {"text", "text_special"}
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(child.content for child in inline.children or ()) == text


def test_a_fence_is_longer_than_any_in_the_source() -> None:
    text = markdown([Code("a", 1, ("````", "x"), 1)])
    assert text.count("`````\n") == 2


def test_redacted_it_names_no_host_user_directory_argument_or_message(seen: Seen) -> None:
    process = dataclasses.replace(
        seen.hello.process,
        argv=("python3", "--password=hunter2"),
        host="trading-1",
        user="alice",
        cwd="/srv/orders",
    )
    told = dict(seen.told)
    site = told[requests.Site(LEAK)]
    failure = model.Failure(LEAK, "KeyError('card 4111')", EXECUTOR, EXECUTOR, 3, BOOT, BOOT, 7)
    told[requests.Site(LEAK)] = dataclasses.replace(site, failures=(failure,))
    finding = dataclasses.replace(
        FINDING, site=model.Frame("/home/alice/app/x.py", 3, "run"), text="on trading-1"
    )
    private = dataclasses.replace(
        seen, hello=dataclasses.replace(seen.hello, process=process), told=told, findings=(finding,)
    )
    whole = markdown(blocks(private))
    secrets = ("hunter2", "trading-1", "alice", "/srv/orders", "4111")
    assert all(secret in whole for secret in secrets)
    for text in (markdown(blocks(redacted(private))), html("x", blocks(redacted(private)))):
        assert not [secret for secret in secrets if secret in text]
        assert "executor.py" in text
        assert "line_231()" in text
        assert "were left out" in text


def test_without_findings_it_says_so(seen: Seen) -> None:
    calm = dataclasses.replace(seen, findings=(), judged=model.Judged(20.0))
    text = markdown(blocks(calm))
    assert text.startswith("# orders: no leak or hang found")
    assert "Nothing was found to leak or hang in 20s of watching" in text


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (model.Judged(2.0), "watched for 2.0s, a verdict takes 18s.  Watch for longer"),
        (model.Judged(40.0, growing=2), "2 places grow and have no verdict yet.  Watch for longer"),
    ],
)
def test_a_watch_that_was_too_brief_is_no_all_clear(seen: Seen, judged: model.Judged, said: str) -> None:
    text = markdown(blocks(dataclasses.replace(seen, findings=(), judged=judged)))
    assert text.startswith("# orders: too early to judge")
    assert f"Too early to judge: {said}" in text


def test_a_single_look_is_no_all_clear_and_names_most_of_the_timers(seen: Seen) -> None:
    group = model.TimerGroup(1, "Sessions.expire", EXECUTOR, (EXECUTOR,), "exact", False, 50_956, 0.0, 3600.0)
    told = {**seen.told, requests.Timers(): model.Timers(0.0, (group,))}
    text = markdown(blocks(dataclasses.replace(seen, findings=(), told=told, judged=model.Judged(0.0))))
    assert text.startswith("# orders: too early to judge")
    assert "seen in a single look, a verdict takes 18s of watching" in text
    assert "has 50,956: Sessions.expire, armed at executor.py:231" in text


def test_the_newest_caller_is_named_and_the_first_if_it_differs(seen: Seen) -> None:
    def stack(serial: int, caller: str) -> model.CreationStack:
        return model.CreationStack(serial, (EXECUTOR, model.Frame("/srv/orders/main.py", 7, caller)))

    question = requests.Site(LEAK)
    detail = dataclasses.replace(seen.told[question], stacks=(stack(1, "start"), stack(900, "restart")))
    text = markdown(blocks(dataclasses.replace(seen, told={**seen.told, question: detail})))
    assert "**Called from:** main.py:7 restart\n" in text
    assert text.index("**Created by, most recently:**") < text.index("**Created by, at first:**")


def test_steps_that_only_run_the_program_are_counted() -> None:
    user, plain = EXECUTOR, model.Frame("/lib/asyncio/events.py", 80, "_run", "stdlib")
    said = Lines({}).steps([plain] * 5 + [user] + [plain] * 5 + [user] + [plain] * 3)
    assert len(said.texts) == 5 + 1 + 1 + 1 + 3
    assert said.texts[6] == "(5 steps in the standard library)"
