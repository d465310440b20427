"""A diff as text, JSON or Markdown, and the words in which it says how a site was found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import text as fmt
from taskscope import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.model.changes import Change, Diff, Side, SiteChange

MAX_SITES = 50


def seen(side: Side) -> str:
    """What a side is: ``orders, pid 4121 on trading-1, 14:02:11``."""
    process = side.process
    at = fmt.moment(side.sample.wall)
    return at if process is None else f"{process.name}, pid {process.pid} on {process.host}, {at}"


def matched(change: SiteChange) -> str:
    """How the site was found again, if its line is another now; else empty."""
    if change.was is None or change.matched == "line":
        return ""
    was = change.was.frame
    if change.matched == "path":
        return f"was {was.file}:{was.line}"
    return f"{'line edited' if change.matched == 'edited' else 'moved'}, was line {was.line}"


def verdict(change: SiteChange) -> str:
    """The findings on both sides, if there is any: ``LEAK before``."""
    before, after = change.level_before, change.level_after
    if before == after:
        return before.upper() if before and before != "info" else ""
    told = [(before, "before"), (after, "now")]
    return ", ".join(f"{level.upper()} {when}" for level, when in told if level and level != "info")


def packed(found: Diff, before: Side, after: Side) -> dict[str, Any]:
    """The JSON object of ``diff --json``."""
    return {
        "seconds": found.seconds,
        "before": _packed_side(before),
        "after": _packed_side(after),
        "totals": {each.name: {"before": each.before, "after": each.after} for each in found.totals},
        "sites": [_packed_site(change) for change in found.sites],
    }


def _packed_side(side: Side) -> dict[str, Any]:
    process = side.process
    who = {} if process is None else {"name": process.name, "pid": process.pid, "host": process.host}
    return {**who, "wall": side.sample.wall}


def _packed_site(change: SiteChange) -> dict[str, Any]:
    return {
        "state": change.state,
        "kind": change.site.kind,
        "site": wire.pack(change.site.frame),
        "user_site": wire.pack(change.site.user_frame),
        "coroutine": change.site.coroutine,
        "before": change.before.live,
        "after": change.after.live,
        "change": change.delta,
        "matched": change.matched if change.was is not None else None,
        "was": wire.pack(change.was.frame) if change.was is not None else None,
        "level_before": change.level_before,
        "level_after": change.level_after,
    }


def text(found: Diff, before: Side | None = None, after: Side | None = None) -> Iterator[str]:
    """Lines: the two sides, the totals that changed, and a table of the sites that changed."""
    if before is not None and after is not None:
        yield f"before  {seen(before)}"
        yield f"after   {seen(after)}"
    yield _apart(found)
    yield from (f"{each.name}: {_spelled(each)}" for each in found.totals if _changed(each))
    changes = _worth(found)
    if not changes:
        yield NOTHING
        return
    yield f"\n{'STATE':<7}{'BEFORE':>10}{'AFTER':>10}{'CHANGE':>10}  SITE"
    for change in changes[:MAX_SITES]:
        notes = "; ".join(filter(None, (verdict(change), matched(change))))
        counts = f"{change.state:<7}{change.before.live:>10,}{change.after.live:>10,}{change.delta:>+10,}"
        yield f"{counts}  {_where(change)}  {change.site.coroutine}{f'  ({notes})' if notes else ''}"
    if len(changes) > MAX_SITES:
        yield f"({MAX_SITES} of {len(changes):,} changed sites)"


NOTHING = "No creation site changed its number of live tasks."


def markdown(found: Diff, before: Side, after: Side) -> Iterator[str]:
    """Lines of the same, for a ticket."""
    yield "# Changes by creation site\n"
    yield f"- before: {_cell(seen(before))}"
    yield f"- after: {_cell(seen(after))}"
    yield f"- {_apart(found)}"
    yield from (f"- {each.name}: {_spelled(each)}" for each in found.totals if _changed(each))
    changes = _worth(found)
    if not changes:
        yield f"\n{NOTHING}"
        return
    yield "\n| state | before | after | change | site | coroutine | note |"
    yield "|---|---:|---:|---:|---|---|---|"
    for change in changes[:MAX_SITES]:
        notes = "; ".join(filter(None, (verdict(change), matched(change))))
        numbers = f"{change.before.live:,} | {change.after.live:,} | {change.delta:+,}"
        names = f"{_cell(_where(change))} | {_cell(change.site.coroutine)} | {_cell(notes)}"
        yield f"| {change.state} | {numbers} | {names} |"
    if len(changes) > MAX_SITES:
        yield f"\n{MAX_SITES} of {len(changes):,} changed sites."


def _cell(text: str) -> str:
    """Text that no character of ends its cell, or means anything to a renderer."""
    return "".join(f"\\{each}" if each in "\\|*_`<>[]#" else each for each in text)


def _worth(found: Diff) -> list[SiteChange]:
    return [change for change in found.sites if change.delta or change.turned]


def _apart(found: Diff) -> str:
    late = "later" if found.seconds >= 0 else "earlier: B is older than A"
    return f"{fmt.age(abs(found.seconds))} {late}"


def _changed(each: Change) -> bool:
    return each.before is not None and each.after is not None and each.before != each.after


def _spelled(each: Change) -> str:
    shown = fmt.bytes if each.name == "rss" else fmt.count
    return f"{shown(each.before)} → {shown(each.after)}"


def _where(change: SiteChange) -> str:
    return fmt.frame(change.site.user_frame or change.site.frame)
