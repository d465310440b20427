"""Checks for tasks and threads that code leaves behind: ``no_leaks`` and the pytest plugin."""
