"""The findings, less the dismissed ones, and their wording: badge, place, rate, cause, time left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from taskscope import text as fmt
from taskscope.analysis.growth import is_rising
from taskscope.analysis.patterns import PROCESS_PATTERN
from taskscope.analysis.patterns.limits import SOON
from taskscope.analysis.resources import NOISE
from taskscope.model import SOONEST, blocking
from taskscope.model.vocabulary import RESOURCES, rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Finding, Judged, Projection
    from taskscope.model.vocabulary import Reason, Resource
    from taskscope.tui.context import Context
    from taskscope.tui.dismissed import Dismissed
    from taskscope.tui.store import Store
    from taskscope.tui.theme import Palette

BADGES = {"hang": "HANG", "spin": "SPIN", "leak": "LEAK", "suspect": "SUSPECT", "info": "info"}
_NOTED: dict[Reason | None, tuple[str, str]] = {
    "long-lived": ("long-lived site", ""),
    "plateau": ("site", " stopped growing"),
    "retained": ("site", " holding ended tasks"),
    "lost": ("site", " with lost tasks"),
}
"""How the calm line counts notes, by why there is one: a noun, and what follows it."""
REVERSED = Style(reverse=True)


class Findings:
    """The newest verdicts, worst first."""

    def __init__(self) -> None:
        self.dismissed: Dismissed | None = None
        self.every: tuple[Finding, ...] = ()
        self.progress: Judged | None = None
        """How far the judgement has come; None: there has been none."""
        self.version = 0
        """Changes with every verdict and dismissal."""
        self._of_site: dict[int, Finding] = {}

    def take(self, findings: Sequence[Finding], progress: Judged | None) -> None:
        """Replaces the verdicts by newer ones."""
        self.progress = progress
        self.every = tuple(findings)
        self._of_site = {finding.id: finding for finding in reversed(self.every) if finding.id}
        self.version += 1

    def forget(self) -> None:
        """Clears the verdicts: the target is another one."""
        self.take((), None)

    def toggle(self, finding: Finding) -> bool:
        """Dismisses a finding or restores it; returns whether it is dismissed now.  Raises DismissedError."""
        assert self.dismissed is not None
        now = self.dismissed.toggle(finding)
        self.version += 1
        return now

    def is_dismissed(self, finding: Finding) -> bool:
        return self.dismissed is not None and finding in self.dismissed

    @property
    def top(self) -> list[Finding]:
        """Hangs, leaks and suspects that are not dismissed, worst first."""
        return [each for each in self.every if each.level != "info" and not self.is_dismissed(each)]

    @property
    def notes(self) -> list[Finding]:
        """Findings that are worth knowing but no fault."""
        return [each for each in self.every if each.level == "info" and not self.is_dismissed(each)]

    @property
    def hidden(self) -> list[Finding]:
        """The dismissed findings."""
        return [each for each in self.every if self.is_dismissed(each)]

    def runs_out(self, resource: Resource) -> Projection | None:
        """When a resource runs out, if that is soon.  Dismissed findings count: they use it all the same."""
        ahead = [
            each.projection
            for each in self.every
            if each.level != "info" and each.projection is not None and each.projection.resource == resource
        ]
        first = min(ahead, key=lambda each: each.seconds, default=None)
        return first if first is not None and first.seconds <= SOON else None

    def of(self, sites: Sequence[int]) -> Finding | None:
        """The worst finding at one of these sites, dismissed or not."""
        if not self._of_site:
            return None
        found = [self._of_site[site] for site in sites if site in self._of_site]
        return min(found, key=self.every.index) if found else None

    def alarming(self, sites: Sequence[int]) -> Finding | None:
        """The worst finding at one of these sites, if it is neither a note nor dismissed."""
        finding = self.of(sites)
        if finding is None or finding.level == "info" or self.is_dismissed(finding):
            return None
        return finding


def key_of(finding: Finding) -> tuple[str, int, str, int]:
    """The identity of a finding across verdicts."""
    return finding.kind, finding.id, finding.site.file, finding.site.line


def style_of(finding: Finding, colours: Palette) -> Style:
    return {"info": colours.accent, "suspect": colours.warning}.get(finding.level, colours.alarm)


def badge(finding: Finding, colours: Palette) -> Text:
    """The level as a badge, readable without colour."""
    style = style_of(finding, colours)
    return Text(f" {BADGES[finding.level]} ", style + REVERSED if rank(finding.level) == 0 else style)


def cause(finding: Finding) -> str:
    """The cause in one line; without one, the time until a verdict."""
    if finding.cause is not None and (finding.cause.text or finding.cause.pattern):
        return finding.cause.text or finding.cause.pattern
    if finding.until_told:
        return f"verdict in {fmt.age(max(SOONEST, finding.until_told))}"
    return "" if finding.level != "info" else finding.text


def causes(finding: Finding) -> tuple[str, ...]:
    """The cause, then ever shorter forms; the last is its name."""
    known = finding.cause
    shorter = (*known.shorter, known.pattern) if known is not None else ()
    return tuple(dict.fromkeys(text for text in (cause(finding), *shorter) if text))


def calm(findings: Findings, context: Context) -> str:
    """The line shown while there is no leak or suspect."""
    progress, store, live = findings.progress, context.store, context.source.live
    if context.silence is not None and context.silence.from_outside:
        return "While nothing runs, nothing is found to leak"
    if progress is None:
        return "judging …" if store.sample else ""
    parts = []
    if climbs := climbing(findings):
        parts += [f"{each.text[0].upper()}{each.text[1:]}" for each in climbs]
        parts.append("no task or thread grows with it (f says where to look)")
    else:
        rising = [fmt.RESOURCE[name] for name in RESOURCES if _rises(store, name)]
        if progress.early:
            wait = f"Too early to judge; verdict in {fmt.age(max(SOONEST, progress.wait))}"
            parts.append(wait if live and progress.wait else fmt.early(progress))
        else:
            parts.append(f"{_nothing(store, rising)} found (watched {fmt.age(progress.seconds)})")
        parts += [f"{' and '.join(rising)} rising"] if rising else []
        if not progress.early and store.hello is not None and (left_out := fmt.left_out(store.hello)):
            parts.append(left_out[0].lower() + left_out[1:].removesuffix("."))
    held = blocking(findings.notes)
    parts += [fmt.blocked(held)] if held is not None else []
    flat = [each for each in findings.notes if each.why == "plateau"]
    told = flat if len(flat) == 1 else []  # in its own words: there is room
    parts += [each.text for each in told]
    notes = Counter(
        _counted_as(each)
        for each in findings.notes
        if each.kind != "growth" and each not in told and each is not held
    )
    parts += [fmt.plural(number, noun) + verb for (noun, verb), number in notes.most_common()]
    if hidden := len(findings.hidden):
        parts.append(f"{fmt.count(hidden)} dismissed")
    return "; ".join(parts)


def _nothing(store: Store, rising: Sequence[str]) -> str:
    hello = store.hello
    if hello is not None and not hello.counts_tasks:
        return "No growth of threads"
    what = "leak" if hello is None or hello.finds_hangs else "growth"
    return f"No {'task or thread ' if rising else ''}{what}"


def climbing(findings: Findings) -> list[Finding]:
    """Notes on resources that grow although no task does: they take the place of "no leak found"."""
    return [each for each in findings.notes if each.kind == "growth"]


def noteworthy(findings: Findings) -> bool:
    """Whether the line that is shown while there is no leak or suspect tells of something to look at."""
    return bool(climbing(findings) or blocking(findings.notes))


def _rises(store: Store, resource: Resource) -> bool:
    """Whether the header shows that it rises, and by more than noise."""
    slope, value = store.slope(resource), store.last(resource)
    return slope is not None and value is not None and slope > NOISE[resource] and is_rising(slope, value)


def _counted_as(note: Finding) -> tuple[str, str]:
    """The noun and the verb it is counted under."""
    pattern = PROCESS_PATTERN.get(note.cause.pattern) if note.cause is not None else None
    if pattern is not None:
        return pattern.noun, pattern.verb
    return _NOTED.get(note.why, ("note", ""))
