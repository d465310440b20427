"""Errors are distinguished by site, type and place, in bounded memory."""

from __future__ import annotations

import gc
import weakref

from taskscope.agent.counts.failures import MAX_OF_SITE, MAX_SITES, Failures


class Held:
    pass


def raised(text: str) -> BaseException:
    scope: dict[str, object] = {}
    exec(f"def work(held):\n    raise ValueError({text!r})", scope)
    try:
        scope["work"](Held())  # type: ignore[operator]
    except ValueError as error:
        return error
    raise AssertionError


def test_frequent_failures_do_not_push_out_rare_ones() -> None:
    failures = Failures()
    failures.add(1, KeyError("rare"), "KeyError: rare", 1, 0.0)
    for number in range(5000):
        failures.add(1, raised(f"order {number}"), f"ValueError: order {number}", number, 1.0 + number)
    often, rare = failures.of(1)
    assert (often.count, often.error, often.first, often.last) == (
        5000,
        "ValueError: order 4999",
        1.0,
        5000.0,
    )
    assert often.raised is not None
    assert (often.raised.line, often.raised.function) == (2, "work")
    assert (rare.count, rare.raised, rare.user_frame) == (1, None, None)


def test_kinds_and_sites_are_bounded_and_the_oldest_make_room() -> None:
    failures = Failures()
    for number in range(3 * MAX_OF_SITE):
        kind = type(f"E{number}", (Exception,), {})
        failures.add(1, kind(), f"E{number}", number, float(number))
    assert [each.error for each in failures.of(1)][:2] == [
        f"E{3 * MAX_OF_SITE - 1}",
        f"E{3 * MAX_OF_SITE - 2}",
    ]
    assert len(failures.of(1)) == MAX_OF_SITE
    for site in range(2, 3 * MAX_SITES):
        failures.add(site, KeyError(), "KeyError", site, 0.0)
    assert len(failures.every()) == MAX_SITES
    assert not failures.of(1)


def test_neither_the_error_nor_its_frames_are_kept() -> None:
    failures = Failures()
    error = raised("x")
    assert error.__traceback__ is not None
    following = error.__traceback__.tb_next
    assert following is not None
    held = weakref.ref(following.tb_frame.f_locals["held"])
    del following
    failures.add(1, error, "ValueError: x", 1, 0.0)
    assert held() is not None
    del error
    gc.collect()
    assert held() is None
