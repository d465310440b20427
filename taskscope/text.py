"""How numbers, times and places are written: one spelling for every output.

Unknown is ``–``.  Imputed places carry a ``~``.
"""

from __future__ import annotations

import re
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskscope.model import Cause, Finding, Frame, Hello, Judged, Projection, Sample, Site
    from taskscope.model.vocabulary import Known, Level, Resource, Unseen

UNKNOWN = "–"
IMPUTED = "~"
THREAD = "thr"
"""Marks sites that start threads."""
LEADS_TO = " → "
"""Between the user's own line and the library's."""

RESOURCE: dict[Resource, str] = {"fds": "descriptors", "rss": "memory", "threads": "threads"}

_BLOCKS = "▁▂▃▄▅▆▇█"
_UNITS = ("B", "kB", "MB", "GB", "TB")
_DAY = 86400.0

MOST_PIDS = 8
"""Processes named in a sentence."""

_DURATION = re.compile(r"(\d{1,9}(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def plural(number: int, noun: str) -> str:
    """``1 stall``, ``2,000 stalls``, ``3 processes``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def be(number: int, *, past: bool = False) -> str:
    """``is`` or ``are``, ``was`` or ``were``, to agree with ``number``."""
    singular, plural = ("was", "were") if past else ("is", "are")
    return singular if number == 1 else plural


_NAMES = ("aiomonitor", "taskscope")


def sentence(said: str) -> str:
    """``cannot read FILE`` as ``Cannot read FILE.``: an error as a message of its own."""
    first = said.partition(" ")[0]
    if first.isalpha() and first not in _NAMES:  # neither a path nor an address
        said = said[0].upper() + said[1:]
    return said if not said or said.endswith((".", "?", "!")) else f"{said}."


def seconds(value: float) -> str:
    """``64 s``, ``12 min``, ``3.5 h``, ``9 days``: a duration in running text."""
    if value < 120:
        return f"{value:,.0f} s"
    if value < 2 * _DAY:
        return f"{value / 60:,.0f} min" if value < 7200 else f"{value / 3600:,.1f} h"
    return f"{value / _DAY:,.0f} days"


def parsed_seconds(text: str) -> float | None:
    """Seconds from ``500ms``, ``30s``, ``10m`` or ``6h``; None if it is nothing like that."""
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _SECONDS[match[2]] or None if match else None


def count(value: float | None) -> str:
    """``30,412``."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """``30k``, ``1.5M``: for axes."""
    if value is None:
        return UNKNOWN
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def change(value: float | None) -> str:
    """``+6,000``, ``-12``, ``0``: a difference with its sign."""
    if value is None:
        return UNKNOWN
    rounded = round(value)
    return f"{rounded:+,d}" if rounded else "0"


def rate_per_min(value: float | None) -> str:
    """``+6,000``; one decimal below ten, since ``+0.4`` is growth and ``0`` is not."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 10:
        return f"{value:+,.0f}"
    text = f"{value:+.1f}"
    return "0" if text in ("+0.0", "-0.0") else text


def per_minute(rate: float) -> str:
    """``+6,000/min``: the rate in a sentence."""
    return f"{rate_per_min(rate)}/min"


def rate_per_second(value: float | None) -> str:
    """``310.2``."""
    return UNKNOWN if value is None else f"{value:,.1f}"


def age(seconds: float | None) -> str:
    """``0.1s``, ``42s``, ``4m58s``, ``2h14m``, ``3d04h``."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def moment(wall: float) -> str:
    """``2026-11-27 14:02:11``, here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))


def span(seconds: float) -> str:
    """``1 min``, ``10 min``, ``6 h``: the time span of a chart."""
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def bytes(value: float | None) -> str:
    """``118 MB`` (powers of 1,000, as disks and dashboards count)."""
    if value is None:
        return UNKNOWN
    for unit in _UNITS:
        if abs(value) < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.1f} {unit}" if abs(value) < 9.95 and unit != "B" else f"{value:,.0f} {unit}"


def percent(fraction: float | None) -> str:
    """``31 %`` for ``0.31``; one decimal below ten."""
    if fraction is None:
        return UNKNOWN
    value = fraction * 100
    return f"{value:.1f} %" if abs(value) < 9.95 else f"{value:,.0f} %"


def latency(seconds: float | None) -> str:
    """``1.9 ms``."""
    if seconds is None:
        return UNKNOWN
    milliseconds = seconds * 1000
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:,.0f} ms" if milliseconds < 9995 else f"{seconds:,.0f} s"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last ``width`` values as ``▁▂▃▄▅▆▇█``, scaled from 0 to the highest; blank where unknown."""
    shown = list(values)[-width:]
    top = max((value for value in shown if value is not None), default=0.0)
    cells = [" " if value is None else _block(value, top) for value in shown]
    return "".join(cells).rjust(width)


