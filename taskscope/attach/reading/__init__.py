"""Reads an interpreter and its kernel threads from outside: nothing is written, stopped or run."""
