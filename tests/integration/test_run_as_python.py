"""``taskscope run`` shows no difference from plain ``python``: same bytes, same exit status, same signal."""

# ruff: noqa: E501  (a program in a table reads best on one line)

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pythons import SUPPORTED, require

if TYPE_CHECKING:
    from collections.abc import Callable

REPO = Path(__file__).parents[2]

SCRIPTS = {
    "arguments": "import sys; print(sys.argv, sys.path[0], sys.flags.optimize, sys.orig_argv[1:])",
    "main": "import sys; m = sys.modules['__main__']; print(sorted(vars(m)), m.__file__, m.__spec__, m.__name__)",
    "builtins": "print(__builtins__, type(__builtins__), __loader__.__class__, __loader__.path)",
    "annotations": "x: int = 3\nprint(x, __annotations__)",
    "exit nothing": "raise SystemExit",
    "exit none": "raise SystemExit(None)",
    "exit zero": "import sys; sys.exit(0)",
    "exit seven": "import sys; sys.exit(7)",
    "exit beyond": "import sys; sys.exit(300)",
    "exit negative": "import sys; sys.exit(-1)",
    "exit text": "import sys; sys.exit('told you \u00fc')",
    "exit tuple": "import sys; sys.exit((1, 2))",
    "exit hard": "import os; os._exit(5)",
    "uncaught": "def f():\n    1/0\ndef g():\n    f()\ng()",
    "chained": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e",
    "context": "try:\n    {}['a']\nexcept KeyError:\n    [][0]",
    "group": "def f():\n    raise ExceptionGroup('two', [ValueError(1), KeyError(2)])\nf()",
    "notes": "e = ValueError('x'); e.add_note('a note'); raise e",
    "syntax": "print(1\nx = = 2",
    "indentation": "if 1:\nx = 1",
    "null byte": "x = 1\0",
    "recursion": "def f(): f()\nf()",
    "deep": "import sys\ndef f(n):\n    try:\n        return f(n + 1)\n    except RecursionError:\n        return n\n"
    "print(f(0))",
    "stack": "import traceback\ndef f():\n    traceback.print_stack()\nf()",
    "outermost frame": "import sys\nf = sys._getframe()\nwhile f.f_back: f = f.f_back\nprint(f.f_code)",
    "own excepthook": "import sys\nsys.excepthook = lambda *a: print('mine', a[0], a[2].tb_frame.f_code.co_name)\n1/0",
    "failing excepthook": "import sys\ndef hook(*a):\n    raise ValueError('worse')\nsys.excepthook = hook\n1/0",
    "interrupt": "raise KeyboardInterrupt",
    "interrupt by signal": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile 1: pass",
    "terminated": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nwhile 1: pass",
    "handled signal": "import os, signal\nsignal.signal(signal.SIGTERM, lambda *a: print('term'))\n"
    "os.kill(os.getpid(), signal.SIGTERM)\nprint('after')",
    "atexit": "import atexit, sys\natexit.register(print, 'bye')\nprint('hi')\nsys.exit(3)",
    "atexit after failure": "import atexit\natexit.register(print, 'bye', flush=True)\n1/0",
    "threads are joined": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\nprint('main over')",
    "thread failure": "import threading\nt = threading.Thread(target=lambda: 1/0, name='T')\nt.start(); t.join()",
    "asyncio failure": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    1/0\nasyncio.run(f())",
    "asyncio interrupt": "import asyncio, os, signal\nasync def f():\n    os.kill(os.getpid(), signal.SIGINT)\n"
    "    await asyncio.sleep(9)\nasyncio.run(f())",
    "stdin": "import sys\nprint(repr(sys.stdin.read()), input.__name__)",
    "input": "print(input('name? '))",
    "future": "class A:\n    x: B = 1\n",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
    "environment": "import os, sys\nprint(sorted(k for k in os.environ if 'TASK' in k or k == 'PYTHONPATH'), "
    "os.environ.get('PYTHONPATH'), 'sitecustomize' in sys.modules)",
    "modules": "import sys; print(sorted(m for m, v in sys.modules.items() if 'site-packages' in (getattr(v, '__file__', '') or '')))",
    "path": "import sys; print(sys.path)",
    "children": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'import sys; print(sys.path[1:])'], "
    "capture_output=True, text=True))",
    "warning": "import warnings\nwarnings.warn('careful')",
    "unraisable": "class A:\n    def __del__(self): 1/0\nA()",
    "closed stdout": "import sys\nsys.stdout.close()",
    "neighbour": "import helper\nprint(helper.__file__)",
    "annotations are not postponed": "def f(x: 1 + 1): pass\nprint(f.__annotations__)",
    "spawn": "import multiprocessing as m\ndef f(x): return x * x, __name__\n"
    "if __name__ == '__main__':\n    with m.get_context('spawn').Pool(1) as p: print(p.map(f, [2, 3]))\n"
    "    print(m.get_start_method())",
    "fork": "import multiprocessing as m\ndef f(q): q.put(__name__)\n"
    "c = m.get_context('fork'); q = c.SimpleQueue(); p = c.Process(target=f, args=(q,)); p.start()\n"
    "print(q.get()); p.join(); print(p.exitcode)",
}
NOT_INSIDE = {
    *(
        "recursion",
        "deep",
        "stack",
        "outermost frame",
        "failing excepthook",
    ),  # look at what is below the program
    "null byte",  # another message from compile() than from python's own reader
    *("arguments", "path"),  # the path by which the test brings our package in is visible there
}
"""Where a program run in our own process (under -I or -S only) can tell the difference."""

