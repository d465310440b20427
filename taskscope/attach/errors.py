"""Why a process cannot be attached to, for the user."""

from __future__ import annotations


class AttachError(Exception):
    """``sentence`` names the problem and the process, ``remedy`` what to do (empty: nothing)."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence}; {remedy}" if remedy else sentence)
        self.sentence = sentence
        self.remedy = remedy


class OutOfReachError(AttachError):
    """We may not inspect it, or do not see it: a container may need more rights, or to share processes."""


class BeingTracedError(AttachError):
    """Another process traces it: a debugger, or another client attaching, which is brief."""
