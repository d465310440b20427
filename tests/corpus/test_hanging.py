"""Programs that hang, attached by pid: told within half a minute, with the cause and every line of it.

The packages may be those of another interpreter, as in ``test_cases``.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from tests.corpus.program import Program, programs, shown
from tests.corpus.score import judged, started
from tests.corpus.test_cases import PYTHON, with_packages

if TYPE_CHECKING:
    from taskscope.model import Finding

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WITHIN = 30.0


@pytest.mark.parametrize("program", programs("hanging"), ids=lambda program: program.path.stem)
async def test_a_hang_is_told_soon_after_attaching(program: Program) -> None:
    said: tuple[Finding, ...] = ()
    async with started(with_packages(program), PYTHON) as pid, aclosing(judged(pid)) as course:
        async for passed, said in course:
            if any(program.is_right(each) and each.level == "hang" for each in said):
                return
            if passed > WITHIN:
                break
    pytest.fail("\n\n".join(map(shown, said)) or "nothing is said")
