"""Reads the program's objects: none of its code runs (``looking``), no walk holds the GIL for long."""
