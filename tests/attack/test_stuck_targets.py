"""Each row of the table of ``stuck_targets``: every command says why, soon, and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.attack.stuck_targets import CASES, Case, outcome
from tests.patience import FACTOR

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.attack, pytest.mark.timeout(180)]

SECONDS = 12.0
"""Until it is said, on a busy machine: it takes 1.5 to 3 on an idle one, the start of Python included."""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_why_no_code_can_run_is_said_and_nothing_is_left_behind(case: Case, tmp_path: Path) -> None:
    found = outcome(case, tmp_path)
    for name, said in found.said.items():
        assert said.words, name
        assert said.seconds < SECONDS * FACTOR, (name, said)
    assert found.left == "nothing"
    assert found.later in ("nothing", "–")
