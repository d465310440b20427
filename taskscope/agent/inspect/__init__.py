"""Reading objects of the program: none of its code runs (``looking``), no walk holds the GIL for long."""
