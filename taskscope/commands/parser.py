"""How the command line reads its arguments: argparse, with each usage error in one line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import NoReturn


class Parser(ArgumentParser):
    """An ArgumentParser that reports a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")
