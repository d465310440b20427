"""The half that runs inside the target.  It imports only ``model``, ``wire``, ``endpoint`` and ``system``.

Its packages, each importing only from later ones: ``agent`` (life cycle); ``server`` with ``desk``,
``clients`` and ``reply``; ``answers`` to requests; ``hooks``, which record births; ``counts`` of live tasks;
``inspect``, for reading the program's objects.
"""
