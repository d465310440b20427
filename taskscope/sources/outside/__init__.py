"""A process seen from outside, without entering it: nothing is written there, stopped or run."""