INSIDE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from taskscope.__main__ import main; sys.exit(main())"
)


NOT_INSIDE_BY_VERSION = [["-"], ["-c", "1/0"]]
"""A program on stdin is read whole, and from 3.13 on python shows the source of ``-c`` in tracebacks."""


def outcome(folder: Path, command: list[str], **variables: str) -> tuple[int, str, str]:
    environment = {"PATH": "/usr/bin:/bin", "TASKSCOPE_DIR": str(folder / "run"), **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=b"one\ntwo\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode, _without_addresses(done.stdout), _without_addresses(done.stderr)


def _without_addresses(output: bytes) -> str:
    return re.sub("0x[0-9a-f]{6,}", "0x", output.decode())


def assert_alike(folder: Path, program: list[str], python: str = sys.executable) -> None:
    """The same from ``python`` and from ``python -m taskscope run``."""
    house = {} if python == sys.executable else {"PYTHONPATH": str(REPO)}
    plain = outcome(folder, [python, *program], **house)
    assert outcome(folder, [python, "-m", "taskscope", "run", *program], **house) == plain


def assert_alike_inside(folder: Path, program: list[str], python: str = sys.executable) -> None:
    """The same under ``-I -S``, where the program runs in our own process."""
    isolated = [python, "-I", "-S"]
    plain = outcome(folder, [*isolated, *program])
    assert outcome(folder, [*isolated, "-c", INSIDE, str(REPO), "run", *program]) == plain


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "helper.py").write_text("")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("name = 'other'")
    (package / "__main__.py").write_text("from . import other\nprint(other.name, __spec__, __package__)\n1/0")
    (package / "module.py").write_text(
        "import sys\nfrom .other import name\nprint(name, __name__, __package__, __spec__.name, sys.argv, sys.path[0])\n"
        "def f():\n    1/0\nf()"
    )
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr(
            "__main__.py", "import sys, beside\nprint(sys.argv, sys.path[0], beside, __file__)\n1/0"
        )
        archive.writestr("beside.py", "")
    application = tmp_path / "application"
    application.mkdir()
    (application / "__main__.py").write_text("import sys\nprint(sys.argv, sys.path[0], __spec__, __file__)")
    return tmp_path


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_what_it_does_under_python(folder: Path, name: str) -> None:
    (folder / "script.py").write_text(SCRIPTS[name])
    assert_alike(folder, ["script.py", "--name", "-m", "x y"])


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - NOT_INSIDE))
def test_a_script_does_so_in_an_isolated_interpreter(folder: Path, name: str) -> None:
    (folder / "script.py").write_text(SCRIPTS[name])
    assert_alike_inside(folder, ["script.py", "--name", "-m", "x y"])


PROGRAMS = [
    ["-m", "package", "a", "--b"],
    ["-m", "package.module", "-c", "--help"],
    ["-m", "missing"],
    ["-m", "package.missing"],
    ["-m", "helper", "x"],
    ["-c", "import sys; print(sys.argv, sys.stdin, __name__)", "-x", "--interval"],
    ["-c", "1/0"],
    ["-c", "x = = 1"],
    ["application", "1"],
    ["app.zip", "1"],
    ["missing.py"],
    ["package/module.py"],
    ["-"],
]


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_every_form_of_program_is_run_as_by_python(folder: Path, program: list[str]) -> None:
    assert_alike(folder, program)


@pytest.mark.parametrize(
    "program", [each for each in PROGRAMS if each not in NOT_INSIDE_BY_VERSION], ids=" ".join
)
def test_every_form_of_program_is_run_in_an_isolated_interpreter(folder: Path, program: list[str]) -> None:
    assert_alike_inside(folder, program)


ELSEWHERE = [
    *("main", "annotations", "exit text", "uncaught", "chained", "group", "syntax", "recursion", "stack"),
    *(
        "own excepthook",
        "interrupt by signal",
        "atexit after failure",
        "threads are joined",
        "thread failure",
    ),
    *("asyncio failure", "asyncio interrupt", "environment", "unraisable", "spawn", "fork"),
]
"""What other versions of Python do in their own ways."""


