"""Runs the quote collector.

``--speed N`` makes connections and the pause before a reconnect N times shorter.  The heartbeat interval
stays the same, or heartbeats would swamp the venue.
"""

from __future__ import annotations

from taskscope.demo import serving
from taskscope.demo.heartbeat.service import QuoteService


def main() -> None:
    """Reads the options and serves."""
    given = serving.options("heartbeat", "A quote collector with a reconnecting client.").parse_args()
    serving.run(given, lambda fixed: QuoteService(fixed=fixed, speed=given.speed))


if __name__ == "__main__":
    main()
