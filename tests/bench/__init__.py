"""Measurements against budgets and peers; run with ``pytest tests/bench -m bench -n 0 -s``."""