@pytest.mark.parametrize(
    ("version", "alike"),
    [
        (version, alike)
        for version in SUPPORTED
        if not sys.version.startswith(f"{version}.")
        for alike in (assert_alike, assert_alike_inside)
    ],
)
@pytest.mark.versions
@pytest.mark.timeout(240)  # 60 interpreters are started
def test_other_versions_of_python_see_no_difference_either(
    folder: Path, version: str, alike: Callable[[Path, list[str], str], None]
) -> None:
    python = str(require(version))
    inside = alike is assert_alike_inside
    for name in sorted({*ELSEWHERE} - NOT_INSIDE) if inside else ELSEWHERE:
        (folder / "script.py").write_text(SCRIPTS[name])
        alike(folder, ["script.py", "--name"], python)
    for program in PROGRAMS:
        if not inside or program not in NOT_INSIDE_BY_VERSION:
            alike(folder, program, python)


@pytest.mark.parametrize(
    "options",
    [("-O",), ("-W", "error"), ("-Wignore", "-B"), ("-X", "dev"), ("-u", "-P"), ("-E",), ("-I",), ("-s",)],
    ids=str,
)
def test_options_of_the_interpreter_are_kept(tmp_path: Path, options: tuple[str, ...]) -> None:
    script = "import sys; print(sys.flags, sys.warnoptions, sys._xoptions, sys.stdout.write_through)"
    (tmp_path / "script.py").write_text(script)
    plain = outcome(tmp_path, [sys.executable, *options, "script.py"])
    assert outcome(tmp_path, [sys.executable, *options, "-m", "taskscope", "run", "script.py"]) == plain


def test_a_sitecustomize_of_the_environment_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; customized = sys.path[0], __file__")
    (tmp_path / "script.py").write_text(
        "import sys, os, sitecustomize as s; print(s, s.customized, os.environ['PYTHONPATH'])"
    )
    plain = outcome(tmp_path, [sys.executable, "script.py"], PYTHONPATH=str(tmp_path))
    ours = outcome(
        tmp_path, [sys.executable, "-m", "taskscope", "run", "script.py"], PYTHONPATH=str(tmp_path)
    )
    assert ours == plain


def test_a_program_runs_on_when_the_agent_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('ran')")
    nowhere = str(tmp_path / "missing" / "run")
    for command in (["-m", "taskscope"], ["-I", "-S", "-c", INSIDE, str(REPO)]):
        status, out, err = outcome(
            tmp_path, [sys.executable, *command, "run", "script.py"], TASKSCOPE_DIR=nowhere
        )
        assert (status, out) == (0, "ran\n")
        assert err.startswith("taskscope: the agent could not start") and err.count("\n") == 1


PRINTS = "import sys; print(sys.argv, sys.path[0], sys.orig_argv, __file__); sys.exit(3)"

HEADS = {
    "env -S": "#!/usr/bin/env -S python3 -s\n",
    "options": f"#!{sys.executable} -sB\n",
    "a long path": f"#!/bin/sh\n'''exec' '{sys.executable}' \"$0\" \"$@\"\n' '''\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_command_on_path_runs_as_by_itself(tmp_path: Path, head: str) -> None:
    """Beside a directory of its name, as projects have."""
    (tmp_path / "shopd").mkdir()
    script = tmp_path / "bin" / "shopd"
    script.parent.mkdir()
    script.write_text(HEADS[head] + PRINTS)
    script.chmod(0o755)
    path = f"{script.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"
    plain = outcome(tmp_path, ["/bin/sh", "-c", "exec shopd --fast app:app"], PATH=path)
    assert plain[0] == 3, plain
    ours = [sys.executable, "-m", "taskscope", "run", "shopd", "--fast", "app:app"]
    assert outcome(tmp_path, ours, PATH=path) == plain


def test_a_command_that_is_no_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    script = tmp_path / "bin" / "isolated"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable} -I\n")
    script.chmod(0o755)
    run = [sys.executable, "-m", "taskscope", "run"]
    status, out, err = outcome(tmp_path, [*run, "ls", "-l"])
    assert (status, out) == (2, "")
    assert re.fullmatch(r"taskscope run: /\S+/ls is no Python program: run starts [^\n]+\n", err)
    status, out, err = outcome(tmp_path, [*run, "isolated"], PATH=str(script.parent))
    assert (status, out) == (2, "")
    assert "runs python with -I, which keeps the agent out" in err
    assert outcome(tmp_path, [*run, "no-such-program"]) == outcome(
        tmp_path, [sys.executable, "no-such-program"]
    )


@pytest.mark.parametrize(
    "wrong", [[], ["-m"], ["-c"], ["--interval", "soon", "x.py"], ["--nmae", "x", "x.py"]], ids=str
)
def test_a_usage_error_is_one_sentence(tmp_path: Path, wrong: list[str]) -> None:
    status, out, err = outcome(tmp_path, [sys.executable, "-m", "taskscope", "run", *wrong])
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("taskscope run: ")
