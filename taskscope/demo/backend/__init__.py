"""An API server for trading research: runs that can be watched, notices, signals, risk halts, clean-up."""
