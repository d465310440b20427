"""The verbs of the command line: one module each, imported only when that verb runs.

A verb's module is named after it (``attach.py`` is ``taskscope attach``) and holds two functions::

    def register(parser: argparse.ArgumentParser) -> None:
        # sets the parser's description and adds the verb's arguments

    def main(options: argparse.Namespace) -> int:
        # does it and returns the exit status

The module itself imports the standard library and ``taskscope.commands.common`` at most; whatever is heavy
(textual, psutil, sources) is imported inside ``main``, so that ``--help`` stays under 100 ms.  A verb that
goes wrong raises ``common.Failure(sentence)`` (status 3) or ``common.UsageError(sentence)`` (status 2);
SourceError and EndpointError count as Failure.  Text goes through ``common.say`` (stderr) or ``print``
(stdout, machine output only).

``VERBS`` is the one list of them, with the line that ``taskscope --help`` shows; a verb whose module is
not there is left out.
"""

from __future__ import annotations

VERBS: dict[str, str] = {
    "ps": "list the Python processes of this machine",
    "run": "run a program with the agent from its first line",
    "attach": "open the app on a running process",
    "snapshot": "save the whole state of a process as JSON",
    "open": "open the app on a saved snapshot",
    "diff": "compare two snapshots: what grew, came, went",
    "watch": "sample a process without the app and judge its growth",
    "demo": "run one of the demonstration systems with the app on it",
    "detach": "remove the agent from a process",
    "doctor": "say whether and how a process can be attached",
}
