"""Measurements against the budgets and the peers; run with ``pytest tests/bench -m bench -n 0 -s``."""
