"""No animations, whatever the environment says: they are time, and tests have no time of their own."""

from __future__ import annotations

import os

os.environ["TEXTUAL_ANIMATIONS"] = "none"
