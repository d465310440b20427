"""What attaching does in the kernels and containers of production: works, or says why not and what to do.

``python -m tests.machine.environments`` prints the table.  Those that need root alone are made here, the
others in a machine of its own (`linux`), which takes ten minutes; ``--here`` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.machine.environment import REPO, Row, rows
from tests.machine.there import PACKAGES, THERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.machine.environment import Environment

MARK = "row: "
"""Before each row that a machine prints."""


def from_machine(show: Callable[[str], object], *words: str) -> list[Row]:
    """The rows of the environments that take a machine of its own.  Raises MachineError."""
    from tests.machine.linux import Machine, MachineError  # it takes pytest

    table = shlex.join(["python3.11", "-m", "tests.machine.environments", "--there", *words])
    command = f"cd /in/{REPO.name} && TASKSCOPE_PATIENCE=20 TMPDIR=/in {table}"
    done = Machine(packages=PACKAGES).run(command, [REPO], 1800, show)
    if done.status:
        raise MachineError(done.output)
    found = re.findall(f"^{MARK}(.*)$", done.output, re.MULTILINE)
    return [Row(**json.loads(line)) for line in found]


def main(arguments: Sequence[str]) -> int:
    """Prints the table; 1 if something in it is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine.environments", description=__doc__)
    parser.add_argument("--here", action="store_true", help="only those that need no machine of its own")
    parser.add_argument("--there", action="store_true", help=argparse.SUPPRESS)  # in that machine
    parser.add_argument("words", nargs="*", help="only those with each of these words in their names")
    options = parser.parse_args(arguments)
    if options.there:
        for row in rows(_named(THERE, options.words)):
            print(f"{MARK}{json.dumps(asdict(row))}", flush=True)
        return 0
    from tests.machine.here import HERE  # it takes pytest

    found = list(_shown(rows(_named(HERE, options.words))))
    if not options.here and _named(THERE, options.words):
        found += from_machine(sys.stderr.write, *options.words)
    print("| environment | attaching |\n|---|---|")
    for row in found:
        print(f"| {row.name} | {row.says}{f' **{row.problem}**' if row.problem else ''} |")
    return int(any(row.problem for row in found))


def _named(environments: Sequence[Environment], words: Sequence[str]) -> list[Environment]:
    return [each for each in environments if all(word in each.name for word in words)]


def _shown(found: Iterator[Row]) -> Iterator[Row]:
    for row in found:
        print(f"{row.name}: {row.says} {row.problem}", file=sys.stderr, flush=True)
        yield row


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
