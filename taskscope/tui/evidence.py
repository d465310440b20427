"""Why something is a finding, in sentences: verdict, cause, evidence, what it takes along, when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from taskscope.tui import findings as found
from taskscope.tui import format as fmt
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from taskscope.model import Finding, Projection
    from taskscope.tui.context import Context
    from taskscope.tui.theme import Palette


class EvidencePanel(VerticalScroll):
    """The evidence for one finding; scrolls where there is little room."""

    DEFAULT_CSS = "EvidencePanel { padding: 0 1; scrollbar-size-vertical: 1; }"

    def __init__(self, context: Context, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.context = context
        self._finding: Finding | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def show(self, finding: Finding | None) -> None:
        """None: there is none (any more)."""
        if finding != self._finding:
            self._finding = finding
            text = evidence(finding, self.context, palette(self.app.theme_variables)) if finding else Text()
            self.query_one(Static).update(text)


def evidence(finding: Finding, context: Context, colours: Palette) -> Text:
    """The whole of it; what comes first is what one line of room should show."""
    since = f"; since {found.since(finding, context.store.sample)}"
    head = Text.assemble(found.badge(finding, colours), "  ", (finding.text + since, colours.text))
    lines = [head, *(Text(f"  · {each}", colours.text) for each in found.lines_of(finding))]
    cause = finding.cause
    if cause is not None:
        lines.append(Text(f"Why: {cause.text}" if cause.text else f"Why: {cause.pattern}", colours.strong))
        lines += [Text(f"  · {each}", colours.text) for each in cause.evidence]
    lines += [Text(f"  · {each}", colours.text) for each in moves(finding)]
    if finding.projection is not None:
        lines.append(Text(projected(finding.projection), colours.warning))
    if finding.until_told:
        lines.append(Text(f"Verdict in {fmt.age(finding.until_told)}.", colours.warning))
    if cause is not None and cause.explanation:
        lines.append(Text(cause.explanation, colours.dim))
    return Text("\n").join(lines)


def moves(finding: Finding) -> list[str]:
    """What of the process grows with the live count of this site."""
    nouns = {"fds": "descriptor", "threads": "thread"}
    told = []
    for resource, numbers in dict(finding.evidence.get("moves", {})).items():
        per, thing = float(numbers["each"]), "thread" if finding.kind == "thread" else "task"
        many = "" if per == 1 else "s"
        amount = fmt.bytes(per) if resource == "rss" else f"{per:.2g} {nouns.get(resource, resource)}{many}"
        name = found.RESOURCES[resource]
        verb = "grows" if resource == "rss" else "grow"
        told.append(f"{name} {verb} with it, about {amount} per {thing}")
    return told


def projected(projection: Projection) -> str:
    """When the limit is met, and between when and when that may be."""
    spell = fmt.bytes if projection.resource == "rss" else fmt.count
    latest = fmt.age(projection.latest) if projection.latest is not None else "never"
    by = f" ({projection.limit_by})" if projection.limit_by else ""
    return (
        f"{found.ahead(projection).capitalize()} (between {fmt.age(projection.earliest)} and {latest}): "
        f"{spell(projection.now)} of {spell(projection.limit)}{by}, +{spell(projection.rate_per_min)}/min."
    )
