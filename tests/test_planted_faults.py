"""Proof that the suite catches faults: each is planted in a copy of the helpers, and the named test must fail.

Run as a script (the tests below do that) this file executes one pytest run after another on the copies, in one
process, because importing PyTorch anew for each would take a minute.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted_faults import FAULTS

PROJECT = Path(__file__).resolve().parent.parent


class Watch:
    """A pytest plugin that notes what passed and how the rest failed."""

    def __init__(self):
        self.passed, self.failed = 0, []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append([report.when, report.longrepr.reprcrash.message.splitlines()[0]])
        self.passed += report.when == "call" and report.passed


def run_pytest(copy: Path, tests: list[str]) -> dict:
    """Run tests of a copy of the project, with the copy's helpers, and say how it went."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("helpers", "tests")]:
        del sys.modules[name]
    os.chdir(copy)
    sys.path[0] = str(copy)
    importlib.invalidate_caches()
    watch = Watch()
    # The last plugin only looks for leaks, which takes most of the time of a short run.
    arguments = ["-q", "-x", "-o", "addopts=", "-o", "pythonpath=tests", "--import-mode=importlib"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:unraisableexception"]
    code = pytest.main([*arguments, *(f"tests/{test}" for test in tests)], plugins=[watch])
    modules = {name: sys.modules[name].__file__ for name in sys.modules if name.split(".")[0] == "helpers"}
    return {"code": int(code), "passed": watch.passed, "failed": watch.failed, "modules": modules}


def run_all(root: Path) -> None:
    """Run the named test of each faulty copy, and all of them on the unmodified one; write the outcomes."""
    outcomes = {fault.what: run_pytest(root / str(number), [fault.test]) for number, fault in enumerate(FAULTS)}
    outcomes["unmodified"] = run_pytest(root / "unmodified", sorted({fault.test for fault in FAULTS}))
    (root / "outcomes.json").write_text(json.dumps(outcomes))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Make a copy of helpers and tests for each fault, and one without a fault."""
    root = tmp_path_factory.mktemp("planted")
    for number, fault in [*enumerate(FAULTS), ("unmodified", None)]:
        copy = root / str(number)
        for folder in ("helpers", "build_tools", "tests"):
            shutil.copytree(PROJECT / folder, copy / folder)  # with its bytecode: only the fault is compiled anew
        for file in ("pyproject.toml", "conftest.py"):
            shutil.copy(PROJECT / file, copy)
        if fault:
            path = copy / "helpers" / fault.file
            text = path.read_text(encoding="utf-8")
            assert text.count(fault.old) == 1, f"The text to replace must occur once: {fault.what}"
            path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def outcomes(root):
    """Run everything once, in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, __file__, str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((root / "outcomes.json").read_text())


def test_the_unmodified_copy_passes(outcomes):
    outcome = outcomes["unmodified"]
    assert outcome["code"] == 0 and outcome["failed"] == []
    assert outcome["passed"] >= len({fault.test for fault in FAULTS})


def test_each_run_used_the_helpers_of_its_own_copy(outcomes, root):
    for folder, outcome in zip([*range(len(FAULTS)), "unmodified"], outcomes.values(), strict=True):
        assert "helpers.config" in outcome["modules"]
        assert all(Path(file).parent == root / str(folder) / "helpers" for file in outcome["modules"].values())


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.what for fault in FAULTS])
def test_the_suite_notices(fault, outcomes):
    outcome = outcomes[fault.what]
    assert outcome["code"] == 1, outcome
    [(phase, message)] = outcome["failed"]
    # It must fail by what it asserts, not because the planted text does not run.
    assert phase == "call" and message.startswith(("assert", "AssertionError", "Failed: DID NOT RAISE")), message


if __name__ == "__main__":
    run_all(Path(sys.argv[1]))
