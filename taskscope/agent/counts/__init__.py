"""Counters, the past, samples, loops and the meters of the process: what is kept, not what is asked."""
