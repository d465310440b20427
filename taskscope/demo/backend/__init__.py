"""An API server for trading research: watchable runs, notices, signals, risk halts, cleanup."""
