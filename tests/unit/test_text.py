"""How numbers and places read."""

from __future__ import annotations

import pytest

from taskscope import text as fmt
from taskscope.model import Frame, Site


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-3, "0.0s"),
        (0.06, "0.1s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (298, "4m58s"),
        (3599.7, "1h00m"),
        (8040, "2h14m"),
        (86_399.9, "1d00h"),
        (273_600, "3d04h"),
    ],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert fmt.age(seconds) == text


def test_counts_and_rates() -> None:
    assert fmt.count(30_412) == "30,412"
    assert fmt.count(None) == "–"
    assert fmt.rate_per_min(6000.4) == "+6,000"
    assert fmt.rate_per_min(-0.4) == "-0.4"
    assert fmt.rate_per_min(0.04) == "0"
    assert fmt.rate_per_min(None) == "–"
    assert fmt.change(-0.2) == "0"
    assert fmt.change(7) == "+7"
    assert fmt.rate_per_second(310.16) == "310.2"


def test_units() -> None:
    assert fmt.bytes(118_400_000) == "118 MB"
    assert fmt.bytes(9_940_000) == "9.9 MB"
    assert fmt.bytes(999_600) == "1.0 MB"
    assert fmt.bytes(512) == "512 B"
    assert fmt.percent(0.31) == "31 %"
    assert fmt.percent(0.002) == "0.2 %"
    assert fmt.latency(0.0019) == "1.9 ms"
    assert fmt.latency(12.3) == "12 s"
    assert fmt.short(30_000) == "30k"
    assert fmt.short(1_500_000) == "1.5M"


def test_sparkline_scales_from_zero_to_its_highest() -> None:
    assert fmt.sparkline([50, 50, 50], 3) == "███"
    assert fmt.sparkline([0, 1, 2, 4, 8], 5) == "▁▁▂▄█"
    assert fmt.sparkline([None, 0, 0], 4) == "  ▁▁"
    assert fmt.sparkline([], 3) == "   "


def test_places_and_guesses() -> None:
    site = Site(1, "task", Frame("/srv/executor.py", 231, "record_failure"), None, "decay_after")
    assert fmt.site(site) == "executor.py:231 record_failure"
    assert fmt.site(Site(2, "task", site.frame, None, "x", "imputed")) == "~executor.py:231 record_failure"
    assert fmt.frame(None) == "–"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("the target has ended", "The target has ended."),
        ("Paused.", "Paused."),
        ("/tmp/x.json is damaged", "/tmp/x.json is damaged."),
        ("127.0.0.1:9 has not answered", "127.0.0.1:9 has not answered."),
        ("aiomonitor does not show stalls", "aiomonitor does not show stalls."),
        ("", ""),
    ],
)
def test_an_error_reads_as_a_sentence_and_keeps_names(said: str, shown: str) -> None:
    assert fmt.sentence(said) == shown
