"""``--via``: processes of elsewhere are seen as those of here, and nothing is left of it, however it ends.

Here elsewhere is a command on this machine; `tests/ssh` has a real sshd between.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import taskscope as api
from taskscope.attach.procfs import status
from taskscope.model import requests
from taskscope.sources import via
from taskscope.sources.base import ConnectionLost, SourceError, TargetGone
from taskscope.sources.choice import Choice
from taskscope.sources.group import GroupSource, observed
from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import resolve
from taskscope.sources.way import Way
from tests import pythons, targets
from tests.far_ends import (
    HERE,
    children,
    cut,
    first_sample,
    here,
    samples_until_the_end,
    settled,
    state,
    watching,
)
from tests.integration.children import STANDING, running, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.targets import Program

INSTALLED = shlex.join([sys.executable, "-m", "taskscope"])
"""A far end that names its taskscope."""


@pytest.fixture(autouse=True, scope="module")
def no_command_is_left() -> Iterator[None]:
    before = set(children(os.getpid()))
    yield
    for each in via._fars.values():
        each.close()
    settled(lambda: set(children(os.getpid())) - before, set())


@pytest.fixture
def program() -> Iterator[Program]:
    with targets.running(pythons.require("3.11"), "asyncio idle") as found:
        yield found


def far(target: int | str, command: str = HERE) -> LiveSource:
    source = resolve(str(target), via=command)
    assert isinstance(source, LiveSource)
    return source


def test_a_snapshot_is_taken_there_and_the_agent_leaves(program: Program, tmp_path: Path) -> None:
    before = state(program)
    done = taskscope("snapshot", "--via", HERE, str(program.pid), "-o", str(tmp_path / "state.json"))
    assert done.returncode == 0, done.stderr
    assert "the agent stays in process" in done.stderr
    assert "s after its last client" in done.stderr
    taken = json.loads((tmp_path / "state.json").read_text())
    assert taken["process"]["pid"] == program.pid
    assert len(taken["tasks"]) == 6
    settled(lambda: state(program), before)


def test_one_connection_carries_many_processes() -> None:
    async def look() -> list[int]:
        sources, seen = [], []
        for each in found:
            sources.append(far(each.pid, f"{HERE} many"))
            seen.append(await first_sample(sources[-1]))
        again = [await source.ask(requests.Tasks(limit=3)) for source in sources]
        assert {len(page.tasks) for page in again} == {3}
        for source in sources:
            await source.close()
        return [sample.tasks.live for sample in seen]

    with ExitStack() as stack:
        python = pythons.require("3.11")
        found = [stack.enter_context(targets.running(python, "asyncio idle")) for _ in range(2)]
        before = set(children(os.getpid()))
        assert asyncio.run(look()) == [6] * 2
        assert len(set(children(os.getpid())) - before) == 1


def test_a_tree_of_processes_is_found_there() -> None:
    with targets.running(pythons.require("3.11"), "forked workers") as forked:
        top = forked.child.pid
        found = Choice((str(top),), children=True, via=HERE).find()
        assert {each.pid for each in found} >= {top, forked.pid}
        assert all(each.pid == top or each.parent == top for each in found)


def test_a_group_says_how_long_agents_stay_there() -> None:
    told: list[str] = []

    async def look(top: int) -> None:
        group = observed([str(top)], children=True, via=HERE, progress=told.append)
        await group.open()
        await group.close()

    with targets.running(pythons.require("3.11"), "forked workers") as forked:
        asyncio.run(look(forked.child.pid))
    assert told[-1].endswith(", idle, until 30 s after their last client")


def test_a_group_whose_connection_is_lost_says_so_and_connects_again_only_when_told() -> None:
    """Nothing is counted as ended, and no command is started unasked: it may want a password."""

    async def watch() -> None:
        group = observed([str(one.pid), str(other.pid)], via=f"{HERE} group")
        assert isinstance(group, GroupSource)
        await group.open()
        (relay,) = set(children(os.getpid())) - ours
        try:
            lost = await samples_until_the_end(group, lambda sample: cut(relay))
            assert isinstance(lost, ConnectionLost)
            assert [each.state for each in group.members()] == ["attached"] * 2
            assert not group.left
            with pytest.raises(ConnectionLost):
                group.choice.find()
            assert not set(children(os.getpid())) - ours
        finally:
            await group.close()
        again = group.again()
        await again.open()
        assert {each.pid for each in again.members()} == {each.pid for each in group.members()}
        await again.close()

    with running(STANDING) as one, running(STANDING) as other:
        ours = set(children(os.getpid()))
        asyncio.run(watch())


def test_a_lost_connection_says_so_and_leaves_nothing(program: Program) -> None:
    before, ours = state(program), set(children(os.getpid()))

    async def watch() -> SourceError:
        source = far(program.pid, f"{HERE} lost")
        await source.open()
        (relay,) = set(children(os.getpid())) - ours
        return await samples_until_the_end(source, lambda sample: cut(relay))

    lost = asyncio.run(watch())
    assert isinstance(lost, ConnectionLost)
    assert str(lost).startswith("connection lost: ")
    assert "killed by signal 9" in str(lost)
    gone = via._fars[f"{HERE} lost"]
    with pytest.raises(ConnectionLost, match="killed by signal 9"):
        gone.processes()
    with pytest.raises(ConnectionLost, match="killed by signal 9"):
        asyncio.run(gone.connect("/nowhere"))
    settled(lambda: state(program), before)


def test_who_reconnects_in_time_finds_the_same_agent(program: Program) -> None:
    ours = set(children(os.getpid()))

    async def twice() -> list[float]:
        source = far(program.pid, here(60.0))
        since = [(await source.open()).agent_since]
        (relay,) = set(children(os.getpid())) - ours
        await samples_until_the_end(source, lambda sample: cut(relay))
        assert isinstance(source.reach, Way)
        source = LiveSource(await asyncio.to_thread(source.reach.again))
        since.append((await source.open()).agent_since)
        await source.close()
        return since

    first, second = asyncio.run(twice())
    assert first == second


def test_when_the_near_end_is_killed_the_far_one_ends(program: Program) -> None:
    before = state(program)
    watcher = watching("--via", HERE, str(program.pid))
    (relay,) = children(watcher.pid)
    cut(watcher.pid)
    watcher.communicate()
    settled(lambda: os.path.exists(f"/proc/{relay}"), False)
    settled(lambda: state(program), before)


def test_ctrl_c_ends_a_watch_early_with_its_report(program: Program) -> None:
    watcher = watching("--via", HERE, str(program.pid))
    (relay,) = children(watcher.pid)
    os.kill(relay, 2)  # as the terminal sends it to both
    settled(lambda: int(status(relay)["ShdPnd"], 16) & 2, 2)  # held back
    watcher.send_signal(2)
    _, said = watcher.communicate(timeout=20)
    assert "connection lost" not in said
    assert watcher.returncode == 0


def test_the_verbs_about_processes_work_there(program: Program) -> None:
    listed = json.loads(taskscope("ps", "--via", INSTALLED, "--json").stdout)
    (row,) = [each for each in listed if each["pid"] == program.pid]
    assert not [each for each in listed if "taskscope ps --via" in each["command"]], "itself"
    assert (row["agent"], row["python"], row["tasks"]) == (None, "3.11", None)
    told = json.loads(taskscope("doctor", "--via", INSTALLED, str(program.pid), "--json").stdout)
    assert (told["attachable"], told["facts"]["python"][:12]) == (True, "CPython 3.11")


def test_agents_are_found_by_name_and_stay(tmp_path: Path) -> None:
    with running(STANDING, "--name", "stands") as child:
        printed = taskscope("metrics", "--via", HERE, "stands")
        assert f'taskscope_tasks{{host="{os.uname().nodename}"' in printed.stdout, printed.stderr
        with api.attach("stands", via=HERE) as there:
            assert (there.process.pid, there.state().tasks.live) == (child.pid, 324)
            assert next(there.tasks()).coroutine == "main"
        taskscope("snapshot", "stands", "-o", saved := str(tmp_path / "here.json"))
        compared = json.loads(taskscope("diff", "--via", HERE, saved, "stands", "--json").stdout)
        assert compared["after"]["pid"] == child.pid
        assert {each["state"] for each in compared["sites"]} == {"same"}
        with pytest.raises(SourceError, match="no agent is named 'nobody'"):
            far("nobody")
        gone = taskscope("detach", "--via", HERE, "stands")
        assert gone.stderr.splitlines()[-1] == f"Agent removed from process {child.pid}."


def test_what_via_does_not_carry_is_refused_and_no_file_there_is_taken_for_one_here() -> None:
    with pytest.raises(SourceError, match=r"--via reaches agents, no aiomonitor: forward its port"):
        resolve("aiomonitor://localhost:20101", via=HERE)
    with running(STANDING) as child:
        assert far(child.pid).reach.elsewhere == f"at the far end of {HERE!r}"


def test_the_end_of_the_process_is_told_apart_from_that_of_the_connection(program: Program) -> None:
    async def watch() -> SourceError:
        source = far(program.pid)
        await source.open()
        return await samples_until_the_end(source, lambda sample: cut(program.pid))

    gone = asyncio.run(watch())
    assert type(gone) is TargetGone
    assert str(gone) == "the target has ended"


def test_a_stopped_process_is_known_to_be_stopped(program: Program) -> None:
    async def look() -> str:
        source = far(program.pid)
        await first_sample(source)
        os.kill(program.pid, 19)
        try:
            while (silence := source.silence()) is None or silence.state != "stopped":
                await asyncio.sleep(0.1)
            return silence.text
        finally:
            os.kill(program.pid, 18)
            await source.close()

    assert asyncio.run(asyncio.wait_for(look(), 20)) == (
        f"process {program.pid} is stopped (kill -CONT {program.pid})"
    )


@pytest.mark.parametrize("command", ["docker exec -i shop", "kubectl exec -i shop-0 -c app --"])
def test_an_engine_carries_it_as_it_is_called(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins, which run what comes after exactly these words, on a PATH of their own."""
    name, *options = command.split()
    script, there = tmp_path / name, tmp_path / "there" / "taskscope"
    there.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nfor each in {" ".join(options)}; do [ "$1" = "$each" ] || exit 64; shift; done\n'
        f'PATH="{there.parent}:$PATH" exec "$@"\n'
    )
    there.write_text(f'#!/bin/sh\nexec {INSTALLED} "$@"\n')
    for each in (script, there):
        each.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with running(STANDING, "--name", "inside"), api.attach("inside", via=command) as source:
        assert source.state().tasks.live == 324


