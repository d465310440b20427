"""``taskscope`` commands inside aiomonitor's own console: ``start``, ``status``, ``sites``, ``snapshot``.

Only importing this module adds them: a program that wants them runs

    import taskscope.aiomonitor_commands

beside its ``aiomonitor.start_monitor(...)``.  The agent never imports it.  All but ``start`` query the
process's agent over its socket like any client, so a console costs the program no more than the app.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiomonitor
import click
from aiomonitor.context import command_done
from aiomonitor.termui.commands import (
    auto_async_command_done,
    auto_command_done,
    custom_help_option,
    print_fail,
    print_ok,
)

import taskscope
from taskscope import text as fmt
from taskscope.attach.presence import agent_in
from taskscope.endpoint import EndpointError
from taskscope.model import requests
from taskscope.sources.base import SourceError
from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from taskscope import model

MAX_SITES = 20
_HEADS = ("LIVE", "BORN", "ENDED", "OLDEST", "SITE")


def _group(ctx: click.Context) -> None:
    """What TaskScope's agent in this process sees"""
    if ctx.invoked_subcommand is None:  # else the subcommand signals completion
        auto_command_done(_help)(ctx)


def _help(ctx: click.Context) -> None:
    click.echo(ctx.get_help())


def _start(ctx: click.Context, control: bool) -> None:
    """Start the agent, so that taskscope can attach to this process"""
    if agent_in(os.getpid()) is not None:
        print_ok("The agent is already running.")
        return
    try:
        taskscope.start(control=control)
    except (EndpointError, OSError) as error:
        print_fail(f"The agent did not start: {error}")
        return
    print_ok(f"The agent listens: taskscope attach {os.getpid()}")


def _status(ctx: click.Context) -> None:
    """Show whether an agent runs here, and its counts"""

    async def tell(source: LiveSource, hello: model.Hello, sample: model.Sample) -> None:
        since = fmt.age(sample.monotonic - hello.agent_since)
        counts = sample.tasks
        click.echo(
            f"{hello.process.name}  pid {hello.process.pid}  agent for {since}, a sample every "
            f"{hello.interval:g} s, {'may cancel tasks' if hello.control else 'only observes'}"
        )
        click.echo(
            f"tasks {fmt.count(counts.live)} live, {fmt.count(counts.born)} born, {fmt.count(counts.ended)} "
            f"ended   threads {sample.threads}   rss {fmt.bytes(sample.rss)}   "
            f"loop p99 {fmt.latency(sample.loop_latency)}"
        )
        for trouble in sample.disarmed:
            print_fail(trouble)

    _ask(ctx, tell)


def _sites(ctx: click.Context, number: int) -> None:
    """List the lines that created the live tasks, most tasks first"""

    async def tell(source: LiveSource, hello: model.Hello, sample: model.Sample) -> None:
        sites = {site.id: site for site in sample.new_sites if site.kind == "task"}
        counted = [each for each in sample.sites if each.site in sites and each.counts.live]
        counted.sort(key=lambda each: -each.counts.live)
        rows = [_HEADS, *(_row(each, sites[each.site], sample.monotonic) for each in counted[:number])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            numbers = [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)]
            click.echo("  ".join([*numbers, row[-1]]))
        if len(counted) > number:
            click.echo(f"({number} of {len(counted):,} sites; -n shows more)")

    _ask(ctx, tell)


def _row(counts: model.SiteCounts, site: model.Site, now: float) -> tuple[str, ...]:
    return (
        fmt.count(counts.counts.live),
        fmt.count(counts.counts.born),
        fmt.count(counts.counts.ended),
        fmt.age(None if counts.oldest is None else now - counts.oldest),
        f"{fmt.site(site)}  {site.coroutine}",
    )


def _snapshot(ctx: click.Context, file: str | None) -> None:
    """Save the state of this process to FILE (.gz compresses)"""
    name = f"taskscope-{os.getpid()}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path = str(Path(file or name).absolute())

    async def save(source: LiveSource, hello: model.Hello, sample: model.Sample) -> None:
        from taskscope.export.snapshot import SnapshotError
        from taskscope.export.snapshot import save as save_to

        try:
            size = save_to(await source.ask(requests.Snapshot()), path)
        except SnapshotError as error:
            print_fail(f"No snapshot: {error}")
        else:
            print_ok(f"Snapshot written: {path} ({fmt.bytes(size)})")

    _ask(ctx, save)


def _ask(
    ctx: click.Context,
    tell: Callable[[LiveSource, model.Hello, model.Sample], Awaitable[None]],
) -> None:
    """Runs ``tell`` with the agent's first sample, in the loop of the monitor's thread."""
    monitor: Any = ctx.obj

    async def work(ctx: click.Context) -> None:
        point = agent_in(os.getpid())
        if point is None:
            print_fail("No agent in this process: `taskscope start` starts one.")
            return
        source = LiveSource(point.path)
        try:
            hello = await source.open()
            await tell(source, hello, await anext(source.samples()))
        except SourceError as error:
            print_fail(str(error))
        finally:
            await source.close()

    command_done.get().clear()  # set by its help option; the prompt would precede the answer
    monitor._termui_tasks.add(monitor._ui_loop.create_task(auto_async_command_done(work)(ctx)))


def _register() -> None:
    """Adds the group to aiomonitor's commands, whose ``command`` passes the context itself."""
    root = aiomonitor.monitor_cli
    opening = custom_help_option(_group)
    group = root.group(name="taskscope", invoke_without_command=True, add_help_option=False)(
        click.pass_context(opening)
    )
    count = click.IntRange(min=1)
    group.command(name="start")(
        click.option("--control", is_flag=True, help="Let attached clients cancel tasks")(
            custom_help_option(auto_command_done(_start))
        )
    )
    group.command(name="status")(custom_help_option(_status))
    group.command(name="sites")(
        click.option("-n", "number", default=MAX_SITES, type=count, help="How many")(
            custom_help_option(_sites)
        )
    )
    group.command(name="snapshot")(click.argument("file", required=False)(custom_help_option(_snapshot)))


_register()
