"""Through a helper, the line that asked for the task is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.pythons import NEWEST, require

SHAPES = Path(__file__).with_name("helper_shapes.py")
ROOT = Path(__file__).parents[2]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"

LIBRARY = {
    "__init__.py": "from kit.page import page\nfrom kit.tasks import create\n",
    "tasks.py": "import asyncio\n\n\ndef create(coro):\n    return asyncio.create_task(coro)\n",
    "page.py": """from kit.tasks import create


def page(function):
    coro = function()

    async def render():
        await coro

    return create(render())
""",
}


def _marks(sign: str) -> dict[str, int]:
    lines = enumerate(SHAPES.read_text().splitlines(), 1)
    return {name: number for number, line in lines for name in re.findall(rf"# {sign} ([^#]+\b_?)", line)}


CAUSE, HELPER = _marks("@"), _marks(">")


@lru_cache
def _sites(version: str) -> dict[str, dict[str, Any]]:
    """The sites of one run by what they started; those of pools by the thread's name."""
    python = Path(sys.executable) if version == HERE else require(version)
    with TemporaryDirectory(prefix="taskscope-shapes-") as place:
        kit = Path(place, "site-packages", "kit")
        kit.mkdir(parents=True)
        for name, text in LIBRARY.items():
            kit.joinpath(name).write_text(text)
        path = os.pathsep.join([str(ROOT), str(kit.parent)])
        done = subprocess.run(
            [python, "-W", "error", SHAPES],
            capture_output=True,
            text=True,
            timeout=50,
            env=os.environ | {"PYTHONPATH": path, "TASKSCOPE_DIR": place},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    snapshot = json.loads(done.stdout)
    assert snapshot["sample"]["disarmed"] == []
    by_id = {site["id"]: site for site in snapshot["sites"]}
    found = {site["coroutine"]: site for site in snapshot["sites"]}
    for thread in snapshot["threads"]:
        if thread["site"]:
            found[f"pool {thread['name'].rpartition('_')[0]}"] = by_id[thread["site"]]
    return found


@pytest.mark.parametrize("version", sorted({HERE, NEWEST}))
@pytest.mark.parametrize("shape", CAUSE)
def test_the_line_behind_the_helper(shape: str, version: str) -> None:
    site = _sites(version)[shape]
    place, via = site["frame"], site["via"]
    assert (place["file"], place["line"]) == (str(SHAPES), CAUSE[shape])
    assert site["user_frame"] == place
    if shape == "library":
        assert via["file"].endswith("kit/tasks.py")
    else:
        assert (via and via["line"]) == HELPER.get(shape)


@pytest.mark.parametrize("version", sorted({HERE, NEWEST}))
def test_a_library_that_makes_the_task_itself_is_named_beside_the_line_that_called_it(version: str) -> None:
    site = _sites(version)["page.render"]
    assert (Path(site["frame"]["file"]).name, site["frame"]["line"]) == ("page.py", 10)
    assert (Path(site["via"]["file"]).name, site["via"]["line"]) == ("tasks.py", 5)
    assert site["user_frame"]["function"] == "by_page"