def _block(value: float, top: float) -> str:
    if top <= 0 or value <= 0:
        return _BLOCKS[0]
    return _BLOCKS[min(7, int(value / top * 8 - 1e-9))]


def frame(where: Frame | None) -> str:
    """``executor.py:231 record_failure``."""
    if where is None:
        return UNKNOWN
    return f"{PurePath(where.file).name}:{where.line} {where.function}" if where.file else where.function


def shortened(text: str, width: int) -> str:
    """``file:line Class.function`` in at most ``width`` cells; a caller goes first, then the classes."""
    from rich.cells import cell_len, set_cell_size  # not for those who write numbers only

    if cell_len(text) <= width:
        return text
    text = text.rpartition(LEADS_TO)[2]
    if cell_len(text) <= width:
        return text
    place, space, name = text.rpartition(" ")
    while "." in name:
        name = name.partition(".")[2]
        if cell_len(short := f"{place}{space}…{name}") <= width:
            return short
    text = f"{place}{space}{name}"
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


def site(where: Site) -> str:
    """The site's place, marked if it is a guess."""
    return f"{sign(where.known)}{frame(where.frame)}"


def sign(known: Known) -> str:
    """``~`` in front of a place that is a guess."""
    return "" if known in ("exact", "parked") else IMPUTED


def own_and_site(where: Site) -> str:
    """The site's place, after the user's own line where that is another."""
    own = where.user_frame
    return f"{frame(own)}{LEADS_TO}{site(where)}" if own is not None and own != where.frame else site(where)


def place(finding: Finding) -> str:
    """The innermost line of user code; a guess is marked."""
    thread = "thread " if finding.kind == "thread" else ""
    return f"{thread}{sign(finding.known)}{frame(finding.user_site or finding.site)}"


def blocked(held: Finding) -> str:
    """``the event loop is blocked, for 14 min now, by spin.py:4 parse``."""
    whose = f" of {held.processes[0]}" if held.of > 1 else ""
    return f"the event loop{whose} is blocked, for {seconds(held.blocks)} now, by {place(held)}"


_DOES = {"timer": "armed", "resource": "made", "spin": "queues itself"}
"""What happens at the line of a finding, by its kind."""


def does_at(finding: Finding) -> str:
    """What happens at the line of a finding: ``Started at``, ``Waits at``."""
    return sentence(f"{_does(finding)} at").removesuffix(".")


def _does(finding: Finding) -> str:
    if finding.kind == "wakeup" and finding.evidence.get("callback"):
        return "queued" if finding.evidence.get("queued_at") else "runs"
    if finding.known == "parked":
        return "waits"
    return _DOES.get(finding.kind) or ("started" if finding.id else "waits")


def asides(finding: Finding) -> list[str]:
    """Notes on the line itself: that it is in a library, behind a helper, a guess."""
    said = [among(finding)] if among(finding) else []
    if finding.user_site is not None and finding.user_site != finding.site:
        does = _does(finding)
        begun = "behind it" if finding.kind == "spin" else "called from"
        said.append(f"{does} at {frame(finding.site)}, {begun} {frame(finding.user_site)}")
    if finding.via is not None:
        said.append(f"through {frame(finding.via)}")
    if finding.known == "parked":
        said.append("they wait at that line; what creates them is not seen from outside")
    elif finding.known != "exact":
        timer = finding.kind == "timer"
        things = "threads" if finding.kind == "thread" else "tasks"
        why = (
            "a timer does not say which line armed it"
            if timer
            else f"these {things} are older than the agent"
        )
        said.append(f"the line is a guess: {why}")
    return said


def among(finding: Finding) -> str:
    """In how many processes of a group it is; which, if not in all; and in which it was until they ended."""
    here = [pid for pid in finding.processes if pid not in finding.ended]
    said = [_among(here, finding.of)] if here and finding.of > 1 else []
    if (number := len(finding.ended)) == 1:
        said.append(f"in {finding.ended[0]}, which has ended")
    elif number:
        said.append(f"in {number} processes that have ended: {pids(finding.ended)}")
    return "; ".join(said)


def _among(here: Sequence[int], every: int) -> str:
    number = len(here)
    if number == 1:
        return f"only in {here[0]}, of {every} processes"
    return f"in {number} of {every} processes" + (f": {pids(here)}" if number < every else "")


def pids(every: Sequence[int]) -> str:
    """The first of them."""
    return ", ".join(map(str, every[:MOST_PIDS])) + ", …" * (len(every) > MOST_PIDS)


def among_shortly(finding: Finding) -> tuple[str, ...]:
    """The same in ever fewer words."""
    said = among(finding)
    return (said, said.partition(", of")[0].partition(":")[0]) if said else ()


