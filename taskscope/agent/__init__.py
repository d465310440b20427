"""The half that runs inside the target.  It stands on ``model``, ``wire``, ``endpoint`` and ``system`` alone.

Its rooms, each importing from those after it: ``agent`` (its life); ``server`` with ``desk``, ``clients`` and
``reply``; ``answers`` to requests; ``hooks``, which notice births; ``counts`` of what lives; ``inspect``, for
reading the program's objects.
"""
