"""What lies where: helpers serve the lessons and know nothing of what makes or measures the series."""

import ast
import subprocess
import sys

import pytest
from committed import read_committed, without_own_files

from helpers import config

HELPERS = without_own_files((config.ROOT / "helpers").rglob("*.py"))
NOTEBOOKS = [config.NOTEBOOKS_DIR / "00_start_here.ipynb"]
NOTEBOOKS += [config.NOTEBOOKS_DIR / f"{name}.ipynb" for name in config.APPENDICES]
NOTEBOOKS += [config.NOTEBOOKS_DIR / part / f"{name}.ipynb" for name in config.LESSONS for part in ("", "solutions")]
NOTEBOOKS += [config.NOTEBOOKS_DIR / "impossible" / "solutions" / f"{name}.ipynb" for name in config.LAB_CASES]


def imported_by(source):
    """Return the modules that a source imports, with everything that `from x import y` may mean."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def name_of(path):
    return ".".join(path.relative_to(config.ROOT).with_suffix("").parts).removesuffix(".__init__")


def code_of(path):
    cells = read_committed(path).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code" and cell.source[0] not in "%!")


def test_every_helper_serves_a_lesson_an_exercise_or_another_helper_of_theirs():
    imports = {name_of(path): imported_by(path.read_text(encoding="utf-8")) for path in HELPERS}
    reached, waiting = set(), set().union(*(imported_by(code_of(path)) for path in NOTEBOOKS))
    while waiting := (waiting & imports.keys()) - reached:
        reached |= waiting
        waiting = set().union(*(imports[name] for name in waiting))
    assert set(imports) - reached - {"helpers", "helpers.checks"} == set()


@pytest.mark.parametrize("path", HELPERS, ids=name_of)
def test_helpers_import_nothing_of_what_makes_or_measures_the_series(path):
    packages = {name.split(".")[0] for name in imported_by(path.read_text(encoding="utf-8"))}
    assert not packages & {"build_tools", "benchmarks", "tests", "startup"}


def test_the_settings_are_read_without_pytorch():
    code = "import sys, helpers.config; print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=config.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
