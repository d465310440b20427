"""What the import contracts do not cover: no import cycles at run time."""

from __future__ import annotations

import graphlib

import grimp


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
