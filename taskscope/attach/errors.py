"""Why a process cannot be attached to, in words for the user."""

from __future__ import annotations


class AttachError(Exception):
    """``sentence`` says what and which process, ``remedy`` what to do (empty: nothing can be done)."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence}; {remedy}" if remedy else sentence)
        self.sentence = sentence
        self.remedy = remedy


class BeingTracedError(AttachError):
    """Another process traces it at this moment; a debugger stays, another attacher is gone in no time."""