def proofs(cause: Cause) -> list[str]:
    """That nothing can wake them, and what keeps them: a sentence each."""
    held = cause.held[:1].upper() + cause.held[1:]
    return [each for each in (f"Proof: {cause.proof}" if cause.proof else "", held) if each]


def moves(finding: Finding) -> list[str]:
    """The resources that grow with this site's live count; threads with threads go without saying."""
    told = []
    thing = "thread" if finding.kind == "thread" else "task"
    for resource, numbers in dict(finding.evidence.get("moves", {})).items():
        if resource == "threads" and thing == "thread":
            continue
        per = f"{float(numbers['each']):.2g}"
        noun = RESOURCE[resource].removesuffix("s" if per == "1" else "")
        amount = bytes(float(numbers["each"])) if resource == "rss" else f"{per} {noun}"
        verb = "grows" if resource == "rss" else "grow"
        others = numbers.get("others", 0)
        beside = f" and {plural(others, 'other line')}" if others else ""
        of_all = " of all" if others else ""
        told.append(f"{RESOURCE[resource]} {verb} with it{beside}, about {amount} per {thing}{of_all}")
    return told


def runs_out(projection: Projection | None) -> str:
    """``descriptors run out in 40 min``."""
    if projection is None:
        return ""
    verb = "runs out" if projection.resource == "rss" else "run out"
    when = f"in {seconds(projection.seconds)}" if projection.seconds else "now"
    return f"{RESOURCE[projection.resource]} {verb} {when}"


def forecast(projection: Projection) -> str:
    """When the limit is reached, with the range of that estimate."""
    spell = bytes if projection.resource == "rss" else count
    earliest = seconds(projection.earliest)
    latest = seconds(projection.latest) if projection.latest is not None else "never"
    between = f" (between {earliest} and {latest})" if earliest != latest else ""
    by = f" ({projection.limit_by})" if projection.limit_by else ""
    return (
        f"{runs_out(projection).capitalize()}{between}: {spell(projection.now)} of "
        f"{spell(projection.limit)}{by}, +{spell(projection.rate_per_min)}/min."
    )


def since(finding: Finding, sample: Sample | None) -> str:
    """The wall-clock time it began, ``~`` if estimated, or ``before`` it; with the date if a day ago.

    ``before`` names the minute that follows: the one that runs then is not over, or may not even have begun
    when the process did.
    """
    if sample is None:
        return UNKNOWN
    ago = sample.monotonic - finding.since
    spelling = "%H:%M" if ago < _DAY else "%d %b %H:%M"
    began = sample.wall - ago + (60 if finding.since_at_least else 0)
    clock = time.strftime(spelling, time.localtime(began))
    if finding.since_estimated:
        clock = f"{IMPUTED}{clock}"
    return f"before {clock}" if finding.since_at_least else clock


def levels(found: Mapping[Level, int] | None) -> str:
    """How many findings of each level, worst first."""
    if found is None:
        return UNKNOWN
    return ", ".join(plural(number, level) for level, number in found.items()) or "none"


_UNSEEN: dict[Unseen, str] = {
    "trio": "runs trio: tasks of trio are not shown yet; threads are",
    "gevent": "runs gevent: greenlets are not shown; threads are",
    "asyncio": "runs asyncio: its tasks could not be found from outside; threads are shown",
}
_TRIO_FROM_OUTSIDE = "runs trio: its tasks cannot be seen from outside; threads are shown"


def unseen(hello: Hello) -> tuple[str, ...]:
    """What runs in it that is not shown, in sentences that begin with its name."""
    known = {**_UNSEEN, "trio": _TRIO_FROM_OUTSIDE} if hello.arrived == "outside" else _UNSEEN
    return tuple(f"{hello.process.name} {known[each]}" for each in hello.process.unseen)


def found_nothing(hello: Hello) -> str:
    """``no leak or hang found``, or less, where less was looked for."""
    if not hello.counts_tasks:
        return "tasks not seen"
    return "no leak or hang found" if hello.finds_hangs else "no growth found"


def left_out(hello: Hello) -> str:
    """What nobody looked for; empty if all was."""
    if hello.arrived == "counting":
        return "Hangs and causes are not looked for on a free-threaded build."
    return "" if hello.finds_hangs else "Only an agent finds what hangs, and causes."


def early(judged: Judged) -> str:
    """Why the absence of findings means nothing yet."""
    if not judged.seconds:
        return f"Too early to judge: seen in a single look, a verdict takes {age(judged.wait)} of watching"
    if judged.wait:
        takes = age(judged.seconds + judged.wait)
        return f"Too early to judge: watched for {age(judged.seconds)}, a verdict takes {takes}"
    grow = "1 place grows and has" if judged.growing == 1 else f"{judged.growing:,} places grow and have"
    return f"Too early to judge: {grow} no verdict yet"
