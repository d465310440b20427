"""What a recording knew at one moment: its lines, folded."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.checked import unpack, unpack_all
from taskscope.model import History, Sample, SiteHistory, requests
from taskscope.model.recording import Answer, Found, Start
from taskscope.model.series import LONGEST, ProcessSeries, Series
from taskscope.model.state import TargetState

if TYPE_CHECKING:
    from taskscope.model import Finding, Hello
    from taskscope.model.requests import Request
    from taskscope.model.state import Change

SITE_TIERS = ((620.0, 1.0), (7200.0, 30.0), (LONGEST, 600.0))
"""The past of a site: 10 minutes by the second, 2 hours, 48 hours."""

MAX_SITES = 1_000
"""Sites whose past is kept, 37 kB each at most."""

MAX_ANSWERS = 2_000


class Moment:
    """Feed it the lines of a recording up to the moment; they are checked here."""

    def __init__(self) -> None:
        self.state = TargetState()
        self.findings: tuple[Finding, ...] = ()
        self.answers: dict[Request[Any], Answer] = {}
        self.process = ProcessSeries()
        self.sites: dict[int, Series] = {}

    @property
    def hello(self) -> Hello | None:
        return self.state.hello

    def feed(self, kind: str, value: Any) -> Sample | None:
        """Takes a line; returns the sample, if it is one.  Raises WireError; ignores unknown kinds."""
        if kind == "sample":
            return self._sample(unpack(Sample, value))
        if kind == "start":
            self._begin(unpack(Start, value).hello)
        elif kind == "findings":
            self.findings = unpack(Found, value).findings
        elif kind == "history":
            self.process.take(unpack(History, value))
        elif kind == "site_history":
            for each in unpack_all(SiteHistory, value):
                self._recall(each)
        elif kind == "answer":
            self._answer(value)
        return None

    def _begin(self, hello: Hello) -> None:
        if not self.state.begin(hello):
            self.findings = ()
            self.answers.clear()
            self.process = ProcessSeries()
            self.sites.clear()

    def _sample(self, sample: Sample) -> Sample:
        if self.hello is None:
            raise wire.WireError("a sample before any start")
        self._follow(self.state.apply(sample), sample.monotonic)
        self.process.add(sample)
        return sample

    def _follow(self, change: Change, now: float) -> None:
        for state in change.counted:
            series = self._series(state.site.id)
            if series is not None:
                counts = state.counts.counts
                series.append(now, (counts.live, counts.born, counts.ended))
        for id in change.gone:
            self.sites.pop(id, None)

    def _series(self, site: int) -> Series | None:
        if site not in self.sites and len(self.sites) < MAX_SITES:
            self.sites[site] = Series(3, SITE_TIERS)
        return self.sites.get(site)

    def _recall(self, past: SiteHistory) -> None:
        series = self._series(past.site)
        if series is not None:
            series.load(past.times, (past.live, past.born, past.ended))

    def _answer(self, value: Any) -> None:
        """Keeps an answer; its value is checked when somebody asks for it."""
        match value:
            case {"monotonic": float(at), "method": str(method), "params": dict(params), "value": answer}:
                kind = requests.METHODS.get(method)
            case _:
                raise wire.WireError("an answer does not say to what")
        if kind is None:
            return
        try:
            question = requests.read(kind, params)
        except requests.BadParamsError as error:
            raise wire.WireError(str(error)) from None
        if len(self.answers) < MAX_ANSWERS or question in self.answers:
            self.answers[question] = Answer(at, method, params, answer)

    def remember(self, past: Moment) -> None:
        """Takes over what ``past`` knows of the same agent's time before the first sample here."""
        sample = self.state.sample
        if sample is None or self.hello is None or past.hello is None:
            return
        if self.hello.agent_since != past.hello.agent_since:
            return
        _load(self.process, past.process, sample.monotonic)
        for id, series in past.sites.items():
            if id in self.state.sites and (own := self._series(id)) is not None:
                _load(own, series, sample.monotonic)

    def history(self, seconds: float) -> History:
        """The process over the last seconds."""
        return self.process.read(self.state.now - seconds)

    def site_history(self, site: int, seconds: float) -> SiteHistory:
        """One site, from the value in force back then on."""
        series = self.sites.get(site)
        if series is None:
            return SiteHistory(site, (), (), (), ())
        first = max(0, bisect_right(series.times, self.state.now - seconds) - 1)
        columns = (tuple(map(int, column[first:])) for column in series.columns)
        return SiteHistory(site, tuple(series.times[first:]), *columns)


def _load(series: Series, past: Series, before: float) -> None:
    """Puts the points of ``past`` before that time in front of ours."""
    until = bisect_right(past.times, before)
    times = past.times[:until]
    if times and (not series.times or times[0] < series.times[0]):
        first = bisect_right(times, series.times[0] - 0.001) if series.times else until
        series.load(times[:first], [column[:first] for column in past.columns])
