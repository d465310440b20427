"""What can be observed, and the protocol: each thing said once, no I/O.

``values`` are the observations, ``findings`` the verdicts on them, ``vocabulary`` the closed sets of words in
both, ``requests`` the methods of the protocol, ``snapshot`` the sections of a snapshot.
"""

from __future__ import annotations

from taskscope.model.findings import *  # noqa: F403
from taskscope.model.findings import __all__ as _findings
from taskscope.model.values import *  # noqa: F403
from taskscope.model.values import __all__ as _values

__all__ = [*_findings, *_values]  # noqa: PLE0604  (both are lists of names)
