"""Real services with every task accounted for, and libraries that start tasks for others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.pythons import installed, versions

pytestmark = pytest.mark.packages

WEB = Path(__file__).with_name("web_services.py")
ROOT = Path(__file__).parents[2]


def run(command: list[str], tmp_path: Path, **environment: str) -> Any:
    directory = tmp_path / "run"
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(directory)} | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def counted(snapshot: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Coroutine → its site with its counts; checks that births add up."""
    counts = {each["site"]: each["counts"] for each in snapshot["sample"]["sites"]}
    found = {}
    for site in snapshot["sites"]:
        numbers = counts[site["id"]]
        ended = [numbers[outcome] for outcome in ("finished", "failed", "cancelled", "lost", "unseen")]
        assert numbers["born"] == numbers["live"] + sum(ended)
        found[site["coroutine"]] = site | numbers
    living = [task["coroutine"] for task in snapshot["tasks"]]
    for name in {site["coroutine"] for site in found.values() if site["kind"] == "task"}:
        assert living.count(name) == found[name]["live"], name
    return found


def line_of(mark: str) -> int:
    return next(n for n, line in enumerate(WEB.read_text().splitlines(), 1) if line.endswith(f"# @ {mark}"))


def test_fastapi_on_uvicorn_with_websockets_and_background_tasks(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    sites = counted(run([sys.executable, "-W", "error", str(WEB), "fastapi"], tmp_path))
    tick = sites["tick"]
    assert (tick["frame"]["file"], tick["frame"]["line"]) == (str(WEB), line_of("handler"))
    assert (tick["live"], tick["born"]) == (80, 80)
    assert sites["Server.serve"]["frame"]["line"] == line_of("serve")
    requests = sites["RequestResponseCycle.run_asgi"]
    assert "/uvicorn/" in requests["frame"]["file"]
    assert (requests["live"], requests["born"]) == (1, 81)  # the one with the background task goes on
    sockets = next(site for name, site in sites.items() if name.startswith("WebSockets"))
    assert (sockets["live"], sockets["born"]) == (8, 8)


def test_an_aiohttp_server_and_client(tmp_path: Path) -> None:
    sites = counted(run([sys.executable, "-W", "error", str(WEB), "aiohttp"], tmp_path))
    tick = sites["tick"]
    assert (tick["frame"]["file"], tick["frame"]["line"]) == (str(WEB), line_of("aiohttp handler"))
    assert (tick["live"], tick["born"]) == (80, 80)
    handlers = sites["RequestHandler._handle_request"]
    assert (
        handlers["born"] >= 89
    )  # a client may ask once more on a connection that the server has just closed
    assert handlers["frame"]["function"] == "RequestHandler.start"


FOUR_LOOPS = """
    import asyncio, gc, json, sys, threading
    import taskscope
    taskscope.start("four", interval=0.1)
    async def ends(): await asyncio.sleep(0)
    async def fails(): raise ValueError
    async def sleeps(): await asyncio.sleep(60)
    async def never(): await asyncio.Event().wait()
    def loop():
        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            for _ in range(50):
                tasks = [asyncio.create_task(ends()) for _ in range(40)]
                tasks += [asyncio.create_task(fails()) for _ in range(5)]
                cancelled = [asyncio.create_task(sleeps()) for _ in range(5)]
                await asyncio.sleep(0)
                for task in cancelled: task.cancel()
                await asyncio.gather(*tasks, *cancelled, return_exceptions=True)
                lost = asyncio.get_running_loop().create_task(never())
                await asyncio.sleep(0)
                del lost
                gc.collect()
        asyncio.run(main())
    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    gc.collect()
    json.dump(taskscope.snapshot(), sys.stdout)
    taskscope.stop()
"""


@pytest.mark.parametrize("version", versions())
def test_four_loops_in_four_threads(version: str, tmp_path: Path) -> None:
    if version not in installed():
        pytest.skip(f"no Python {version} here")
    command = [str(installed()[version]), "-c", textwrap.dedent(FOUR_LOOPS)]
    snapshot = run(command, tmp_path)
    sites = counted(snapshot)
    outcomes = {
        name: {key: sites[name][key] for key in ("born", "finished", "failed", "cancelled", "live")}
        for name in ("ends", "fails", "sleeps")
    }
    assert outcomes["ends"] == {"born": 8000, "finished": 8000, "failed": 0, "cancelled": 0, "live": 0}
    assert outcomes["fails"] == {"born": 1000, "finished": 0, "failed": 1000, "cancelled": 0, "live": 0}
    assert outcomes["sleeps"] == {"born": 1000, "finished": 0, "failed": 0, "cancelled": 1000, "live": 0}
    never = sites["never"]
    # Some are found by another thread's collector, and end as CPython ends them.
    assert never["born"] == 200
    assert never["lost"] > 50
    assert never["live"] == never["finished"] == 0


BEHIND_A_LIBRARY = """
    import asyncio, json, sys
    import taskscope
    taskscope.start("behind")
    import LIBRARY
    async def main():
        task = LIBRARY.spawn()
        await asyncio.sleep(0)
        json.dump(taskscope.snapshot(), sys.stdout)
        task.cancel()
    asyncio.run(main())
    taskscope.stop()
"""


@pytest.mark.parametrize(("library", "configured"), [("aiojobs", False), ("ours", True), ("ours", False)])
def test_the_line_that_asked_is_the_site(library: str, configured: bool, tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / library
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import asyncio\n"
        "async def job(): await asyncio.sleep(60)\n"
        "def spawn(): return asyncio.create_task(job())\n"
    )
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(BEHIND_A_LIBRARY).replace("LIBRARY", library))
    config = tmp_path / "config" / "taskscope"
    config.mkdir(parents=True)
    if configured:
        (config / "plumbing").write_text("# our own helpers\nours  # spawn()\n")
    path = os.pathsep.join([str(ROOT), str(package.parent)])
    snapshot = run(
        [sys.executable, str(program)], tmp_path, PYTHONPATH=path, XDG_CONFIG_HOME=str(config.parent)
    )
    site = counted(snapshot)["job"]
    asked = (str(program), 7)
    library_line = (str(package / "__init__.py"), 3)
    if library == "ours" and not configured:
        assert (site["frame"]["file"], site["frame"]["line"]) == library_line
        assert site["via"] is None
    else:
        assert (site["frame"]["file"], site["frame"]["line"]) == asked
        assert (site["via"]["file"], site["via"]["line"]) == library_line
    assert (site["user_frame"]["file"], site["user_frame"]["line"]) == asked
