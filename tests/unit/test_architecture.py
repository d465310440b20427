"""What the import contracts do not cover: the agent's imports, and import cycles at run time."""

from __future__ import annotations

import graphlib
import subprocess
import sys

import grimp

from taskscope.attach import payload

IF_PRESENT = {"aiomonitor", "psutil"}
"""Distributions the agent uses where the program has them."""


def test_the_agent_imports_what_it_carries_and_the_standard_library_and_nothing_else() -> None:
    """Imports inside functions too, which loading the agent does not execute."""
    graph = grimp.build_graph(
        "taskscope", exclude_type_checking_imports=True, include_external_packages=True, cache_dir=None
    )
    carried = {each.name.replace(payload.PACKAGE, "taskscope", 1) for each in payload.modules()}
    api = {"taskscope"}  # carried for its version; the agent calls none of its functions
    for module in (carried & graph.modules) - api:
        imported = graph.find_modules_directly_imported_by(module)
        assert imported - carried <= sys.stdlib_module_names | IF_PRESENT, module


def test_at_run_time_no_import_goes_round_in_a_circle() -> None:
    graph = grimp.build_graph("taskscope", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    for package in {module.rpartition(".")[0] for module in imports}:
        imports.get(package, set()).difference_update(
            each for each in imports if each.startswith(f"{package}.")
        )
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


EACH_FIRST = """
import importlib, pkgutil, sys
import taskscope.analysis
for each in list(pkgutil.walk_packages(taskscope.analysis.__path__, "taskscope.analysis.")):
    for name in [name for name in sys.modules if name.startswith("taskscope.analysis")]:
        del sys.modules[name]
    importlib.import_module(each.name)
"""


def test_every_module_of_the_analysis_may_be_the_first_to_be_imported() -> None:
    """A circle through a package, which imports its own modules, is not seen above."""
    done = subprocess.run([sys.executable, "-c", EACH_FIRST], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
