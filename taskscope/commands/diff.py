"""``taskscope diff``: compares two snapshots by creation site: what grew, came and went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.analysis.diff import Diff, SiteChange
    from taskscope.model import Sample

MAX_SITES = 50


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Compares two snapshots, or the ends of recordings, by creation site: what grew, came and went.  "
        "Exits with status 1 if a site has more live tasks or threads in B than in A."
    )
    parser.add_argument("a", metavar="A", help="the earlier snapshot")
    parser.add_argument("b", metavar="B", help="the later snapshot")
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of a table")


def main(options: Namespace) -> int:
    """Compares the snapshots and prints the changes."""
    import asyncio

    from taskscope.analysis.diff import compare

    before, after = asyncio.run(_read(options.a, options.b))
    found = compare(before, after)
    if options.json:
        import json

        print(json.dumps(_packed(found), indent=2))
    else:
        print_changes(found)
    return 1 if found.grew else 0


async def _read(*paths: str) -> list[Sample]:
    from taskscope.sources.resolve import saved

    found = []
    for path in paths:
        source = saved(path)
        await source.open()
        found.append(await anext(source.samples()))
        await source.close()
    return found


def _packed(found: Diff) -> dict[str, Any]:
    from taskscope import wire

    return {
        "seconds": found.seconds,
        "totals": {each.name: {"before": each.before, "after": each.after} for each in found.totals},
        "sites": [
            {
                "state": change.state,
                "kind": change.site.kind,
                "site": wire.pack(change.site.frame),
                "user_site": wire.pack(change.site.user_frame),
                "coroutine": change.site.coroutine,
                "before": change.before.live,
                "after": change.after.live,
                "change": change.delta,
            }
            for change in found.sites
        ],
    }


def print_changes(found: Diff) -> None:
    """Prints the totals that changed and a table of the sites that changed."""
    from taskscope import text as fmt

    print(f"{fmt.age(abs(found.seconds))} {'later' if found.seconds >= 0 else 'earlier: B is older than A'}")
    for each in found.totals:
        if each.before is not None and each.after is not None and each.before != each.after:
            shown = fmt.bytes if each.name == "rss" else fmt.count
            print(f"{each.name}: {shown(each.before)} → {shown(each.after)}")
    changed = [change for change in found.sites if change.delta]
    if not changed:
        print("No creation site changed its number of live tasks.")
        return
    print(f"\n{'STATE':<7}{'BEFORE':>10}{'AFTER':>10}{'CHANGE':>10}  SITE")
    for change in changed[:MAX_SITES]:
        print(_line(change))
    if len(changed) > MAX_SITES:
        print(f"({MAX_SITES} of {len(changed):,} changed sites)")


def _line(change: SiteChange) -> str:
    from taskscope import text as fmt

    site = change.site
    where = f"{fmt.frame(site.user_frame or site.frame)}  {site.coroutine}"
    return f"{change.state:<7}{change.before.live:>10,}{change.after.live:>10,}{change.delta:>+10,}  {where}"
