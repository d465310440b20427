"""A page as a list of blocks, which HTML and Markdown are written from."""

from __future__ import annotations

from taskscope.values import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """``level`` 1 is the title.  ``badge``: a word in front, like LEAK."""

    level: int
    text: str
    badge: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """``lead``: a word or two that say what it is about."""

    text: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of source, the first of which has the number ``first``; ``marked`` is the guilty one."""

    title: str
    first: int
    lines: tuple[str, ...]
    marked: int


@dataclass(frozen=True, slots=True)
class Table:
    """The first ``texts`` columns hold text, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over time: ``ends`` are spelt times, ``highest`` the spelt maximum, ``last`` the last value."""

    title: str
    times: tuple[float, ...]
    values: tuple[float | None, ...]
    ends: tuple[str, str]
    highest: str
    last: str


Block = Heading | Paragraph | Items | Code | Table | Chart
