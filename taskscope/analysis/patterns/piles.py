"""The finding on a pile, whatever is piled up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.analysis.piles import explain
from taskscope.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.analysis.piles import Grown
    from taskscope.analysis.resources import Climb
    from taskscope.model import Cause, Frame, Projection
    from taskscope.model.vocabulary import FindingKind, Known


def pile_finding(
    kind: FindingKind,
    grown: Grown,
    site: Frame,
    name: str,
    count: int,
    text: str,
    evidence: dict[str, Any],
    cause: Cause,
    *,
    known: Known = "exact",
    projection: Projection | None = None,
    since_estimated: bool = False,
    share: float = 1.0,
) -> Finding:
    """``count`` things called ``name``, made at ``site``.  ``share``: of one in what the pile counts."""
    verdict, reading = grown.verdict, grown.reading
    return Finding(
        level="leak" if grown.level == "leak" else "suspect",
        kind=kind,
        id=0,
        site=site,
        user_site=site if site.origin == "user" else None,
        coroutine=name,
        live=count,
        rate_per_min=round(share * verdict.rate, 2),
        since=grown.since.since,
        since_at_least=grown.since.at_least,
        since_estimated=since_estimated,
        text=text,
        evidence={
            "why": verdict.why,
            "rate_low": round(share * verdict.low, 2),
            "rate_high": round(share * verdict.high, 2),
            "gained": round(share * reading.gained),
            "watched_seconds": round(reading.window, 1),
            **evidence,
        },
        cause=cause,
        known=known,
        projection=projection,
        until_told=verdict.until if grown.level == "suspect" else None,
    )


def explained(piles: Sequence[Grown], climbs: Iterable[Climb]) -> Projection | None:
    """The forecast of a climb that the piles explain."""
    return next((each.projection for each in climbs if explain(piles, each)), None)
