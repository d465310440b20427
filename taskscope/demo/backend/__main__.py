"""Runs the API server.

``--speed N`` makes runs, their pauses, bursts and timeouts N times shorter.  Above 60, watchers no longer
find their runs in time.
"""

from __future__ import annotations

from taskscope.demo import serving
from taskscope.demo.backend.service import Backend


def main() -> None:
    """Reads the options and serves."""
    given = serving.options("backend", "An API server with runs that can be watched.").parse_args()
    serving.run(given, lambda fixed: Backend(fixed=fixed, speed=given.speed))


if __name__ == "__main__":
    main()
