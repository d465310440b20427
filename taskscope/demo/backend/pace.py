"""How long things take, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, at speed 1; ``Pace.at(speed)`` shortens them."""

    run_every: float = 6.0
    step: float = 2.0
    """A run has three, with a progress notice each."""
    linger: float = 1.0
    """How long a watcher stays when the run is over."""
    burst_every: float = 9.0
    """Between two bursts of risk events."""
    beat: float = 0.1
    """Between two rounds of a hub."""
    ping_every: float = 5.0
    answer_within: float = 0.8
    """Time-out for the broker's answer."""
    collect_within: float = 1.5
    """Time-out for the signals of one step."""

    @classmethod
    def at(cls, speed: float) -> Pace:
        """All durations, ``speed`` times shorter."""
        normal = cls()
        return cls(*(getattr(normal, name) / speed for name in cls.__slots__))
