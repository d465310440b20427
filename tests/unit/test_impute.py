"""The line that starts a coroutine is found in the source, whatever starts it."""

from __future__ import annotations

import textwrap

import pytest

from taskscope import model
from taskscope.sources.impute import impute

FILE = "/app/service.py"


def imputed(source: str, coroutine: str, *more: str) -> model.Site | None:
    defined = model.Frame(FILE, 1, coroutine)
    site = model.Site(7, "task", defined, defined, coroutine, "unknown")
    sources = {FILE: textwrap.dedent(source)}
    sources |= {f"/app/other{index}.py": textwrap.dedent(text) for index, text in enumerate(more)}
    return impute(site, sources)


@pytest.mark.parametrize(
    "call",
    [
        "asyncio.create_task(work(1))",
        "asyncio.create_task(work(1), name='x')",
        "task = loop.create_task(work())",
        "tasks.add(asyncio.ensure_future(work()))",
        "await asyncio.gather(other(), work(), more())",
        "await asyncio.gather(*(work(i) for i in range(3)))",
        "await asyncio.wait_for(work(), 3)",
        "group.create_task(coro=work())",
        "nursery.start_soon(work, 1)",
        "spawn(work())",
        "self.background.launch('name', work())",
        "await asyncio.wait([asyncio.create_task(other()), asyncio.create_task(work())])",
        "coro = work(); asyncio.create_task(coro)",
    ],
)
def test_calls_that_start_it(call: str) -> None:
    site = imputed(f"async def work(n=0): ...\nasync def main():\n    x = 1\n    {call}\n", "work")
    assert site is not None
    assert (site.known, site.frame) == ("imputed", model.Frame(FILE, 4, "main"))
    assert site.candidates == (site.frame,)
    assert site.id == 7


@pytest.mark.parametrize("call", ["await work()", "work", "print(work)", "asyncio.create_task(works())"])
def test_what_does_not_start_it(call: str) -> None:
    assert imputed(f"async def main():\n    {call}\n", "work") is None


def test_a_method_of_the_right_class() -> None:
    source = """
        class A:
            def go(self):
                asyncio.create_task(self.run())
        class B:
            def go(self):
                asyncio.create_task(self.run())
    """
    site = imputed(source, "B.run")
    assert site is not None
    assert [(frame.line, frame.function) for frame in site.candidates] == [(7, "B.go")]


def test_several_lines_are_all_candidates() -> None:
    source = """
        def one():
            spawn(work())
        def two():
            asyncio.create_task(work())
    """
    site = imputed(source, "work", "asyncio.create_task(work())")
    assert site is not None
    assert [frame.function for frame in site.candidates] == ["two", "<module>", "one"]


def test_source_that_cannot_be_parsed_is_passed_over() -> None:
    site = imputed("def broken(: work", "work", "asyncio.run(work())")
    assert site is not None
    assert site.frame.file == "/app/other0.py"
