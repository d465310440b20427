"""A crash of the app: one sentence for the user, and the traceback in a file for a bug report."""

from __future__ import annotations

import os
import tempfile
import traceback


def told(error: BaseException) -> str:
    """The sentence for ``error``, with the path of the traceback if it could be written."""
    sentence = (
        f"taskscope: the app crashed ({type(error).__name__}: {error}).  This is a bug in taskscope; "
        "the target keeps running."
    )
    try:
        handle, path = tempfile.mkstemp(prefix="taskscope-crash-", suffix=".txt")
        with os.fdopen(handle, "w", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return sentence
    return f"{sentence}  Details for a bug report: {path}"
