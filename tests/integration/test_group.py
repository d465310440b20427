"""Several processes as one: found, followed, merged; real workers, of which one leaks."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.commands import attach
from taskscope.export.members import state
from taskscope.model.series import HISTORY
from taskscope.sources import members
from taskscope.sources.base import SourceError
from taskscope.sources.choice import Choice, Found
from taskscope.sources.group import GroupSource, observed
from taskscope.sources.live import LiveSource
from taskscope.sources.membership import Membership
from taskscope.sources.resolve import resolve
from taskscope.tui.store import Store
from tests.integration.children import STANDING, running, taskscope
from tests.integration.groups import workers
from tests.patience import settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from taskscope.model import Sample


async def until(group: GroupSource, condition: Callable[[Sample], bool]) -> Sample:
    """The first sample of which it is true."""
    async with asyncio.timeout(50):
        async for sample in group.samples():
            if condition(sample):
                return sample
    raise AssertionError("the samples ended")


def group_of(*targets: str, children: bool = True) -> GroupSource:
    group = observed(targets, children=children)
    assert isinstance(group, GroupSource)
    return group


@pytest.mark.timeout(180)
def test_watch_names_the_process_that_leaks(tmp_path: Path) -> None:
    with workers(tmp_path) as service:
        done = taskscope(
            "watch", "--children", str(service.parent.pid), "--for", "20s", "--json", timeout=170
        )
    told: dict[str, Any] = json.loads(done.stdout)
    (leak,) = [each for each in told["findings"] if each["level"] == "leak"]
    assert (leak["coroutine"], leak["processes"]) == ("forgotten", [service.leaking])
    assert f"only in {service.leaking}, of 4 processes" in done.stderr
    attached = {each["pid"]: each["role"] for each in told["processes"] if each["state"] == "attached"}
    assert attached == {service.parent.pid: "", **dict.fromkeys(service.pids, "forked")}
    assert done.returncode == 1


async def test_counts_are_summed_and_the_outlier_is_marked(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop") as service:
        group = group_of(str(service.parent.pid))
        await group.open()
        try:

            def marked(_: Sample) -> bool:
                leaks = [id for id, each in sites.items() if each.coroutine == "forgotten"]
                return any(group.gathered.spread(id).outliers == {service.leaking} for id in leaks)

            sites = group.gathered.sites.sites
            sample = await until(group, marked)
            each = [one.tasks or 0 for one in group.members()]
            assert abs(sample.tasks.live - sum(each)) <= 8
            handled = next(id for id, each in sites.items() if each.coroutine == "handle")
            assert set(group.gathered.spread(handled).live) == set(service.pids)
        finally:
            await group.close()


async def test_a_worker_that_ends_stays_listed_and_its_tasks_count_as_ended(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop") as service:
        group = group_of(*map(str, service.pids), children=False)
        await group.open()
        try:
            born = (await until(group, lambda sample: sample.tasks.born > 100)).tasks.born
            service.end_first()
            after = await until(group, lambda _: group.left == 1)
            ended = next(each for each in group.members() if each.pid == service.pids[0])
            assert (ended.state, ended.why) == ("ended", "the target has ended")
            assert ended.ended is not None
            assert ended.ended > ended.began
            assert after.tasks.born >= born
            assert after.tasks.live == after.tasks.born - after.tasks.ended
        finally:
            await group.close()


async def test_a_worker_that_is_stopped_says_so_in_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "QUIET", 1.0)
    with workers(tmp_path, "fork", "--name", "shop") as service:
        group = group_of(*map(str, service.pids[2:]), children=False)
        await group.open()
        try:
            os.kill(service.pids[3], signal.SIGSTOP)
            await until(group, lambda _: any(each.odd == "silent" for each in group.members()))
            other, stopped = group.members()
            assert (
                state(stopped) == f"says nothing: process {stopped.pid} is stopped (kill -CONT {stopped.pid})"
            )
            assert state(other) == "attached"
        finally:
            await group.close()


async def test_what_cannot_be_attached_to_is_a_row_that_says_why(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop") as service:
        group = group_of(str(service.pids[0]), "nobody-has-this-name", children=False)
        await group.open()
        try:
            refused = next(each for each in group.members() if each.state == "refused")
            assert refused.why.startswith("no agent is named 'nobody-has-this-name'")
        finally:
            await group.close()


async def test_a_process_that_ends_while_it_is_attached_to_has_not_refused() -> None:
    with running(STANDING) as process:
        (found,) = Choice((str(process.pid),)).find()
        process.kill()
        process.wait()
        attendant = members.Attendant(1, found, members.News())
        async with asyncio.timeout(20):
            await attendant.attend(lambda found: resolve(found.target), asyncio.Semaphore())
    assert (attendant.state, attendant.why) == ("ended", "the process has ended")


async def test_a_name_of_the_group_is_followed_through_a_restart_and_a_pid_is_not() -> None:
    name = f"again{os.getpid()}"
    with running(STANDING) as other, running(STANDING, "--name", name) as first:
        group = group_of(name, str(other.pid), children=False)
        await group.open()
        try:
            membership = Membership(lambda: group, group.attendants[0])
            assert membership.member.pid == first.pid
            first.kill()
            first.wait()
            await until(group, lambda _: group.left == 1)
            assert membership.connect() is None
            with running(STANDING, "--name", name) as second:
                await until(group, lambda _: {each.pid for each in group._live()} == {other.pid, second.pid})
                back = membership.connect()
                assert isinstance(back, LiveSource)
                assert (await back.open()).process.pid == second.pid
                await back.close()
            assert len(group.attendants) == 3
        finally:
            await group.close()


async def test_a_group_of_nobody_is_refused_with_the_reasons() -> None:
    with pytest.raises(SourceError, match=r"no agent is named 'x1'.*no agent is named 'x2'"):
        await group_of("x1", "x2", children=False).open()
    with pytest.raises(SourceError, match=r"no process is meant by nobody-like-this\*"):
        await group_of("nobody-like-this*", children=False).open()
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(SourceError, match=f"neither process {child.pid} nor any below it runs Python"):
            await group_of(str(child.pid)).open()
        child.kill()
    with pytest.raises(SourceError, match=f"no such process: {child.pid}"):
        await group_of(str(child.pid)).open()


def test_a_recording_of_a_group_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (blocked := tmp_path / "file").touch()
    done = taskscope("record", "--children", str(os.getpid()), "-o", str(blocked / "night"), "--for", "9s")
    assert done.returncode == 3
    assert done.stderr == f"taskscope record: cannot write {blocked / 'night'}: Not a directory\n"


def test_a_pattern_that_means_nobody_is_said_and_makes_no_folder(tmp_path: Path) -> None:
    nobody = "no process is meant by nobody-like-this*"
    recorded = taskscope("record", "nobody-like-this*", "-o", str(tmp_path / "night"), timeout=30)
    assert (recorded.returncode, recorded.stderr) == (3, f"taskscope record: {nobody}\n")
    assert not list(tmp_path.iterdir())
    shown = taskscope("metrics", "nobody-like-this*")
    assert (shown.returncode, shown.stderr) == (3, f"taskscope metrics: {nobody}\n")


@pytest.mark.timeout(90)
def test_a_recording_of_a_group_that_is_told_to_end_says_what_there_is(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop", count=2) as service:
        tree = ("--children", str(service.parent.pid))
        command = [sys.executable, "-m", "taskscope", "record", *tree, "-o", str(tmp_path / "night")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as recorder:
            settled(lambda: len(list(tmp_path.glob("night/*.rec"))), 3, 60)
            recorder.send_signal(signal.SIGINT)
            said = recorder.communicate()[1]
    assert recorder.returncode == 0
    assert said.startswith(f"taskscope record: {tmp_path / 'night'}: 3 recordings, ")


class OneLater(Choice):
    """The first process, and all once somebody has set ``all``."""

    all = False

    def find(self, living: Iterable[int] = ()) -> list[Found]:
        return super().find(living)[: None if self.all else 1]


@pytest.mark.timeout(90)
async def test_a_worker_that_comes_later_does_not_put_off_the_verdict_on_the_others(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop", count=2) as service:
        choice = OneLater(tuple(map(str, service.pids)))
        group = GroupSource(choice, lambda found: resolve(found.target))
        judge = group.judge(await group.open())
        try:
            await until(group, lambda _: judge.judged.seconds > 3.0)
            OneLater.all = True
            await until(group, lambda _: len([each for each in group.attendants if each.judged]) == 2)
            assert group.attendants[1].judged is not None
            assert judge.judged.seconds >= 3.0 > group.attendants[1].judged.seconds
        finally:
            OneLater.all = False
            await group.close()


HOLDS_THE_GIL = "import ctypes; print(flush=True); ctypes.PyDLL(None).sleep(600)"


@pytest.mark.timeout(90)
async def test_the_app_does_not_wait_for_a_process_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "has_terminal", lambda: True)
    command = [sys.executable, "-c", HOLDS_THE_GIL]
    with running(STANDING) as one, subprocess.Popen(command, stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        held.stdout.readline()
        attach.register(parser := argparse.ArgumentParser())
        group = attach._source(parser.parse_args([str(one.pid), str(held.pid)]))
        assert isinstance(group, GroupSource)
        try:
            async with asyncio.timeout(20):  # less than it waits where no picture is completed later
                await group.open()
            assert [each.state for each in group.members()] == ["attached", "found"]
        finally:
            held.kill()
            await group.close()


STUCK = """
import asyncio, sys, time
async def stuck():
    print(flush=True)
    time.sleep(600)
