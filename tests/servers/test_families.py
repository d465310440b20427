"""Each row of the table of ``families``: all workers are seen, and have agents by themselves where they can.

``pytest tests/servers/test_families.py -m servers -n 2``, with celery, gunicorn, supervisor and uvicorn.
"""

from __future__ import annotations

import pytest

from tests.servers.families import FAMILIES, PATIENCE, Family, Way, seen

pytestmark = [pytest.mark.servers, pytest.mark.timeout(PATIENCE + 60)]


@pytest.mark.parametrize("way", ["outside", "run"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.title)
async def test_the_leak_of_each_worker_is_told_at_its_line(family: Family, way: Way) -> None:
    if family.missing:
        pytest.skip(f"needs {', '.join(family.missing)}")
    found = await seen(family, way)
    assert found.leaking == family.workers, found
    assert found.roles == (family.role,)
    assert found.own == (family.workers if way == "run" and family.follows else 0)
    assert "refused" not in found.others
