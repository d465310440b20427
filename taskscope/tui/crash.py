"""When the app itself fails: one sentence for the user, the traceback in a file for the report."""

from __future__ import annotations

import os
import tempfile
import traceback


def told(error: BaseException) -> str:
    """The sentence for ``error``; names the file that it wrote, if it could."""
    sentence = (
        f"taskscope: the app failed ({type(error).__name__}: {error}); the fault is taskscope's, "
        "and the target goes on."
    )
    try:
        handle, path = tempfile.mkstemp(prefix="taskscope-crash-", suffix=".txt")
        with os.fdopen(handle, "w", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return sentence
    return f"{sentence}  For a report: {path}"
