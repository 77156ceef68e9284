"""The choice of device and number format: measured once, then kept."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config, device, models

pytestmark = pytest.mark.usefixtures("home")


CPU = torch.device("cpu")
SMALL = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 26 * 26, 10))


@pytest.fixture
def idle(monkeypatch, tmp_path):
    """Stand for a machine on which nothing else is at work; give the list of what other programs take in each look."""
    taken = []

    def cores_taken_while(action):
        action()
        return taken.pop(0) if taken else 0.0

    monkeypatch.setattr(device, "cores_taken_while", cores_taken_while)
    monkeypatch.setattr(device.psutil, "cpu_count", lambda logical=True: torch.get_num_threads())
    monkeypatch.setattr(device, "LOOK_SECONDS", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    device.leave_busy_cores.cache_clear()
    monkeypatch.setattr(device, "TRIAL_SECONDS", 0)
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "no such file")  # as if it were not known to lack bfloat16
    return taken


@pytest.fixture
def steps(monkeypatch):
    """Let a function of the number of the step and its format tell how long a step takes."""

    def last(seconds):
        numbers = iter(range(10_000))
        monkeypatch.setattr(device, "step_seconds", lambda model, images, dtype: seconds(next(numbers), dtype))

    return last


def kept(home):
    path = home / "runs" / "full" / "precision.json"
    return list(json.loads(path.read_text()).values()) if path.exists() else []


@pytest.mark.parametrize(("ratio", "chosen"), [(1.5, torch.bfloat16), (1.09, torch.float32), (0.1, torch.float32)])
def test_precision_is_measured_once_and_kept(home, monkeypatch, idle, ratio, chosen):
    measured = []
    monkeypatch.setattr(device, "measure_speedups", lambda *arguments: measured.append(1) or [ratio] * 8)
    model = models.FashionCNN()
    assert [device.choose_precision(model, 64, CPU) for _ in range(3)] == [chosen] * 3
    assert len(measured) == 1
    assert kept(home) == [str(chosen)[6:]]
    device.choose_precision(model, 128, CPU)  # another batch size is another question
    assert len(measured) == 2


def test_precision_is_measured_again_when_its_file_is_damaged(home, monkeypatch, idle):
    monkeypatch.setattr(device, "measure_speedups", lambda *arguments: [2.0] * 8)
    (home / "runs" / "full").mkdir(parents=True)
    (home / "runs" / "full" / "precision.json").write_text('{"half')
    assert device.choose_precision(models.FashionCNN(), 64, CPU) == torch.bfloat16


def test_linear_models_and_mps_stay_in_float32_without_a_trial(monkeypatch):
    monkeypatch.setattr(device, "measure_speedups", lambda *arguments: pytest.fail("measured"))
    assert device.choose_precision(models.MLP(), 64, CPU) == torch.float32
    assert device.choose_precision(models.FashionCNN(), 64, torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("line", "tried"),
    [
        ("flags : fpu sse2 avx2 fma", False),
        ("flags : fpu avx512f avx512bw", False),
        ("flags : fpu avx512_bf16", True),
        ("flags : amx_tile amx_bf16", True),
        ("Features : fp asimd", False),
        ("Features : fp asimd bf16", True),
        ("model name : of a kind that does not tell", True),
    ],
)
def test_a_processor_without_instructions_for_bfloat16_is_spared_the_trial(home, monkeypatch, idle, line, tried):
    monkeypatch.setattr(device, "CPUINFO", home / "cpuinfo")
    (home / "cpuinfo").write_text(f"processor : 0\n{line}\n\nprocessor : 1\n{line}\n")
    monkeypatch.setattr(device, "measure_speedups", lambda *arguments: [2.0] * 8)
    chosen = device.choose_precision(models.FashionCNN(), 64, CPU)
    assert chosen == (torch.bfloat16 if tried else torch.float32)
    assert device.may_be_faster_in_bfloat16(torch.device("cuda"))


def test_a_trial_leaves_the_model_as_it_is_and_gives_the_ratio_of_each_round(idle, steps):
    before = {key: value.clone() for key, value in SMALL.state_dict().items()}
    assert all(ratio > 0 for ratio in device.measure_speedups(SMALL, 4, CPU))
    assert all(torch.equal(value, before[key]) for key, value in SMALL.state_dict().items())
    assert all(parameter.grad is None for parameter in SMALL.parameters())
    # The machine becomes slower from step to step, which changes no ratio by much.
    steps(lambda number, dtype: (3.0 if dtype == torch.float32 else 2.0) * (1 + number / 1000))
    assert device.measure_speedups(SMALL, 4, CPU) == pytest.approx([1.5] * 8, rel=0.01)


def test_one_busy_moment_in_a_trial_decides_nothing(home, idle, steps):
    for slow, chosen in [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)]:
        # The format that is slower in truth has the luck of two quick steps, as if the other met a busy moment.
        steps(lambda number, dtype, slow=slow: 0.01 if number in (6, 7) else 2.0 if dtype == slow else 1.0)
        assert device.try_out(SMALL, 4, CPU) == str(chosen)[6:]


def test_a_gain_of_a_fifth_is_decided_though_its_rounds_scatter():
    # SimpleCNN's quartiles on an idle AMD EPYC of the fifth generation; each fresh trial has to come out the same.
    assert device.decide([1.13, 1.19, 1.23, 1.29, 1.53]) == "bfloat16"


def test_rounds_that_do_not_agree_stay_in_float32_for_this_process_and_are_not_kept(home, idle, steps, capsys):
    steps(lambda number, dtype: 1.0 if dtype == torch.bfloat16 else 2.0 if number // 2 % 2 else 0.5)
    assert device.choose_precision(SMALL, 4, CPU) == torch.float32
    said = capsys.readouterr().out
    assert "Until the kernel is restarted, this network trains in float32" in said
    assert kept(home) == []
    # The machine is quiet now, and a training that is repeated still has to give the same, down to what it prints.
    steps(lambda number, dtype: 1.0 if dtype == torch.bfloat16 else 2.0)
    assert device.choose_precision(SMALL, 4, CPU) == torch.float32
    assert capsys.readouterr().out == said and kept(home) == []
    device._CHOSEN.clear()  # as in a new process
    assert device.choose_precision(SMALL, 4, CPU) == torch.bfloat16
    assert kept(home) == ["bfloat16"] and capsys.readouterr().out == ""


@pytest.mark.parametrize("taken", [[1.0], [0.0, 0.5]], ids=["before the trial", "during the trial"])
@pytest.mark.parametrize("bfloat16", [0.1, 10.0])
def test_no_choice_is_made_while_other_programs_are_at_work(home, idle, steps, taken, bfloat16):
    idle.extend(taken)
    steps(lambda number, dtype: 1.0 if dtype == torch.float32 else bfloat16)
    assert device.choose_precision(SMALL, 4, CPU) == torch.float32
    assert kept(home) == []


@pytest.mark.parametrize(("taken", "chosen"), [(29.0, torch.bfloat16), (31.0, torch.float32)])
def test_on_a_server_with_many_cores_neighbours_disturb_only_where_too_few_are_left(
    home, idle, steps, monkeypatch, taken, chosen
):
    monkeypatch.setattr(device.psutil, "cpu_count", lambda logical=True: 30 + torch.get_num_threads())
    idle.extend([taken, taken])
    steps(lambda number, dtype: 1.0 if dtype == torch.bfloat16 else 2.0)
    assert device.choose_precision(SMALL, 4, CPU) == chosen


@pytest.fixture
def threads(idle, monkeypatch):
    """Give the number of threads, here two for two cores, that may be changed as nobody has set it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    yield torch.get_num_threads
    torch.set_num_threads(before)
    device.leave_busy_cores.cache_clear()


