"""The verbs of the command line: one module each, imported only when that verb runs.

A verb's module is named after it (``attach.py`` is ``taskscope attach``) and holds two functions::

    def register(parser: argparse.ArgumentParser) -> None:
        # describes the verb and adds its arguments

    def main(options: argparse.Namespace) -> int:
        # runs the verb and returns its exit status

At module level it imports only the standard library and ``taskscope.commands.common``; heavy imports
(textual, psutil, sources) go inside ``main``, so that ``--help`` stays under 100 ms.  A verb that fails
raises ``common.CommandError(sentence)`` (status 3) or ``common.UsageError(sentence)`` (status 2);
SourceError, EndpointError, AttachError, SnapshotError and RecordingError count as CommandError.  Messages go
through ``common.say`` (stderr); ``print`` (stdout) is for the verb's output.

``VERBS`` lists them all, each with its line in ``taskscope --help``; a verb without a module is left out.
"""

from __future__ import annotations

VERBS: dict[str, str] = {
    "ps": "list the Python processes on this machine",
    "run": "run a program with the agent in it from the first line",
    "attach": "open the app on a running process",
    "snapshot": "save the whole state of a process as JSON",
    "record": "record a process as it goes, to play it later",
    "open": "open the app on a snapshot or a recording",
    "diff": "compare two snapshots: what grew, came, went",
    "watch": "watch a process without the app; report growth, leaks, hangs and spinning loops",
    "report": "write one page that says what is wrong, to send to somebody",
    "export": "write stacks and tables for other tools",
    "metrics": "print or serve metrics for Prometheus",
    "demo": "run a demo service that leaks, and open the app on it",
    "serve": "serve the app to a browser on this machine",
    "relay": "serve --via from another machine or container, on stdin and stdout",
    "detach": "remove the agent from a process",
    "doctor": "check whether and how a process can be attached to",
}
