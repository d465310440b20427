"""Values from an agent or a file are checked once: types, sizes, finite numbers, matching columns."""

from __future__ import annotations

from typing import Any

import pytest

from taskscope import model, wire
from taskscope.analysis.track import LENGTH, Track
from taskscope.checked import MAX_FLOAT, unpack, unpack_all

FRAME = {"file": "f.py", "line": 1, "function": "g", "origin": "user"}
NAN, INF = float("nan"), float("inf")
SITE = {"id": 1, "kind": "task", "frame": FRAME, "user_frame": None, "coroutine": "c"}
PAST = {"site": 1, "times": [1.0, 2.0], "live": [1, 2], "born": [1, 2], "ended": [0, 0]}
GROUP = {"key": "k", "label": "l", "frame": None, "live": 1, "oldest": None, "sites": [1]}
FINDING = {
    "level": "leak",
    "kind": "task",
    "id": 1,
    "site": FRAME,
    "user_site": None,
    "coroutine": "c",
    "live": 1,
    "rate_per_min": 1.0,
    "since": 0.0,
    "text": "t",
    "evidence": {"moves": {"rss": {"each": 1, "correlation": 0.5}}},
}
LEVEL = "Finding.level is 'x', not one of hang, spin, leak, suspect, info"
MOVES = "Finding has malformed evidence of moves"
HUGE = "History.times[0] is a huge number, not a finite number"
DEEP: Any = 0
for _ in range(900):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("cls", "value", "said"),
    [
        (model.Frame, FRAME | {"line": "1"}, "Frame.line is '1', not an integer"),
        (model.Frame, FRAME | {"line": True}, "Frame.line is true, not an integer"),
        (model.Frame, FRAME | {"line": 2**70}, "Frame.line is too large a number"),
        (model.Frame, FRAME | {"file": "x" * 100_000}, "Frame.file is too long a string"),
        (model.Frame, {"file": "f"}, "Frame.line is missing"),
        (model.Frame, [], "Frame is a list, not an object"),
        (model.Site, SITE | {"candidates": [{"file": 1}]}, "Site.candidates[0].file is 1, not a string"),
        (model.SiteHistory, PAST | {"live": [1, "2"]}, "SiteHistory.live[1] is '2', not an integer"),
        (model.SiteHistory, PAST | {"times": [1.0, NAN]}, "SiteHistory.times[1] is nan, not a finite number"),
        (model.SiteHistory, PAST | {"times": [1.0, INF]}, "SiteHistory.times[1] is inf, not a finite number"),
        (model.History, {name: [10**400] for name in model.History.__slots__}, HUGE),
        (model.SiteHistory, PAST | {"born": [1]}, "SiteHistory has columns of different lengths"),
        (model.SiteHistory, PAST | {"times": [2.0, 1.0]}, "SiteHistory has times that are not in order"),
        (model.Group, GROUP | {"sites": [1, [2]]}, "Group.sites[1] is a list, not an integer"),
        (model.Group, GROUP | {"oldest": MAX_FLOAT}, f"Group.oldest is {MAX_FLOAT!r}, not a finite number"),
        (model.Finding, FINDING | {"evidence": {"deep": DEEP}}, "Finding.evidence is nested too deeply"),
        (model.Finding, FINDING | {"evidence": []}, "Finding.evidence is a list, not a small object"),
        (model.Finding, FINDING | {"level": "x"}, LEVEL),
        (model.Finding, FINDING | {"evidence": {"moves": "x"}}, MOVES),
        (model.SiteCounts, [1, 2], "SiteCounts is a row of 2 numbers, not of 8 to 12"),
        (model.SiteCounts, [1] * 7 + [None], "SiteCounts[7] is null, not an integer"),
        (model.ConsoleAddress, {"host": "::1", "port": 0}, "ConsoleAddress has no port 0"),
        (model.ConsoleAddress, {"host": "::1", "port": 65536}, "ConsoleAddress has no port 65536"),
        (model.SiteCounts, [1] * 8 + [NAN], "SiteCounts is nan, not a finite number"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named_with_its_field(cls: type, value: Any, said: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        unpack(cls, value)
    assert str(caught.value) == said


def test_what_fits_is_as_it_was() -> None:
    for cls, value in ((model.SiteHistory, PAST), (model.Group, GROUP), (model.Finding, FINDING)):
        made = unpack(cls, value)
        packed = wire.pack(made)
        assert packed == packed | value
        assert unpack(cls, packed) == made


def test_of_a_list_the_one_that_does_not_fit_is_named() -> None:
    with pytest.raises(wire.WireError, match=r"^Frame\[2\]\.line is 'x', not an integer$"):
        unpack_all(model.Frame, [FRAME, FRAME, FRAME | {"line": "x"}])


ROW = [7, 1, 9, 3, 2, 1, 1, 1, 12.5, None, 2, 3]


@pytest.mark.parametrize("value", [NAN, INF, -INF, True, "1", [1], {}, 1 << 64, -(1 << 64), 10**400, 1e300])
def test_rows_of_a_sample_are_checked_like_one_row(value: Any) -> None:
    for column in range(len(ROW)):
        bad = [*ROW]
        bad[column] = value
        with pytest.raises(wire.WireError) as alone:
            unpack(model.SiteCounts, bad)
        with pytest.raises(wire.WireError) as among:
            unpack_all(model.SiteCounts, [ROW, bad, ROW])
        assert str(among.value) == str(alone.value).replace("SiteCounts", "SiteCounts[1]", 1)


def test_rows_of_any_lengths_and_objects_are_read_alike() -> None:
    one = unpack(model.SiteCounts, ROW)
    assert unpack_all(model.SiteCounts, [ROW, ROW]) == (one, one)
    assert unpack_all(model.SiteCounts, [ROW, wire.pack(one)]) == (one, one)
    assert unpack_all(model.SiteCounts, [ROW[:8], ROW[:10]]) == (
        unpack(model.SiteCounts, ROW[:8]),
        unpack(model.SiteCounts, ROW[:10]),
    )
    assert unpack_all(model.SiteCounts, []) == ()


def test_a_track_stays_bounded_however_far_its_times_lie() -> None:
    track = Track(0.0, 1.0, recent=False)
    for time in (1.0, 2.0, 9e14):
        track.add(time, 1, 1, 0)
    assert len(track.bins(9.5e14)) <= LENGTH
    quiet = Track(0.0, 1.0, recent=False)
    quiet.add(1.0, 1, 1, 0)
    assert len(quiet.bins(9e14)) <= LENGTH
