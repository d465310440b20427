"""The tasks of web frameworks: the site is the line that decided, shown with the library's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packages import require
from tests.pythons import NEWEST
from tests.pythons import require as require_python

pytestmark = pytest.mark.packages

WAYS = Path(__file__).with_name("web_ways.py")
ROOT = Path(__file__).parents[2]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"

_MARKS = {
    line.rpartition("# @")[2].strip(): number
    for number, line in enumerate(WAYS.read_text().splitlines(), 1)
    if "# @" in line
}
_CALL_NEXT = "BaseHTTPMiddleware.__call__.call_next.coro"
_OF_FASTAPI = (
    "in_handler",
    "in_dependency",
    "in_lifespan",
    "in_middleware",
    "in_stream",
    "in_websocket",
    _CALL_NEXT,
)

# What the program asked for: coroutine → the mark of the line, and a part of the library's own line.
_ASKED: dict[str, dict[str, tuple[str, str]]] = {
    "uvicorn": {name: (name, "") for name in _OF_FASTAPI}
    | {
        "Server.serve": ("Server.serve", ""),
        _CALL_NEXT: ("call_next", "starlette/middleware/base.py"),
        "TCPConnector._resolve_host_with_throttle": (
            "TCPConnector._resolve_host_with_throttle",
            "aiohttp/connector.py",
        ),
    },
    "aiohttp": {
        "in_handler": ("in_handler of aiohttp", ""),
        "in_websocket": ("in_websocket of aiohttp", ""),
        "in_lifespan": ("in_lifespan of aiohttp", ""),
        "aiojob": ("aiojob", "aiojobs/"),
        "Scheduler._wait_failed": ("aiojob", "aiojobs/"),
    },
}
_ASKED["hypercorn"] = _ASKED["uvicorn"] | {"serve": ("serve", "")}
del _ASKED["hypercorn"]["Server.serve"]

_NOT_ALWAYS = {"TCPConnector._resolve_host_with_throttle"}
"""Made by a constructor from 3.12 on where it may run at once; then it is seen only if it lasts."""

# What the library does by itself: coroutine → a part of its file.  No line of the program stands behind it.
_BY_ITSELF: dict[str, dict[str, str]] = {
    "uvicorn": {
        "RequestResponseCycle.run_asgi": "uvicorn/protocols/http/",
        "LifespanOn.main": "uvicorn/lifespan/",
        "WebSocketsSansIOProtocol.run_asgi": "uvicorn/protocols/websockets/",
        "StreamingResponse.__call__.wrap": "starlette/responses.py",
    },
    "aiohttp": {
        "RequestHandler.start": "aiohttp/web_protocol.py",
        "RequestHandler._handle_request": "aiohttp/web_protocol.py",
    },
    "hypercorn": {
        "_handle": "hypercorn/",
        "StreamingResponse.__call__.wrap": "starlette/responses.py",
    },
}


# What is awaited in a library's function, by the function's name.
_PARKED = {
    "uvicorn": {("get", "aiohttp ClientResponse.read")},
    "aiohttp": {
        ("get", "aiohttp ClientResponse.start"),
        ("RequestHandler._handle_request", "aiohttp WebSocketResponse.receive"),
    },
}
_PARKED["hypercorn"] = _PARKED["uvicorn"]


def _run(version: str, server: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    if version == HERE:
        pytest.importorskip("fastapi")
        pytest.importorskip("uvicorn")
        python, wanted = Path(sys.executable), _EXTRA.get(server, ())
    else:
        python, wanted = require_python(version), _ALL
    path = [str(ROOT), *([str(require(version, *wanted))] if wanted else [])]
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [python, "-W", "error", WAYS, server, *options],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    snapshot: dict[str, Any] = json.loads(done.stdout)
    return snapshot


_EXTRA: dict[str, tuple[str, ...]] = {"hypercorn": ("hypercorn",), "aiohttp": ("aiojobs",)}
_ALL = ("aiohttp", "aiojobs", "fastapi", "hypercorn", "uvicorn", "uvloop", "websockets")
"""What the tests have anyway is not fetched for their own Python."""


@pytest.mark.parametrize("version", sorted({HERE, NEWEST}))
@pytest.mark.parametrize(
    ("server", "loop"),
    [("uvicorn", "default"), ("uvicorn", "uvloop"), ("hypercorn", "default"), ("aiohttp", "default")],
)
def test_the_line_that_decided(version: str, server: str, loop: str, tmp_path: Path) -> None:
    snapshot = _run(version, server, tmp_path, loop)
    sites: dict[str, list[dict[str, Any]]] = {}
    for site in snapshot["sites"]:
        sites.setdefault(site["coroutine"], []).append(site)
    for name, (mark, library) in _ASKED[server].items():
        assert name in sites or name in _NOT_ALWAYS, name
        for site in sites.get(name, ()):
            assert (site["frame"]["file"], site["frame"]["line"]) == (str(WAYS), _MARKS[mark]), name
            assert (site["via"] is not None) == bool(library), name
            assert library in (site["via"] or {"file": ""})["file"], name
    for name, file in _BY_ITSELF[server].items():
        for site in sites[name]:
            assert file in site["frame"]["file"], name
            assert (site["user_frame"], site["via"]) == (None, None), name
    assert _PARKED[server] <= {(task["coroutine"], task["parked"]["text"]) for task in snapshot["tasks"]}
    counts = {each["site"]: each["counts"] for each in snapshot["sample"]["sites"]}
    for site in snapshot["sites"]:
        numbers = counts[site["id"]]
        ended = sum(numbers[how] for how in ("finished", "failed", "cancelled", "lost", "unseen"))
        assert numbers["born"] == numbers["live"] + ended
    assert (snapshot["sample"]["disarmed"], snapshot["sample"]["dropped"]) == ([], {})