@pytest.mark.parametrize(
    ("taken", "left"),
    [([], 2), ([1.0] * 5, 1), ([0.7] * 5, 1), ([2.0] * 5, 1), ([1.0, 1.0, 1.0, 1.0, 0.2], 2), ([0.4] * 5, 2)],
    ids=["idle", "one busy program", "a call with pictures", "two busy programs", "a busy moment", "a little"],
)
def test_cores_that_others_keep_busy_are_left_to_them(idle, threads, capsys, taken, left):
    idle.extend(taken)
    assert device.leave_busy_cores() == 2 - left and threads() == left
    said = capsys.readouterr().out
    assert said == "" if left == 2 else "computes in 1 thread instead of 2" in said
    # The neighbours change, and a training that is repeated still has to give the same.
    idle[:] = [0.0 if left == 1 else 1.0] * 5
    device.get_device()
    assert threads() == left and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("cores", "taken", "left"),
    [(8, [1.0] * 5, 7), (8, [3.2] * 5, 5), (8, [3.0, 3.0, 1.2, 3.0, 3.0], 7), (64, [20.0], 8)],
)
def test_of_many_cores_those_that_are_free_are_taken(idle, threads, monkeypatch, cores, taken, left):
    torch.set_num_threads(8)
    monkeypatch.setattr(device, "cores", lambda: cores)
    idle.extend(taken)
    device.leave_busy_cores()
    assert threads() == left


