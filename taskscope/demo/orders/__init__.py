"""An order executor: takes orders over TCP, places them at an exchange, follows its market data."""
