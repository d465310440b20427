"""How aiomonitor's answers are parsed, including hostile text."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope.sources.aiomonitor import api, learn

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Known, Origin


def page(*items: tuple[str, str]) -> str:
    """A page as aiomonitor makes it: what is of no interest stands in a template after it."""
    body = "".join(
        f'<h2 class="x">{html.escape(head)}</h2>\n<pre class="y">{html.escape(text)}</pre>'
        for head, text in items
    )
    return f"<!doctype html><html><body><div>{body}</div><template><pre>{{{{ detail }}}}</pre></template>"


def row(**fields: str) -> dict[str, str]:
    plain = {"task_id": "7", "state": "PENDING", "name": "Task-1", "coro": "main()"}
    return {**plain, "created_location": "<cwd>/app.py:12", "since": "00:05.250", **fields}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00.000", 0.0),
        ("01:02.500", 62.5),
        ("3h00:01.000", 10801.0),
        ("2d1h00:00.000", 176400.0),
        ("1y2m3d4h05:06.007", 31536000 + 2 * 2592000 + 3 * 86400 + 4 * 3600 + 306.007),
        ("-", None),
        ("soon", None),
    ],
)
def test_an_age_is_read_from_its_text(text: str, seconds: float | None) -> None:
    assert api.seconds(text) == pytest.approx(seconds)


def test_a_row_of_the_list_is_read() -> None:
    (task,) = api.live_tasks(json.dumps({"tasks": [row(coro="Feed.<locals>.run()")]}))
    assert task == api.LiveTask("7", "PENDING", "Task-1", "Feed.run", "<cwd>/app.py:12", 5.25)


def test_text_from_the_target_is_cleaned() -> None:
    (task,) = api.live_tasks(json.dumps({"tasks": [row(name="\x1b]52;c;x\x07[/]", since="-")]}))
    assert task.name == "\\x1b]52;c;x\\x07[/]"
    assert task.age is None
    frames = api.trace(page(("Stack", 'File "/a\x1b.py", line 1, in f\n  x'))).stack
    assert frames[0].file == "/a\\x1b.py"


@pytest.mark.parametrize("text", ["", "[]", '{"tasks": 3}', '{"tasks": [{"name": "x"}]}', "<html>"])
def test_an_answer_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(api.ApiError):
        api.live_tasks(text)


def test_only_an_aiomonitor_has_a_version() -> None:
    assert api.version('{"value": "0.7.1"}') == "0.7.1"
    with pytest.raises(api.ApiError):
        api.version('{"version": "0.7.1"}')


@pytest.mark.parametrize(
    ("location", "file", "line", "origin"),
    [
        ("<cwd>/app.py:12", "<cwd>/app.py", 12, "user"),
        ("<sitepkg>/aiohttp/web.py:3", "<sitepkg>/aiohttp/web.py", 3, "library"),
        ("<stdlib>/asyncio/tasks.py:680", "<stdlib>/asyncio/tasks.py", 680, "stdlib"),
        ("<home>/lib/python3.11/asyncio/tasks.py:80", "<home>/lib/python3.11/asyncio/tasks.py", 80, "stdlib"),
        ("nowhere", "nowhere", 0, "user"),
    ],
)  # fmt: skip
def test_a_place_is_read_with_its_prefix(location: str, file: str, line: int, origin: Origin) -> None:
    assert api.place(location) == model.Frame(file, line, "", origin)


PARENT = 'File "/srv/app.py", line 40, in main\n  task = asyncio.create_task(feed())\n'
CHILD = 'File "/srv/app.py", line 22, in start\n  run()\nFile "/srv/feed.py", line 7, in feed\n  go()\n'
WRAPPED = (
    'File "/v/site-packages/aiomonitor/monitor.py", line 509, in _coro_wrapper\n  return await coro\n'
    'File "/srv/feed.py", line 30, in pump\n  text = \'File "/fake.py", line 1, in fake\'\n'
    'File "/usr/lib/python3.11/asyncio/queues.py", line 158, in get\n  await getter\n'
)


def test_a_trace_is_read_innermost_and_nearest_first() -> None:
    trace = api.trace(
        page(
            ("Stack of the root task or coroutine scheduled in the event loop", PARENT),
            (
                "Stack of <Task name=boss coro=Monitor._coro_wrapper()> when creating the next task (most",
                CHILD,
            ),
            ("Stack of <Task name=kid coro=Monitor._coro_wrapper()> (most recent call last)", WRAPPED),
        )
    )
    assert [frame.function for frame in trace.stack] == ["get", "pump"]
    assert [[frame.function for frame in stack] for stack in trace.creations] == [["feed", "start"], ["main"]]
    assert trace.creators == ("boss",)


def test_a_page_without_a_stack_is_refused() -> None:
    with pytest.raises(api.ApiError):
        api.trace("<html><h2>Sorry</h2></html>")


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("", ("finished", "")),
        ("cancelled", ("cancelled", "")),
        ("exc=ValueError('x> (most')", ("failed", "ValueError")),
        ("exc=aiohttp.ClientError()", ("failed", "aiohttp.ClientError")),
    ],
)
def test_how_a_task_ended_is_read_from_its_heading(ending: str, outcome: tuple[str, str]) -> None:
    head = f"Stack of <TerminatedTask name=a b coro=leaf() {ending}> (most recent call last)"
    assert api.outcome(page(("Stack of the root task", "No stack"), (head, "No stack"))) == outcome


def test_a_page_that_says_nothing_leaves_the_end_unseen() -> None:
    assert api.outcome("<html></html>") == ("unseen", "")


def site(frame: model.Frame, known: Known = "exact") -> model.Site:
    return model.Site(1, "task", frame, None, "leaf", known)


GATHER = model.Frame("/usr/lib/python3.11/asyncio/tasks.py", 680, "_ensure_future", "stdlib")
LIBRARY = model.Frame("/venv/site-packages/aiojobs/_scheduler.py", 9, "Scheduler.spawn", "library")
REDUCE = model.Frame("/usr/lib/python3.11/functools.py", 909, "wrapper", "stdlib")
USER = model.Frame("/srv/app.py", 22, "start")


def test_a_site_gets_its_function_and_whole_path_from_one_of_its_tasks() -> None:
    found = learn.learned(site(api.place("<cwd>/app.py:22")), api.Trace((), ((USER,),), ()))
    assert (found.frame, found.user_frame, found.known) == (USER, USER, "exact")


def test_a_site_in_asyncio_itself_is_only_a_guess_at_the_users_line() -> None:
    told = api.place("<home>/lib/python3.11/asyncio/tasks.py:680")
    for between in ((), (LIBRARY, REDUCE)):
        found = learn.learned(site(told), api.Trace((), ((GATHER, *between, USER),), ()))
        assert (found.frame, found.known, found.via) == (USER, "imputed", GATHER)


def test_another_tasks_page_teaches_nothing() -> None:
    told = site(api.place("<cwd>/other.py:22"))
    assert learn.learned(told, api.Trace((), ((USER,),), ())) == told


@pytest.mark.parametrize(
    ("file", "function", "wait"),
    [
        ("/usr/lib/python3.11/asyncio/tasks.py", "sleep", "sleep"),
        ("/usr/lib/python3.11/asyncio/queues.py", "get", "queue.get"),
        ("/srv/queues.py", "get", "unknown"),
    ],
)
def test_what_a_task_waits_on_is_read_only_from_asyncios_own_functions(
    file: str, function: str, wait: str
) -> None:
    frame = model.Frame(file, 1, function, api.origin(file))
    where = learn.parked((frame, USER))
    assert where is not None
    assert where.wait == wait
    assert where.user_frame == (frame if frame.origin == "user" else USER)
