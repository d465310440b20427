"""An order on the wire: ``ID SIDE SYMBOL QUANTITY`` on a line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a client; ``id`` is the client's own."""

    id: str
    side: str
    symbol: str
    quantity: int

    @classmethod
    def parse(cls, line: str) -> Order:
        """Reads a line.  Raises ValueError if it is not an order."""
        id, side, symbol, quantity = line.split()
        if side not in ("BUY", "SELL"):
            raise ValueError(f"{side} is neither BUY nor SELL")
        return cls(id, side, symbol, int(quantity))
