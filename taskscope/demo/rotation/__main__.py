"""Runs the log capturer.

``--speed N`` makes the time between two rotations of a stream N times shorter.  The log rate
stays the same.
"""

from __future__ import annotations

from taskscope.demo import serving
from taskscope.demo.rotation.service import CaptureService


def main() -> None:
    """Reads the options and serves."""
    given = serving.options("rotation", "A log capturer that rotates its streams.").parse_args()
    serving.run(given, lambda fixed: CaptureService(fixed=fixed, speed=given.speed))


if __name__ == "__main__":
    main()
