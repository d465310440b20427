"""Does a count grow, how fast, and does it keep its gains?

Everything is read from the *kept* count: at each moment, the minimum from then on.  Bursts that drain,
churn and noise leave it flat; a leak raises it.
"""

from __future__ import annotations

import math
from itertools import accumulate, combinations, pairwise
from statistics import mean, median, stdev
from typing import TYPE_CHECKING

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.track import Bin

MAX_POINTS = 60
"""Points per slope: 1,770 pairs, about 0.5 ms; more points are thinned evenly."""

EARLY = 1.8
"""Standard deviations before the middle from which gains count as early: true of 1 steady leak in 28."""

FEWEST, LONGER = 8, 2.3
"""Fewest gaps between gains that can show a trend, and its standard deviations: 1 steady leak in 93."""

BURST, BULK = 4, 0.2
"""A start-up gains at least this many times faster than what follows, and this share of the total."""

REGULAR = 20
"""Fewest bins that show how regularly a count changes."""

_Z = 1.96  # two-sided 95 %


@dataclass(frozen=True, slots=True)
class Slope:
    """Change per minute, with its 95 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What a series of counts did between its first bin and ``now``.

    ``gained``: rise of the kept count since the start; ``late`` in the last two thirds, ``latest`` in the
    last third.  ``back``: the deepest fall after the first third.  ``noise``: the gain that turnover alone
    can show.  ``rises``: moments at which the kept count rose; ``gap`` the median time between them,
    ``longest`` the longest, ``since`` the first, ``last`` the latest.  ``pace``: log-likelihood ratio of
    ends that grow with the live count, so that it will level off, to ends that do not.  ``load``: share of
    the growth explained by more births.  ``slows``: gains shrink beyond chance.  ``steps``: it grows in a
    few steps rather than continuously.
    """

    begun: float
    now: float
    start: int
    live: int
    slope: Slope
    gained: int
    late: int
    latest: int
    back: int
    noise: float
    rises: int
    gap: float
    longest: float
    since: float
    last: float
    born: int
    ended: int
    pace: float
    load: float
    slows: bool
    steps: bool

    @property
    def window(self) -> float:
        return self.now - self.begun


def slope(times: Sequence[float], values: Sequence[float]) -> Slope:
    """The Theil–Sen slope per minute: the median over all pairs, robust to 29 % outliers."""
    count = len(times)
    if count > MAX_POINTS:
        picks = [round(i * (count - 1) / (MAX_POINTS - 1)) for i in range(MAX_POINTS)]
        times, values = [times[i] for i in picks], [values[i] for i in picks]
        count = MAX_POINTS
    points = list(zip(times, values, strict=True))
    slopes = [
        (value - before) / (time - earlier) * 60
        for (earlier, before), (time, value) in combinations(points, 2)
        if time > earlier
    ]
    slopes.sort()
    if not slopes:
        return Slope(0.0, 0.0, 0.0)
    spread = _Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18) / 2
    middle = len(slopes) / 2
    low = slopes[max(0, math.floor(middle - spread))]
    high = slopes[min(len(slopes) - 1, math.ceil(middle + spread))]
    return Slope(median(slopes), low, high)


def is_rising(rate: float, value: float) -> bool:
    """Whether a change of ``rate`` per minute is worth a word: more than half a percent."""
    return rate >= max(0.5, abs(value) * 0.005)


