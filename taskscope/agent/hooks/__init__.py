"""How births are noticed, and the way back: one owner of all that is changed in the program (``parts``)."""
