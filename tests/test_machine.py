"""The start page: a cross with advice for whatever is wrong with a machine, the timing, the prediction and the map."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
import torch

from build_tools import series
from helpers import config, fetch, machine, models, speed
from helpers.checks import start_page
from helpers.checks.tools import CheckFailed

GIB = 2**30
RECORDED = {
    "seconds": {"02_mlp_baseline": 40.0, "03_cnn_dropout": 400.0},
    "steps_per_second": {"MLP": 200.0, "FashionNet": 30.0, "FashionCNN": 60.0},
}


def assert_cross(check, *words):
    assert check.fine is False
    assert check.advice.endswith(".") or "\n" in check.advice
    for word in words:
        assert word in f"{check.found} {check.advice}"


def test_this_machine_is_right(real):
    checks = machine.check_machine()
    assert [check.what for check in checks] == ["Python", "packages", "memory", "disk", "device", "data"]
    assert "torch 2." in checks[1].found
    # Memory and disk of the machine that runs the tests are its own business.
    assert all(check.fine for check in checks if check.what not in ("memory", "disk"))


@pytest.mark.parametrize(
    ("version", "fine"), [("3.10.14", False), ("3.11.0", True), ("3.15.1", True), ("2.7.18", False)]
)
def test_python_is_compared_with_the_bound_of_the_project(version, fine):
    check = machine.check_python(version)
    assert check.fine is fine
    assert fine or "Install a Python >=3.11" in check.advice


def test_a_package_that_is_missing_or_too_old_gets_a_row_of_its_own():
    checks = machine.check_packages(["torch>=2.0", "numpy>=99.1", "no-such-package>=1", "another-one"])
    assert [(check.what, check.fine) for check in checks] == [
        ("packages", True),
        ("numpy", False),
        ("no-such-package", False),
        ("another-one", False),
    ]
    assert_cross(checks[1], "needed is >=99.1", "pip install -r requirements.txt", "restart the kernel")
    assert_cross(checks[2], "missing; needed is >=1")
    assert_cross(checks[3], "missing; needed is any version")
    assert "1 are right: torch" in checks[0].found


def test_the_bounds_are_those_of_the_requirements(monkeypatch, tmp_path):
    (tmp_path / "requirements.txt").write_text("# a comment\ntorch>=2.0\n\npandas>=99\n-e .\n")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert [check.what for check in machine.check_packages()] == ["packages", "pandas"]


def test_no_package_at_all_is_told_too():
    [check] = machine.check_packages(["no-such-package"])
    assert_cross(check, "missing")


def test_the_checks_work_without_torch():
    # What a student has before the packages are installed; no part of `helpers` may have imported it before.
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from helpers import machine\n"
        "print(machine.checks_table(machine.check_machine()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True)
    assert_crosses(done.stdout, ["device"])


@pytest.mark.parametrize(("missing", "rows"), [("psutil", ["memory"]), ("packaging", ["Python", "packages"])])
def test_the_checks_work_without_a_package(missing, rows, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    assert_crosses(machine.checks_table(machine.check_machine()), rows)


def assert_crosses(table, rows):
    crosses = [row.split("|") for row in table.split("\n") if row.startswith("| ✗")]
    crosses = {row[2].strip(): row for row in crosses}
    assert set(rows) <= set(crosses) <= {*rows, "memory", "disk"}
    for row in rows:
        assert "cannot be loaded" in crosses[row][3] and "pip install -r requirements.txt" in crosses[row][4]


def test_what_the_page_itself_imports_is_among_the_requirements():
    lines = (machine.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {"psutil", "packaging"} <= {re.split("[>=<]", line)[0] for line in lines}


@pytest.mark.parametrize(("free", "fine"), [(-0.1, False), (-1.5, False), (0.0, True), (0.01, True), (20.0, True)])
def test_less_memory_than_the_greediest_lesson_takes_is_a_cross(free, fine):
    check = machine.check_memory(machine.needed_memory() + free)
    assert check.fine is fine
    assert f"{machine.needed_memory() + free:.1f} GB are free; a lesson needs up to" in check.found
    assert fine or "Close other programs" in check.advice


def test_the_need_is_the_peak_of_the_recorded_lessons():
    peaks = json.loads(series.RUN_TIMES.read_text(encoding="utf-8"))["peak_memory"]
    assert max(peaks.values()) <= machine.needed_memory() < max(peaks.values()) + 0.1


def container(folder, limit, used, cache=None, version=2, path=""):
    """Write what a container's memory limit looks like from inside; all in bytes, None leaves the file out."""
    if version == 1:
        folder /= "memory"
    folder = folder / path
    folder.mkdir(parents=True, exist_ok=True)
    limit_file, used_file = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        2: ("memory.max", "memory.current"),
    }[version]
    (folder / limit_file).write_text(f"{limit}\n")
    (folder / used_file).write_text(f"{used}\n")
    if cache is not None:
        active, inactive = cache
        lines = [f"anon {used}", f"inactive_file {inactive}", f"active_file {active}", "unevictable 0"]
        if version == 1:  # the group's own share, then that of the groups inside too
            lines = [
                "inactive_file 0",
                "active_file 0",
                f"total_inactive_file {inactive}",
                f"total_active_file {active}",
            ]
        (folder / "memory.stat").write_text("\n".join(lines) + "\n")


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Give an empty folder of control groups on a computer with 8 GB free."""
    psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=8_000_000_000))
    monkeypatch.setitem(sys.modules, "psutil", psutil)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "MY_CGROUPS", tmp_path / "cgroup")
    return tmp_path


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("cache", [None, (0, 0), (300_000_000, 100_000_000)])
def test_the_memory_limit_of_a_container_counts_and_its_page_cache_does_not(version, cache, groups):
    container(groups, 2_000_000_000, 500_000_000, cache, version)
    assert machine.free_memory() == pytest.approx(1.5 + sum(cache or (0,)) / 1e9)


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_full_of_page_cache_is_ready(version, groups):
    container(groups, 8 * GIB, 7 * GIB, (5 * GIB, 1 * GIB), version)
    assert machine.check_memory().fine


@pytest.mark.parametrize(("limit", "version"), [("max", 2), (9_223_372_036_854_771_712, 1), (20_000_000_000, 2)])
def test_a_limit_above_what_the_computer_has_changes_nothing(limit, version, groups):
    container(groups, limit, 500_000_000, (0, 0), version)
    assert machine.free_memory() == 8.0


def test_without_control_groups_the_computer_alone_counts(groups):
    assert machine.free_memory() == 8.0


def test_more_used_than_the_limit_is_nothing_left(groups):
    container(groups, 2_000_000_000, 2_100_000_000, (0, 0))
    assert machine.free_memory() == 0.0


@pytest.mark.parametrize(
    ("version", "line"), [(2, "0::/a.slice/student.scope"), (1, "4:cpu,memory:/a.slice/student.scope")]
)
@pytest.mark.parametrize("limited", ["a.slice", "a.slice/student.scope"])
def test_the_limit_of_a_group_around_the_process_counts_too(version, line, limited, groups):
    (groups / "cgroup").write_text(f"9:name=systemd:/\n{line}\n")
    for path in ("a.slice", "a.slice/student.scope"):
        container(groups, 3_000_000_000 if path == limited else 2**62, 1_000_000_000, (0, 0), version, path)
    assert machine.free_memory() == 2.0


def test_the_server_that_the_guide_recommends_is_ready(groups):
    guide = (machine.ROOT / "OPERATIONS.md").read_text(encoding="utf-8")
    [recommended] = re.findall(r"\| memory \| (\d+) GB for a process", guide)
    hub = (machine.ROOT / "deploy" / "jupyterhub" / "jupyterhub_config.py").read_text(encoding="utf-8")
    assert f'MEMORY = "{recommended}G"' in hub
    # Jupyter and the kernel of the start page hold some of it when the page looks.
    container(groups, int(recommended) * 10**9, 900_000_000, (0, 0))
    assert machine.check_memory().fine
    container(groups, (int(recommended) - 1) * 10**9, 900_000_000, (0, 0))
    assert not machine.check_memory().fine, "A smaller server would do: recommend that."


def test_a_full_disk_and_a_folder_of_someone_else_are_crosses():
    assert machine.check_disk(0.6, writable=True).fine
    assert_cross(machine.check_disk(0.1, writable=True), "0.1 GB are free", "delete")
    assert_cross(machine.check_disk(100.0, writable=False), "cannot be written", "Copy the whole project")


def test_missing_data_is_a_cross_with_all_that_was_tried(raw):
    check = machine.check_data()
    assert_cross(check, "is missing", "What to do: go online", "torchvision's download")
    # A line break would end the table.
    table = machine.checks_table([check])
    assert len(table.split("\n\n")[0].split("\n")) == 3 and "<br>" in table


def test_data_that_was_altered_is_a_cross(copy, raw):
    raw.mkdir(parents=True)
    for name in fetch.SHA256:
        content = bytearray((copy / name).read_bytes())
        content[-1] ^= 1
        (raw / name).write_bytes(content)
        (copy / name).unlink()
    assert_cross(machine.check_data(), "is missing", "What to do")


def test_the_table_says_in_words_what_is_right_and_what_is_not():
    right = machine.Check("disk", "5 GB | enough", True, "not shown")
    wrong = machine.Check("memory", "1 GB", False, "Close other programs.")
    table = machine.checks_table([right, wrong])
    assert "| ✓&nbsp;right | disk | 5 GB \\| enough | nothing |" in table
    assert "| ✗&nbsp;**not&nbsp;yet** | memory | 1 GB | Close other programs. |" in table
    assert table.endswith("**1 to put right.** Do what the last column says, then run this cell again.")
    assert machine.checks_table([right]).endswith("**This machine is ready.**")


def test_every_network_of_the_series_is_timed(home, monkeypatch):
    monkeypatch.setattr(config, "FAST", True)
    monkeypatch.setattr(speed, "choose_precision", lambda *settings: torch.float32)  # its trials take the longest
    measured = speed.steps_per_second()
    assert list(measured) == ["MLP", "FashionNet", "FashionCNN", "BatchNormCNN", "SimpleCNN"]
    assert all(value > 0 for value in measured.values())
    assert {network for networks in [*speed.NETWORKS.values(), speed.SMALLEST] for network in networks} == set(measured)
    assert set(speed.NETWORKS) <= {path.stem for path in series.lesson_paths()}


def test_ways_are_timed_in_turn_after_one_call_of_each(monkeypatch):
    called, clock = [], iter(range(100))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    ways = {"one": lambda: called.append("one"), "two": lambda: called.append("two") or next(clock)}
    times = speed.time_in_turn(ways, rounds=3)
    assert called == ["one", "two"] * 4
    assert times["one"].tolist() == [1, 1, 1] and times["two"].tolist() == [2, 2, 2]


def test_steps_to_be_timed_train_a_network_in_its_format(monkeypatch):
    made = []

    def network():
        made.append(models.LeanCNN())
        return made[-1]

    train = speed.make_steps(network, batch_size=16, images=32)
    before = [weight.detach().clone() for weight in made[0].parameters()]
    train()
    assert all(not torch.equal(*pair) for pair in zip(before, made[0].parameters(), strict=True))
    assert made[0].training and made[0][4].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_machine_of_half_the_speed_takes_twice_as_long():
    half = {"MLP": 100.0, "FashionNet": 15.0, "FashionCNN": 30.0}
    assert speed.predict_seconds(RECORDED, half) == {"02_mlp_baseline": 80.0, "03_cnn_dropout": 800.0}
    # Lesson 03 trains two networks, here one at half and one at full speed.
    mixed = half | {"FashionCNN": 60.0}
    assert speed.predict_seconds(RECORDED, mixed)["03_cnn_dropout"] == 600.0
    assert "| MLP | 100 | 200 | 0.50 |" in speed.speed_table(RECORDED, half)


def test_without_a_recorded_speed_there_is_no_prediction():
    with pytest.raises(KeyError, match="steps_per_second"):
        speed.predict_seconds({"seconds": RECORDED["seconds"]}, RECORDED["steps_per_second"])


def test_the_map_names_every_lesson_with_its_time_and_links_that_resolve():
    names = [path.stem for path in series.lesson_paths()]
    table = speed.lesson_map(dict.fromkeys(names, 61.0))
    targets = re.findall(r"\]\(([^)]+)\)", table)
    for name in names:
        assert f"{name}.ipynb" in targets
        assert (f"exercises/{name}.ipynb" in targets) == (name in config.LESSONS)
    for target in targets:
        assert (series.config.NOTEBOOKS_DIR / target).exists(), target
    assert table.count("about 70 seconds") == len(series.lesson_paths())
    assert table.endswith(f"| all lessons |  |  | {speed.describe_seconds(61.0 * len(names))} |")
    assert "Python at the level of loops" in table
    assert all(row.startswith("| ") for row in table.split("\n"))  # a line break would end the table


def test_the_map_names_a_lesson_that_was_not_recorded_yet():
    *recorded, last = [path.stem for path in series.lesson_paths()]
    rows = speed.lesson_map(dict.fromkeys(recorded, 61.0)).split("\n")
    [row] = [row for row in rows if f"({last}.ipynb)" in row]
    assert row.endswith("| not measured yet |")
    assert "(00_tensors_in_ten_minutes.ipynb)" in rows[2]  # the first lesson, below the two lines of the header
    assert rows[-1].endswith(f"| {speed.describe_seconds(61.0 * len(recorded))} |")


WRONG_MIRRORS = {
    "upside down": (lambda picture: picture[::-1], "stands on its head"),
    "both": (lambda picture: [row[::-1] for row in picture[::-1]], "their order too"),
    "rows as columns": (lambda picture: list(zip(*picture, strict=True)), "rows have become columns"),
    "as it was": (lambda picture: picture, "nothing has changed"),
    "a number": (lambda picture: 3, "turn each of them"),
    "nothing": (lambda picture: None, "return"),
}


@pytest.mark.parametrize(("answer", "hint"), WRONG_MIRRORS.values(), ids=WRONG_MIRRORS)
def test_the_check_on_the_start_page_says_what_is_wrong(answer, hint):
    with pytest.raises(CheckFailed, match=f"hint:.*{hint}"):
        start_page.mirror(answer)


def test_the_check_on_the_start_page_passes_a_right_answer(capsys):
    start_page.mirror(lambda picture: [list(reversed(row)) for row in picture])
    assert capsys.readouterr().out.startswith("✓ mirror")


def test_the_start_page_leads_to_the_first_lesson():
    cells = nbformat.read(series.START, as_version=4).cells
    assert f"]({series.lesson_paths()[0].name})" in cells[-1].source.split("\n")[-1]


def test_the_committed_start_page_shows_a_machine_that_is_ready_and_the_map():
    notebook = nbformat.read(series.START, as_version=4)
    outputs = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    assert "This machine is ready" in outputs and "predicted run time here" in outputs
    assert "✓ mirror" in outputs and "hint:" in outputs
