"""What is queued in every iteration spins if nothing comes of it, and only after a while."""

from __future__ import annotations

from dataclasses import replace

from taskscope.analysis.judge import Judge
from taskscope.analysis.patterns.spins import LASTING, QUICK, SOON, busy_waiting, spinning, undrained
from taskscope.analysis.spinning import GRACE, Spinning, Spins
from taskscope.model import Callback, Descriptor, Frame, LoopTurns, Rearmed
from taskscope.text import asides
from tests.unit.shapes import hello

DELIVER = Frame("/lib/site-packages/anyio/_backends/_asyncio.py", 610, "CancelScope.deliver", "library")
CLOSE = Frame("/app/session.py", 33, "Session.close")
ASK = Frame("/app/device.py", 7, "Device.ask")
REARMED = Rearmed(
    "CancelScope.deliver",
    DELIVER,
    CLOSE,
    of_task=False,
    changes=False,
    counts=True,
    owner="CancelScope",
    task=3,
    coroutine="Session.open",
    ended=True,
    left_by=CLOSE,
)
ASKS = Rearmed("Device.ask", ASK, ASK, of_task=False, changes=False)
CALLBACKS = (Callback("CancelScope.deliver", DELIVER, 250), Callback("echo", ASK, 4))


def turns(time: float, *rearmed: Rearmed) -> LoopTurns:
    return LoopTurns(1, time, 0.5, 250, 0, 250, 41_234.5, 0.96, 0.0, CALLBACKS, rearmed)


def test_what_spins_for_a_task_that_has_ended_is_told_with_both_lines() -> None:
    (found,) = spinning([Spinning(turns(100, REARMED), REARMED, 100 - SOON)])
    assert (found.level, found.kind, found.site, found.user_site) == ("spin", "spin", DELIVER, CLOSE)
    assert found.text == "event loop 1 spins: CancelScope.deliver runs 41,234 times/s (96 % of a core)"
    assert found.cause is not None
    assert found.cause.text == (
        "it queues itself again in every iteration, for a task that has ended (Session.open); "
        "Session.close left its CancelScope by hand"
    )
    assert found.cause.evidence == (
        "queued on all 250 looks in 0.5 s; the loop never slept",
        "_asyncio.py:610 in CancelScope.deliver queues it",
        "only numbers of what it works on changed meanwhile",
        "behind it: task 3, Session.open, which has ended",
        "left by hand at session.py:33 in Session.close",
        "also run: echo",
    )


def test_at_first_sight_it_is_a_suspect() -> None:
    assert [each.level for each in spinning([Spinning(turns(100, REARMED), REARMED, 99.5)])] == ["suspect"]


def test_what_changes_something_is_at_work() -> None:
    works = replace(REARMED, changes=True)
    assert spinning([Spinning(turns(100, works), works, 0)]) == ()
    for works in (replace(ASKS, changes=True), replace(ASKS, counts=True)):
        assert busy_waiting([Spinning(turns(100, works), works, 0)]) == ()


def test_what_asks_in_every_iteration_is_suspected_after_a_while() -> None:
    (found,) = busy_waiting([Spinning(turns(100, ASKS), ASKS, 100 - LASTING)])
    assert (found.level, found.site) == ("suspect", ASK)
    assert found.cause is not None
    assert found.cause.text == "Device.ask queues itself again in every iteration; nothing changes"
    assert busy_waiting([Spinning(turns(100, ASKS), ASKS, 100.1 - LASTING)]) == ()
    slow = replace(turns(100, ASKS), iterations=0.9 / QUICK)
    assert busy_waiting([Spinning(slow, ASKS, 0)]) == ()
    unknown = replace(turns(100, ASKS), iterations=None)
    assert busy_waiting([Spinning(unknown, ASKS, 0)]) == ()


def since_of(spins: Spins, look: LoopTurns) -> list[float]:
    spins.note([look])
    return [each.since for each in spins.found]


def test_it_is_followed_from_look_to_look_and_begins_anew_after_one_that_does_not_find_it() -> None:
    assert since_of(spins := Spins(), turns(10, REARMED)) == [9.5]
    assert since_of(spins, turns(15, replace(REARMED, counts=False))) == [9.5]
    assert [each.lasted for each in spins.found] == [5.5]
    assert since_of(spins, replace(turns(18), looks=5)) == [9.5], "too few looks to say anything"
    assert since_of(spins, replace(turns(20), callbacks=CALLBACKS[1:])) == []
    assert since_of(spins, turns(25, REARMED)) == [24.5]


def test_a_judge_tells_it_first() -> None:
    judge = Judge(hello())
    for time in (10, 15):
        judge.spins.note([turns(time, REARMED)])
    assert [each.level for each in judge.findings()] == ["spin"]
    judge.spins.note(())
    assert judge.findings() == ()


def test_both_lines_are_told_as_what_they_are() -> None:
    (found,) = spinning([Spinning(turns(100, REARMED), REARMED, 0)])
    assert asides(found) == [
        "queues itself at _asyncio.py:610 CancelScope.deliver, behind it session.py:33 Session.close"
    ]


LEFT = Rearmed(
    "Device.ask", ASK, ASK, of_task=False, changes=False, owner="Device", on=Descriptor(7, "pipe", unread=5)
)


def told(rearmed: Rearmed, lasted: float) -> list[tuple[str, str]]:
    found = undrained([Spinning(turns(100, rearmed), rearmed, 100 - lasted)])
    return [(each.level, each.cause.text if each.cause is not None else "") for each in found]


def test_a_descriptor_that_nobody_reads_is_told_with_what_is_unread() -> None:
    why = "Device.ask takes none of 5 bytes unread in fd 7, pipe"
    assert told(LEFT, LASTING) == [("spin", why)]
    assert told(LEFT, SOON) == [("suspect", why)]
    assert told(LEFT, SOON - 1) == []
    assert told(replace(LEFT, changes=True), LASTING) == []
    spin = [Spinning(turns(100, LEFT), LEFT, 0)]
    assert (spinning(spin), busy_waiting(spin)) == ((), ())


def test_one_at_its_end_is_told_as_such_and_one_with_room_is_no_more_than_a_suspect() -> None:
    ended = replace(LEFT, on=Descriptor(7, "pipe", unread=0))
    why = "fd 7, pipe, has come to its end, and Device.ask goes on being called for it"
    assert told(ended, LASTING) == [("spin", why)]
    why = "fd 7, pipe, has room on every poll; nothing changes"
    assert told(replace(ended, writes=True), LASTING) == [("suspect", why)]


def test_what_a_crowded_machine_hides_for_a_while_goes_on() -> None:
    spins = Spins()
    spins.note([turns(100, ASKS)])
    hidden = replace(turns(110), iterations=None, callbacks=(Callback("Device.ask", DELIVER, 200),))
    spins.note([hidden])
    spins.note([replace(turns(120, ASKS), iterations=None)])
    (found,) = spins.found
    assert (found.lasted, found.turns.iterations) == (20.5, 41_234.5)
    spins.note([replace(hidden, monotonic=120 + GRACE + 1)])
    assert spins.found == ()
    spins.note([turns(200, ASKS)])
    spins.note([replace(hidden, monotonic=205, asleep=1)])
    assert spins.found == ()


def test_tasks_that_ask_at_the_same_line_are_one_busy_wait() -> None:
    both = [Spinning(turns(100, ASKS), replace(ASKS, task=number), 0) for number in (1, 2)]
    (found,) = busy_waiting(both)
    assert found.cause is not None
    assert found.cause.evidence[-1] == "1 more at the same line"
