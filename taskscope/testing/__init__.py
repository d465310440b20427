"""What code leaves behind: ``no_leaks``, the pytest plugin."""
