"""A finding in sentences: verdict, cause, evidence, what grows with it, and when a limit is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from taskscope import text as fmt
from taskscope.model import SOONEST
from taskscope.tui import current_findings as found
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from textual.app import ComposeResult

    from taskscope.model import Finding
    from taskscope.tui.context import Context
    from taskscope.tui.theme import Palette


class EvidencePanel(VerticalScroll):
    """The evidence for one finding; scrolls if it does not fit."""

    DEFAULT_CSS = "EvidencePanel { padding: 0 1; scrollbar-size-vertical: 1; }"

    def __init__(self, context: Context, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.context = context
        self._finding: Finding | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def show(self, finding: Finding | None) -> None:
        """Shows ``finding``; None clears the panel."""
        if finding != self._finding:
            self._finding = finding
            colours = palette(self.app.theme_variables)
            self.query_one(Static).update(evidence(finding, self.context, colours) if finding else "")


def evidence(finding: Finding, context: Context, colours: Palette) -> RenderableType:
    """The whole text; its first line is the summary."""
    since = f"; since {fmt.since(finding, context.store.sample)}"
    head = Text.assemble(found.badge(finding, colours), "  ", (finding.text + since, colours.text))
    lines: list[RenderableType] = [head, *_bullets(fmt.asides(finding), colours)]
    cause = finding.cause
    if cause is not None:
        lines.append(Text(f"Why: {cause.text}" if cause.text else f"Why: {cause.pattern}", colours.strong))
        lines += [Text(each, colours.strong) for each in fmt.proofs(cause)]
        lines += _bullets(cause.evidence, colours)
    lines += _bullets(fmt.moves(finding), colours)
    if finding.projection is not None:
        lines.append(Text(fmt.forecast(finding.projection), colours.warning))
    if finding.until_told:
        lines.append(Text(f"Verdict in {fmt.age(max(SOONEST, finding.until_told))}.", colours.warning))
    if cause is not None and cause.explanation:
        lines.append(Text(cause.explanation, colours.dim))
    return Group(*lines)


def _bullets(sentences: Iterable[str], colours: Palette) -> Iterator[RenderableType]:
    """Each with a hanging indent."""
    for each in sentences:
        line = Table.grid(Column(width=4), Column())
        line.add_row(Text("  · ", colours.text), Text(each, colours.text))
        yield line
