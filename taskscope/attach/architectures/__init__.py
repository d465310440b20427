"""The processors whose programs can be attached to, by the machine number in ELF files."""

from __future__ import annotations

from taskscope.attach.architectures.aarch64 import AARCH64
from taskscope.attach.architectures.base import Architecture
from taskscope.attach.architectures.x86_64 import X86_64

__all__ = ["BY_MACHINE", "Architecture"]

BY_MACHINE = {each.machine: each for each in (X86_64, AARCH64)}
