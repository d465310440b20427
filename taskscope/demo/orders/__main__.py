"""Runs the order executor.

``--speed N`` makes the five minutes for which a failure counts, and the traders' connections, N times
shorter but keeps the rates: at 100 failures a second growth shows at once, and the plateau
(rate x 300 s / N) comes N times sooner.
"""

from __future__ import annotations

from taskscope.demo import serving
from taskscope.demo.orders.service import OrderService


def main() -> None:
    """Reads the options and serves."""
    parser = serving.options("orders", "An order executor that counts recent failures.")
    parser.add_argument("--rate", type=float, default=100.0, metavar="R", help="failed orders a second")
    given = parser.parse_args()
    serving.run(given, lambda fixed: OrderService(fixed=fixed, speed=given.speed, rate=given.rate))


if __name__ == "__main__":
    main()
