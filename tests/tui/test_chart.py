"""The chart adapter: exact sizes whatever comes in, and pictures that do not lie."""

from __future__ import annotations

import math

import pytest

from taskscope import text as fmt
from taskscope.tui.chart import Line, build_chart, nice_top, pieces, thinned
from taskscope.tui.charts import height_for, shares

COLOR = "#5fafd7"
DRAWN = {chr(code) for code in range(0x2801, 0x2900)}


def chart(
    points: list[tuple[float, float]], width: int = 40, height: int = 6, *, whole: bool = False
) -> list[str]:
    return build_chart(width, height, [Line(points, COLOR)], 60, fmt.short, whole=whole).plain.split("\n")


@pytest.mark.parametrize("size", [(8, 1), (9, 3), (40, 4), (75, 8), (300, 30)])
@pytest.mark.parametrize(
    "points",
    [
        [],
        [(-1.0, 5.0)],
        [(-50.0, math.nan), (-20.0, math.inf), (-10.0, -math.inf)],
        [(-50.0, 0.0), (0.0, 0.0)],
        [(float(-n), float(n * n)) for n in range(60, -1, -1)],
        [(-50.0, 3.0), (-40.0, math.nan), (-30.0, 2.0), (0.0, 1e15)],
    ],
)
def test_a_chart_is_never_wider_or_higher_than_asked(
    size: tuple[int, int], points: list[tuple[float, float]]
) -> None:
    lines = chart(points, *size)
    assert len(lines) <= size[1]
    assert all(len(line) <= size[0] for line in lines)


def test_growth_rises_from_left_to_right() -> None:
    lines = chart([(float(-n), 60.0 - n) for n in range(60, -1, -1)])
    tops = [
        min((y for y, line in enumerate(lines) if line[x : x + 1] in DRAWN), default=99) for x in range(4, 39)
    ]
    assert tops[0] == 5
    assert tops[-1] == 0
    assert tops == sorted(tops, reverse=True)
    assert lines[0].startswith("60")
    assert lines[5].startswith(" 0")


def test_a_gap_stays_empty() -> None:
    points = [(-60.0, 5.0), (-40.0, 5.0), (-39.0, math.nan), (-20.0, 5.0), (0.0, 5.0)]
    drawn = [any(line[x : x + 1] in DRAWN for line in chart(points)) for x in range(1, 40)]
    assert not any(drawn[16:24])
    assert any(drawn[:10])
    assert any(drawn[30:])


def test_scales_are_round_and_whole_where_only_whole_numbers_exist() -> None:
    assert nice_top(28_400) == 30_000
    assert nice_top(0) == 1
    assert nice_top(math.inf) == 1
    assert nice_top(0.0019) == pytest.approx(0.002)
    assert chart([(-9.0, 1.0), (0.0, 1.0)], whole=True)[0].startswith("1")
    assert not any("0.5" in line for line in chart([(-9.0, 1.0), (0.0, 1.0)], whole=True))


def test_thinning_keeps_the_spike() -> None:
    points = [(float(-n), 1.0) for n in range(6000, 0, -1)]
    points[3000] = (points[3000][0], 99.0)
    kept = thinned(points, 6000, 40)
    assert len(kept) <= 82
    assert max(value for _, value in kept) == 99.0


def test_pieces_are_the_runs_between_gaps() -> None:
    points = [(-3.0, math.nan), (-2.0, 1.0), (-1.0, math.nan), (0.0, 2.0)]
    assert pieces(points) == [[(-2.0, 1.0)], [(0.0, 2.0)]]


@pytest.mark.parametrize("width", [40, 80, 109, 110, 159, 160, 333])
def test_panels_fill_the_width_exactly(width: int) -> None:
    assert sum(shares(width)) == width


@pytest.mark.parametrize("lines", [24, 31, 32, 45, 60, 100])
@pytest.mark.parametrize("rows", [0, 5, 12, 40, 5_000])
def test_charts_take_what_the_table_does_not_need(lines: int, rows: int) -> None:
    height = height_for(lines, rows)
    if lines < 32:
        assert height == 5
    else:
        assert 9 <= height <= lines * 0.6
        assert height == 9 or lines - height > rows
    assert height_for(lines, rows + 1) <= height


@pytest.mark.parametrize("width", [110, 200])
def test_panels_of_the_second_row_fill_the_width_too(width: int) -> None:
    assert sum(shares(width, even=True)) == width
