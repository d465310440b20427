"""Hostile names in a target have no effect in the app, the terminal or JSON.

A real process whose tasks, functions, files, threads, errors and arguments are called such things, looked at
through the real agent, by the command line and by the app in a real terminal.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import wire
from tests.integration.children import running, says, taskscope
from tests.terminal import Terminal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

MARKUP = "[/] [bold] [@click=app.quit]x[/] [$accent"
ESCAPES = "\x1b]0;pwned\x07 \x1b]52;c;cHduZWQ=\x07 \x1b[2J\x1b[31m \x9b2J \x1bPq\x1b\\"
INVISIBLE = "\u202egnol\u202c \u200b\ufeff \ud800 \n\r\t\x00\b\x7f \u2028"
LONG = "n" * 10_000
NAMES = (MARKUP, ESCAPES, INVISIBLE, LONG)

PROGRAM = """
import asyncio, sys, threading
names, path = eval(sys.argv[1]), sys.argv[2]

def named(function, name):
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name, co_filename=path)
    function.__name__ = function.__qualname__ = name
    return function

def coroutine(name):
    async def waits():
        await asyncio.sleep(3600)
    return named(waits, name)

def starter(name):
    def start(coro):
        return asyncio.create_task(coro, name=name)
    return named(start, name)

async def fails(name):
    raise type(name.replace(chr(0), ""), (Exception,), {})(name)

async def main():
    kept = [starter(name)(coroutine(name)()) for name in names]
    for name in names:
        threading.Thread(target=named(lambda: threading.Event().wait(), name), name=name, daemon=True).start()
        kept.append(asyncio.create_task(fails(name), name=name))
    await asyncio.wait(kept[len(names):])
    print("standing", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@contextmanager
def hostile(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program; its source file's name is hostile too, and is there to be read."""
    source = tmp_path / "a [/] \x1b]0;pwned\x07 [@click=app.quit]\nb.py"
    source.parent.mkdir()
    source.write_text("# \x1b]0;pwned\x07 [/]\n" * 60)
    with running(
        PROGRAM, "--name", "[/]\x1b[31mx", arguments=(repr(NAMES), str(source), MARKUP, ESCAPES)
    ) as child:
        says(child, "standing")
        yield child


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from strings(each)


def acts(text: str) -> bool:
    """Whether a terminal might do something at it other than show it."""
    return any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in text)


def test_a_snapshot_is_json_without_anything_that_acts(tmp_path: Path) -> None:
    with hostile(tmp_path) as child:
        made = taskscope("snapshot", str(child.pid))
    assert made.returncode == 0, made.stderr
    assert made.stdout.isascii()
    snapshot = json.loads(made.stdout)
    assert [text for text in strings(snapshot) if acts(text) or len(text) > 10 * wire.MAX_TEXT] == []
    names = {task["name"] for task in snapshot["tasks"]}
    assert MARKUP in names
    assert wire.clean_text(ESCAPES) in names
    assert any(name.startswith("nnnn") and len(name) == wire.MAX_TEXT for name in names)


@pytest.mark.parametrize("words", [("ps",), ("ps", "--json"), ("watch", "--for", "1s")])
def test_the_command_line_prints_nothing_that_acts(tmp_path: Path, words: tuple[str, ...]) -> None:
    with hostile(tmp_path) as child:
        target = (str(child.pid),) if words[0] == "watch" else ()
        made = taskscope(words[0], *target, *words[1:])
    assert made.returncode == 0, made.stderr
    assert [line for line in made.stdout.split("\n") if acts(line)] == []
    assert str(child.pid) in made.stdout


async def test_the_app_draws_them_all_as_text(tmp_path: Path) -> None:
    with hostile(tmp_path) as child:
        async with Terminal([sys.executable, "-m", "taskscope", "attach", str(child.pid)]) as app:
            await app.until("pwned")
            for view in "2345t1":
                app.press(view)
                await app.quiet(0.15)
            for row in range(5):
                app.press("j" * row + "\r")  # a site,
                await app.quiet(0.15)
                app.press("\t\t\r")  # perhaps one of its tasks,
                await app.quiet(0.15)
                app.press("\x1b")
                await app.quiet(0.15)
                app.press("1gg")
            app.press("q")
            assert await app.ended() == 0, app.text[-3000:]
            output = bytes(app.output)
    for bad in b"\x1b]0;", b"\x1b]52;", b"\x9b2J", b"\x1bPq", "\u202e".encode(), "\u200b".encode():
        assert bad not in output
    assert "Traceback" not in app.text
    assert "MarkupError" not in app.text
