"""``taskscope serve``: the app in a real browser, for who has the token and nobody else."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests import pythons, targets
from tests.far_ends import children, settled
from tests.integration.children import taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.targets import Program

pytestmark = pytest.mark.packages

BROWSER = shutil.which("chromium")


@pytest.fixture
def program() -> Iterator[Program]:
    with targets.running(pythons.require("3.11"), "asyncio idle") as found:
        yield found


@contextmanager
def served(*words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address, and the server."""
    command = [sys.executable, "-m", "taskscope", "serve", "--port", "0", *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip(), child
    finally:
        child.terminate()
        child.communicate(timeout=20)


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_without_the_token_or_from_a_foreign_page_there_is_nothing(program: Program) -> None:
    with served(str(program.pid)) as (url, server):
        base, token = url.split("/?token=")
        assert base.startswith("http://127.0.0.1:")
        port = base.rpartition(":")[2]
        assert status(url) == 200
        assert status(f"{base}/static/css/xterm.css", Cookie=f"taskscope_{port}={token}") == 200
        for path in ("/", "/?token=x", "/?token=", "/ws", "/static/css/xterm.css", "/download/x"):
            assert status(base + path) == 403, path
        assert status(url, Host=f"rebound.example:{port}") == 403
        assert status(url, Origin="http://elsewhere.example") == 403
        assert status(f"{base}/ws?token={token}", Origin="http://elsewhere.example") == 403
        assert children(server.pid) == []


def test_a_port_that_is_taken_is_said(program: Program) -> None:
    with served(str(program.pid)) as (url, _):
        port = url.partition("/?")[0].rpartition(":")[2]
        refused = taskscope("serve", "--port", port, str(program.pid))
        assert (refused.returncode, refused.stderr) == (
            3,
            f"taskscope serve: cannot listen at 127.0.0.1:{port}: Address already in use\n",
        )


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
async def test_a_browser_shows_the_app_and_the_app_ends_with_its_page(
    program: Program, tmp_path: Path
) -> None:
    with served(str(program.pid)) as (url, server):
        assert BROWSER is not None
        chromium = subprocess.Popen(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
                *(f"--user-data-dir={tmp_path}", "--window-size=1200,800", url),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            settled((tmp_path / "DevToolsActivePort").exists, True)
            port = (tmp_path / "DevToolsActivePort").read_text().split()[0]
            await _drawn(port)
            assert len(children(server.pid)) == 1
        finally:
            chromium.terminate()
            chromium.wait(20)
        settled(lambda: children(server.pid), [])


async def _drawn(port: str) -> None:
    """Waits until the page has got the first bytes of the app, by the browser's own debugger."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/json") as answer:
        (page,) = [each for each in await answer.json() if each["type"] == "page"]
        async with session.ws_connect(page["webSocketDebuggerUrl"]) as debugger:
            for number in range(400):
                question = {"expression": "document.body.className", "returnByValue": True}
                await debugger.send_json({"id": number, "method": "Runtime.evaluate", "params": question})
                said = json.loads((await debugger.receive(timeout=20)).data)
                if "-first-byte" in said["result"]["result"].get("value", ""):
                    return
                await asyncio.sleep(0.1)
    raise AssertionError("the page stays empty")
