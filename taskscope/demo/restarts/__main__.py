"""Runs the simulation.

``--speed N`` makes the time between chaos events, and recoveries, N times shorter.  The controllers
report every 30 s at any speed.
"""

from __future__ import annotations

from taskscope.demo import serving
from taskscope.demo.restarts.simulation import Simulation


def main() -> None:
    """Reads the options and serves."""
    given = serving.options("restarts", "A cluster simulation with chaos events.").parse_args()
    serving.run(given, lambda fixed: Simulation(fixed=fixed, speed=given.speed))


if __name__ == "__main__":
    main()