def test_a_number_of_threads_that_the_user_has_set_and_a_short_run_are_left_alone(idle, threads, monkeypatch):
    idle.extend([1.0] * 10)
    monkeypatch.setattr(config, "FAST", True)
    assert device.leave_busy_cores() == 0
    device.leave_busy_cores.cache_clear()
    monkeypatch.setattr(config, "FAST", False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert device.leave_busy_cores() == 0 and threads() == 2


def test_no_format_is_chosen_beside_a_program_that_got_its_core(home, idle, threads, steps):
    idle.extend([1.0] * 6)
    steps(lambda number, dtype: 1.0 if dtype == torch.bfloat16 else 2.0)
    assert device.choose_precision(SMALL, 4, CPU) == torch.float32
    assert kept(home) == [] and threads() == 1


def test_fit_leaves_busy_cores_before_its_first_batch(home, idle, threads, monkeypatch):
    from helpers.training import fit

    idle.extend([1.0] * 5)
    images, labels = torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
    model, seen = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), []
    model.register_forward_hook(lambda *call: seen.append(threads()))
    fit(model, TensorDataset(images, labels), None, torch.optim.SGD(model.parameters()), 1, 4)
    assert seen == [1, 1]


def test_a_kernel_that_starts_beside_a_busy_program_leaves_it_its_core():
    code = "import torch; from helpers.device import get_device; get_device(); print(torch.get_num_threads())"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"FAST": "0"}

    def run(code):
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    wanted = int(run("import torch; print(torch.get_num_threads())").stdout)
    if wanted == 1:
        pytest.skip("There is one core, which the kernel takes whatever else is at work.")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(device.cores())]
    try:
        said, threads = run(code).stdout.splitlines()
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert threads == "1" and f"computes in 1 thread instead of {wanted}" in said


def test_a_busy_process_is_seen():
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        taken = [device.cores_taken_while(lambda: time.sleep(0.4)) for _ in range(3)]
    finally:
        other.kill()
        other.wait()
    assert min(taken) > device.BUSY_CORES


def test_our_own_work_is_not_taken_for_that_of_others(monkeypatch):
    def work():
        ends = time.process_time() + 0.2
        while time.process_time() < ends:
            pass

    for others in (0.0, 0.1):  # seconds of other programs, in steps of the clock
        clock = iter([0.0, others])
        monkeypatch.setattr(
            device.psutil, "cpu_times", lambda clock=clock: SimpleNamespace(user=time.process_time() + next(clock))
        )
        taken = device.cores_taken_while(work)
        assert (taken > 0.005) == (others > 0)


def test_a_choice_belongs_to_a_run_folder_and_to_one_processor(home, monkeypatch, idle):
    measured = []
    monkeypatch.setattr(device, "measure_speedups", lambda *arguments: measured.append(1) or [2.0] * 8)
    monkeypatch.setattr(config, "RUNS_DIR", home / "runs" / "test-fast")
    device.choose_precision(SMALL, 4, CPU)
    monkeypatch.setattr(config, "RUNS_DIR", home / "runs" / "full")
    device.choose_precision(SMALL, 4, CPU)
    assert len(measured) == 2, "a choice of a test was kept for the student"
    monkeypatch.setattr(device, "CPUINFO", home / "cpuinfo")
    info = "processor : 0\nmodel name : Xeon\nmodel : 106\ncpu MHz : {}\nflags : fpu avx512_bf16{}\n\nprocessor : 1\n"
    for flags, asked in [("", 3), (" amx_bf16", 4), ("", 4)]:
        (home / "cpuinfo").write_text(info.format(2000 + len(measured), flags))
        device.choose_precision(SMALL, 4, CPU)
        assert len(measured) == asked


def test_device_is_cuda_then_mps_then_cpu(monkeypatch):
    for cuda, mps, expected in [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert device.get_device().type == expected