def percent(values: Sequence[float]) -> float | None:
    """Growth in percent, from the mean of the first tenth to that of the last.  None if it starts at 0."""
    tenth = max(1, len(values) // 10)
    first, last = sum(values[:tenth]) / tenth, sum(values[-tenth:]) / tenth
    return (last - first) / first * 100 if first else None


def kept(values: Sequence[int]) -> list[int]:
    """At each moment, the minimum from then on."""
    return list(accumulate(reversed(values), min))[::-1]


def measure(bins: Sequence[Bin], now: float) -> Growth | None:
    """Reads the series from the end of its start-up; None if it has fewer than 4 bins."""
    if len(bins) < 4:
        return None
    bins = settled(bins)
    floor = kept([bin.low for bin in bins])
    rises = gains(bins, floor)
    third, two = len(bins) // 3, 2 * len(bins) // 3
    born, ended = bins[-1].born - bins[0].born, max(0, bins[-1].ended - bins[0].ended)
    times = [time for time, _ in rises]
    gaps = [after - before for before, after in pairwise(times)]
    return Growth(
        begun=bins[0].time,
        now=now,
        start=floor[0],
        live=bins[-1].live,
        slope=_rate(bins, floor, rises) if rises else Slope(0.0, 0.0, 0.0),
        gained=floor[-1] - floor[0],
        late=floor[-1] - floor[third],
        latest=floor[-1] - floor[two],
        back=_back(bins[third:]),
        noise=_noise(bins, min(ended, floor[0])) if ended else 0.0,
        rises=len(rises),
        gap=median(gaps) if gaps else 0.0,
        longest=max(gaps, default=0.0),
        since=times[0] if times else now,
        last=times[-1] if times else bins[0].time,
        born=born,
        ended=ended,
        pace=_pace(bins),
        load=_load(bins),
        steps=_in_steps(bins, rises),
        slows=_slows(rises, bins[0].time, now),
    )


def settled(bins: Sequence[Bin]) -> Sequence[Bin]:
    """The series from the end of its start-up."""
    return bins[start_up(kept([bin.low for bin in bins])) :]


def start_up(floor: Sequence[float]) -> int:
    """The bin in which start-up ended: the best split between a fast beginning and slower growth.

    Without it, a burst followed by a trickle would read as growth that has stopped.  0 if the first third
    has no such beginning, or nothing follows it.
    """
    span, total = len(floor) - 1, floor[-1] - floor[0]
    if not total:
        return 0

    def likelihood(cut: int) -> float:
        early = floor[cut] - floor[0]
        parts = ((early, cut), (total - early, span - cut))
        return sum(gain * math.log(gain / bins) for gain, bins in parts if gain)

    cut = max(range(1, span // 3 + 1), key=likelihood, default=0)
    early = floor[cut] - floor[0]
    late = total - early
    bulky = early >= BULK * total and early * (span - cut) >= BURST * late * cut
    return cut if late and bulky else 0


def _back(bins: Sequence[Bin]) -> int:
    """The deepest fall from the end of one bin to the minimum of all later ones."""
    ahead = kept([bin.low for bin in bins])[1:]
    return max((bin.live - least for bin, least in zip(bins, ahead, strict=False)), default=0)


def _noise(bins: Sequence[Bin], turnover: int) -> float:
    """Four standard deviations of the gain that turnover alone can show.

    As if births and ends came at random; where they come more regularly, as the count itself sways.
    """
    steps = [after.live - before.live for before, after in pairwise(bins)]
    sways = 4 * stdev(steps) * math.sqrt(len(steps)) if len(steps) >= REGULAR else math.inf
    return min(4 * math.sqrt(2 * turnover + 0.5), sways)


def gains(bins: Sequence[Bin], floor: Sequence[int]) -> list[tuple[float, int]]:
    """Moments at which the kept count rose, and by how much."""
    pairs = zip(bins[1:], pairwise(floor), strict=True)
    return [(bin.time, after - before) for bin, (before, after) in pairs if after > before]


def _rate(bins: Sequence[Bin], floor: Sequence[int], rises: Sequence[tuple[float, int]]) -> Slope:
    """The slope since growth began; between steps if few, so the last is not counted twice."""
    if 2 <= len(rises) <= len(bins) // 3:
        span = rises[-1][0] - rises[0][0]
        rate = sum(gain for _, gain in rises[1:]) / span * 60
        doubt = _Z * max(_variation(rises), 0.1) / math.sqrt(len(rises) - 1)
        return Slope(rate, max(0.0, rate * (1 - doubt)), rate * (1 + doubt))
    begun = rises[0][0] - (bins[1].time - bins[0].time) if len(rises) > 1 else bins[0].time
    part = [(bin.time, least) for bin, least in zip(bins, floor, strict=True) if bin.time >= begun]
    return slope([time for time, _ in part], [value for _, value in part])


def _in_steps(bins: Sequence[Bin], rises: Sequence[tuple[float, int]]) -> bool:
    gained = sum(gain for _, gain in rises)
    return 2 <= len(rises) <= len(bins) // 3 and gained >= 2 * len(rises)


def _variation(rises: Sequence[tuple[float, int]]) -> float:
    """Coefficient of variation of the rates between rises; 0.5 if there are fewer than three."""
    rates = [gain / (time - before) for (before, _), (time, gain) in pairwise(rises)]
    if len(rates) < 3:
        return 0.5
    return stdev(rates) / mean(rates)


def _slows(rises: Sequence[tuple[float, int]], begun: float, now: float) -> bool:
    """Whether gains come early beyond chance, and still fall off in the last third.

    The mean time of steady gains is the middle of the series; that of a series that fills up is earlier.
    """
    begun = max(begun, rises[0][0]) if rises else begun
    total = sum(gain for _, gain in rises)
    span = now - begun
    if total < 2 or span <= 0:
        return False
    weight = total * total / sum(gain * gain for _, gain in rises)
    middle = sum((time - begun) / span * gain for time, gain in rises) / total

    def gained(lower: float, upper: float) -> int:
        return sum(gain for time, gain in rises if lower <= (time - begun) / span <= upper)

    early = (0.5 - middle) * math.sqrt(12 * weight)
    falls_off = early > EARLY and gained(2 / 3, 1) < 0.85 * gained(1 / 3, 2 / 3)
    return falls_off or _gaps_grow(rises)


def _gaps_grow(rises: Sequence[tuple[float, int]]) -> bool:
    """Whether ever more time goes by for each that is gained: a Mann–Kendall test, strongest on regular gaps.

    For each, as what is counted now and then seems to gain whenever one looks.
    """
    gaps = [(after - before) / gain for (before, _), (after, gain) in pairwise(rises)]
    count = len(gaps)
    third, two = count // 3, 2 * count // 3
    if not FEWEST <= count <= MAX_POINTS or mean(gaps[two:]) < 1.1 * mean(gaps[third:two]):
        return False
    excess = sum((gaps[j] > gaps[i]) - (gaps[j] < gaps[i]) for j in range(count) for i in range(j))
    return excess > LONGER * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)


def _pace(bins: Sequence[Bin]) -> float:
    """Log-likelihood ratio of ends in proportion to the live count to ends in proportion to births.

    Long-lived tasks that fill up (N connections with a mean lifetime) end faster the more there are, and
    settle; tasks that never end leave the rate of ends unchanged.  Counted from the first end: a backlog
    may grow before its oldest task is served.
    """
    begun = next((row for row, bin in enumerate(bins) if bin.ended > bins[0].ended), len(bins))
    bins = bins[max(0, begun - 1) :]
    ends = [max(0, after.ended - before.ended) for before, after in pairwise(bins)]
    births = [max(0, after.born - before.born) for before, after in pairwise(bins)]
    living = [float(before.live) for before in bins[:-1]]
    all_living = sum(living)
    if not sum(ends) or not sum(births) or not all_living:
        return 0.0
    smooth = _smooth(births)
    blur = 0.5  # half a task: an empty bin is unlikely, not impossible
    base = math.log((sum(smooth) + blur * len(ends)) / (all_living + blur * len(ends)))
    terms = zip(ends, living, smooth, strict=True)
    return sum(
        count * (base + math.log((alive + blur) / (born + blur))) for count, alive, born in terms if count
    )


def _smooth(values: Sequence[int]) -> list[float]:
    """Trailing mean over a tenth of the series, since tasks end some time after their birth."""
    reach = max(1, len(values) // 10)
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i - reach) : i + 1])]


def _load(bins: Sequence[Bin]) -> float:
    """Share of the growth explained by more births: 1 is all (daily load), 0 none."""
    half = len(bins) // 2
    earlier, later = bins[:half], bins[half:]
    births_before = earlier[-1].born - earlier[0].born
    births_after = later[-1].born - later[0].born
    live_before = sum(bin.live for bin in earlier) / len(earlier)
    live_after = sum(bin.live for bin in later) / len(later)
    turnover = bins[-1].ended - bins[0].ended
    if turnover < 3 * live_after or min(births_before, births_after, live_before) <= 0:
        return 0.0
    if live_after <= live_before:
        return 0.0
    return math.log(births_after / births_before) / math.log(live_after / live_before)
