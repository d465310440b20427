"""State kept over time: counters, history, samples, loops, and process meters."""
