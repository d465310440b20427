"""Births and ends from successive lists, and telling one process's list from another's."""

from __future__ import annotations

from taskscope.sources.aiomonitor.api import EndedTask, LiveTask
from taskscope.sources.aiomonitor.tally import ENDED_KEPT, Look, Tally, another_process


def task(
    id: int, age: float | None, name: str = "", coro: str = "leaf", where: str = "<cwd>/a.py:1"
) -> LiveTask:
    return LiveTask(str(id), "PENDING", name or f"Task-{id}", coro, where if age is not None else "-", age)


def look(at: float, *live: LiveTask, ended: tuple[EndedTask, ...] = ()) -> Look:
    return Look(at, at, at, live, ended)


def test_the_first_list_is_adopted() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, 5.0), task(2, 9.0)))
    (site,) = tally.sites.values()
    counts = site.counts()
    assert (counts.counts.live, counts.counts.born, counts.adopted) == (2, 2, 2)
    assert (counts.oldest, counts.median) == (91.0, 95.0)
    assert [known.id for known in tally.tasks.values()] == ["2", "1"]


def test_births_and_ends_follow_from_what_came_and_went() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, 5.0), task(2, 9.0)))
    tally.take(look(101.0, task(2, 10.0), task(3, 0.5), task(4, 0.2)))
    counts = tally.counts()
    assert (counts.live, counts.born, counts.ended) == (3, 4, 1)
    assert list(tally.sites[1].past) == [(100.0, 2, 2, 0), (101.0, 3, 4, 1)]


def test_a_new_task_at_the_address_of_an_ended_one_is_recognised_by_its_age() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, 5.0)))
    tally.take(look(101.0, task(1, 0.3)))
    assert (tally.counts().born, tally.counts().ended) == (2, 1)


def test_a_task_that_is_renamed_stays_itself() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, 5.0, "Task-1")))
    tally.take(look(101.0, task(1, 6.0, "feeder")))
    assert (tally.counts().born, [known.name for known in tally.tasks.values()]) == (1, ["feeder"])


def test_without_ages_a_name_tells_tasks_apart() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, None, "Task-1"), task(2, None, "Task-2")))
    tally.take(look(101.0, task(1, None, "Task-1"), task(2, None, "Task-9")))
    assert (tally.counts().born, tally.counts().ended) == (3, 1)
    (site,) = tally.sites.values()
    assert (site.site.known, site.site.coroutine, site.counts().oldest) == ("unknown", "leaf", None)


def test_a_slow_list_blurs_ages_and_makes_no_births() -> None:
    tally = Tally()
    tally.take(Look(100.0, 104.0, 104.0, [task(1, 5.0)]))
    tally.take(Look(140.0, 144.0, 144.0, [task(1, 47.0)]))
    assert tally.counts().born == 1


def test_tasks_that_came_and_went_between_two_lists_are_counted() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, 5.0), ended=(EndedTask("old", "Task-0", "leaf", 9.0, 3.0),)))
    assert (tally.counts().born, len(tally.ended)) == (1, 1)  # it ended before we came
    quick = EndedTask("q", "Task-7", "leaf", 0.6, 0.5)
    tally.take(look(101.0, task(1, 6.0), ended=(quick, EndedTask("old", "Task-0", "leaf", 10.0, 4.0))))
    tally.take(look(102.0, task(1, 7.0), ended=(EndedTask("q", "Task-7", "leaf", 1.6, 1.5),)))
    assert (tally.counts().live, tally.counts().born, tally.counts().ended) == (1, 2, 1)
    assert (tally.ended[-1].name, tally.ended[-1].trace, tally.ended[-1].end) == ("Task-7", "q", 100.5)


def test_a_task_seen_live_is_not_counted_again_when_it_is_listed_as_ended() -> None:
    tally = Tally()
    tally.take(look(100.0, task(1, 5.0)))
    tally.take(look(101.0, ended=(EndedTask("t", "Task-1", "leaf", 6.0, 0.25),)))
    assert (tally.counts().born, tally.counts().ended, len(tally.ended)) == (1, 1, 1)
    assert (tally.ended[0].trace, tally.ended[0].end) == ("t", 100.75)


def test_an_overrun_of_its_list_of_ended_tasks_is_noticed() -> None:
    tally = Tally()
    tally.take(look(100.0, ended=(EndedTask("a", "Task-1", "leaf", 6.0, 3.0),)))
    tally.take(look(101.0, ended=(EndedTask("b", "Task-2", "leaf", 0.6, 0.3),)))
    assert tally.missed == 1


def test_what_is_remembered_is_bounded() -> None:
    tally = Tally()
    for second in range(30):
        tally.take(look(second, *(task(second * 1000 + n, 0.1) for n in range(200))))
    assert len(tally.ended) == ENDED_KEPT
    assert len(tally.tasks) == 200


def test_a_list_without_tasks_that_must_have_been_there_is_of_another_process() -> None:
    here = look(100.0, *(task(id, 50.0) for id in range(1, 20)))
    later = look(101.0, *(task(id, 51.0) for id in range(1, 15)), task(77, 0.5))
    there = look(101.0, *(task(id, 80.0) for id in range(500, 520)))
    assert not another_process(here, later)
    assert another_process(here, there)


def test_without_ages_the_numbers_in_names_contradict() -> None:
    here = look(100.0, *(task(id, None) for id in range(10, 20)))
    later = look(101.0, *(task(id, None) for id in range(15, 40)))
    there = look(101.0, *(task(id + 5000, None, f"Task-{id}") for id in range(1, 12)))
    assert not another_process(here, later)
    assert another_process(here, there)


def test_a_program_whose_tasks_all_ended_is_still_the_same() -> None:
    here = look(100.0, *(task(id, 0.2) for id in range(1, 20)))
    assert not another_process(here, look(101.0, *(task(id, 0.3) for id in range(50, 60))))
    assert not another_process(here, look(101.0))