GO_SAYS = 'error: failed to exec in container: exec: "taskscope": executable file not found in $PATH'


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-command", "cannot run 'no-such-command' of --via: No such file or directory"),
        (
            "sh -c 'echo sh: taskscope: not found >&2; exit 127'",
            "put one file there, which runs with its own",
        ),
        (
            f"sh -c {shlex.quote(f'echo {shlex.quote(GO_SAYS)} >&2; exit 1')}",
            "put one file there, which runs with its own",
        ),
        ("sh -c 'echo Permission denied >&2; exit 255'", " failed: Permission denied"),
        ("sh -c 'exit 3'", " failed: exit status 3"),
        ("sh -c 'kill -9 $$'", " failed: killed by signal 9"),
        ("yes", "misbehaves: it prints no lines"),
        ("'", "is no command: No closing quotation"),
    ],
)
def test_what_is_wrong_is_one_sentence(command: str, said: str) -> None:
    if command == "yes":
        command = shlex.join([sys.executable, "-c", "print('y' * 100_000)"])
    with pytest.raises(SourceError) as caught:
        via.reached(command)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_login_prints_first_is_skipped(program: Program) -> None:
    code = f"print('Welcome!', flush=True); import os; os.execvp('sh', ['sh', '-c', {HERE!r}])"
    found = via.reached(shlex.join([sys.executable, "-c", code])).processes()
    assert program.pid in {each.pid for each in found}


def test_a_relay_is_not_for_terminals_and_a_bundle_has_its_name() -> None:
    refused = taskscope("relay", "--bundle", "relay.zip")
    assert refused.returncode == 2
    assert "a bundle is named FILE.pyz" in refused.stderr


def test_a_bundle_needs_a_bare_python_alone(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "there.pyz"
    assert taskscope("relay", "--bundle", str(path)).returncode == 0
    bare = ["env", "-i", str(pythons.require("3.11")), "-I", "-S"]
    nothing = subprocess.run([*bare, "-c", "import psutil"], capture_output=True, check=False)
    assert nothing.returncode == 1
    assert subprocess.run([*bare, "-c", "import taskscope"], capture_output=True, check=False).returncode == 1
    alone = subprocess.run(
        [*bare, path, "doctor", str(program.pid)], capture_output=True, text=True, check=False
    )
    assert "can be attached to" in alone.stdout, alone.stderr
    taken = taskscope("snapshot", "--via", shlex.join([*bare, str(path)]), str(program.pid))
    assert taken.returncode == 0, taken.stderr
    assert len(json.loads(taken.stdout)["tasks"]) == 6
