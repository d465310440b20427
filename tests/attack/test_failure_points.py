"""Every function of the agent is made to raise at every moment: the program notices nothing, nothing is left.

The whole attack takes some minutes; the default suite has the points that once did harm (see
``tests/integration/test_failure_points.py``).
"""

from __future__ import annotations

import pytest

from tests.attack.failing import ERRORS, MOMENTS, attack, points
from tests.pythons import require

pytestmark = [pytest.mark.attack, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("version", ["3.11", "3.13"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_failure_anywhere_in_the_agent_stays_there(moment: str, version: str) -> None:
    python = require(version)
    names = points(python, moment)
    assert len(names) > 20
    outcome = attack(python, moment, [(name, error) for name in names for error in ERRORS])
    print(f"\nPython {version}, {moment}: {len(names)} functions, {outcome.runs} runs, {outcome}")
    assert outcome.runs == len(names) * len(ERRORS)
    assert not outcome.problems