asyncio.run(stuck())
"""


@pytest.mark.timeout(90)
async def test_a_worker_whose_loop_is_blocked_says_at_which_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "QUIET", 1.0)
    (program := tmp_path / "shop.py").write_text(STUCK)
    command = [sys.executable, "-m", "taskscope", "run", str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        group = group_of(str(child.pid))
        await group.open()
        try:
            await until(group, lambda _: group.members()[0].odd == "stuck")
            assert state(group.members()[0]) == "its loop is blocked: shop.py:5 stuck"
        finally:
            await group.close()
            child.kill()


@pytest.mark.timeout(180)
def test_each_verb_takes_a_group(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop") as service:
        tree = ("--children", str(service.parent.pid))
        assert "several processes need -o DIR" in taskscope("snapshot", *tree).stderr
        taskscope("snapshot", *tree, "-o", str(tmp_path / "snapshots"), timeout=90)
        taskscope("record", *tree, "-o", str(tmp_path / "recordings"), "--for", "4s", timeout=90)
        page = taskscope("report", *tree, "-o", "-", "--for", "4s", timeout=90).stdout
        metrics = taskscope("metrics", *tree, timeout=90).stdout
    pids = {service.parent.pid, *service.pids}
    assert {each.name for each in (tmp_path / "snapshots").iterdir()} == {
        f"shop-{pid}.json.gz" for pid in pids
    }
    assert {each.name for each in (tmp_path / "recordings").iterdir()} == {f"shop-{pid}.rec" for pid in pids}
    assert "The processes" in page
    for pid in pids:
        assert f"| {pid} |" in page
        assert f'name="shop",pid="{pid}"}} 1' in metrics


@pytest.mark.timeout(90)
def test_detach_removes_the_agents_of_a_group(tmp_path: Path) -> None:
    with workers(tmp_path, count=2) as service:
        every = [str(service.parent.pid), *map(str, service.pids)]
        tree = ("--children", every[0])
        taskscope("record", *every, "-o", str(tmp_path / "night"), "--for", "2s", timeout=60)
        some = taskscope("detach", every[2], "999999999")
        rest = taskscope("detach", *tree)
        none = taskscope("detach", *tree)
    assert some.returncode == 0
    assert set(some.stderr.splitlines()) == {
        f"Agent removed from process {every[2]}.",
        "no such process: 999999999",
    }
    assert rest.returncode == 0
    assert set(rest.stderr.splitlines()) == {
        *(f"Agent removed from process {pid}." for pid in every[:2]),
        f"no agent in process {every[2]}",
    }
    assert none.returncode == 3
    assert none.stderr.endswith("taskscope detach: no agent was removed\n")


async def test_rates_are_those_of_the_members_whoever_comes_or_goes(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop") as service:
        group = group_of(*map(str, service.pids), children=False)
        await group.open()
        try:
            store = Store()
            store.rates = group.gathered.slope

            def all_told(sample: Sample) -> bool:
                store.apply(sample)
                return all(each.slope("rss") is not None for each in group.attendants)

            def one_left(sample: Sample) -> bool:
                store.apply(sample)
                return group.left == 1

            await until(group, all_told)
            leaking = next(each for each in group.attendants if each.pid == service.leaking)
            service.end_first()
            await until(group, one_left)
            assert (store.slope("fds"), store.slope("threads")) == (0.0, 0.0)
            assert (store.slope("tasks") or 0.0) > 100.0
            assert abs((store.slope("tasks") or 0.0) - (leaking.slope("tasks") or 0.0)) < 60.0
            assert store.history.slope(store.now, HISTORY.index("fds")) != 0.0, "of the sums"
        finally:
            await group.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_leak_of_a_worker_that_was_killed_stays_and_counts(tmp_path: Path) -> None:
    with workers(tmp_path, "fork", "--name", "shop") as service:
        words = ("watch", "--children", str(service.parent.pid), "--for", "10m", "--json", "--follow")
        command = [sys.executable, "-m", "taskscope", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            lines = map(json.loads, watching.stdout)

            def leaks(line: dict[str, Any]) -> bool:
                found = line["finding"]
                return (found["level"], found["processes"]) == ("leak", [service.leaking])

            assert any(leaks(line) for line in lines if line["event"] == "finding")
            os.kill(service.leaking, signal.SIGKILL)
            assert any(line["sample"]["tasks"]["live"] < 50 for line in lines if line["event"] == "sample")
            watching.send_signal(signal.SIGINT)
            *_, end = lines
    assert [each["state"] for each in end["processes"] if each["pid"] == service.leaking] == ["ended"]
    assert [(each["level"], each["processes"]) for each in end["findings"]] == [("leak", [service.leaking])]
    assert (watching.returncode, end["status"]) == (1, 1)
