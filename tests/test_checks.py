"""The checks of the exercises: each must reject the blank, the nonsense and the named wrong answers, with its hint."""

import ast
import functools
import importlib
import inspect
import math

import numpy as np
import pytest
import torch
from committed import read_committed

from build_tools import exercises
from helpers import config
from helpers.checks.tools import CheckFailed, as_number, as_tensor, call, cross, is_pair, short

LESSONS = [name[:2] for name in config.LESSONS]
CHECKS = {lesson: importlib.import_module(f"helpers.checks.lesson_{lesson}") for lesson in LESSONS}
WRONG = {lesson: importlib.import_module(f"wrong_answers.lesson_{lesson}").WRONG for lesson in LESSONS}


def public_functions(module) -> list[str]:
    """Name the checks of a module: its own functions without a leading underscore."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return [name for name, function in functions if function.__module__ == module.__name__ and name[0] != "_"]


@functools.cache
def solutions(lesson: str) -> dict:
    """Return what the solutions of a lesson import and define, without running what they compute."""
    [path] = exercises.SOLUTIONS.glob(f"{lesson}_*.ipynb")
    cells = [cell.source for cell in read_committed(path).cells if cell.cell_type == "code"]
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    kept = [node for source in cells for node in ast.parse(source).body if isinstance(node, kinds)]
    found = {}
    exec(compile(ast.Module(kept, []), path.name, "exec"), found)
    return found


def blank(*arguments):
    raise NotImplementedError()


NONSENSE = {
    "nothing": lambda *arguments: None,
    "a word": lambda *arguments: "?",
    "a number": lambda *arguments: -12.5,
    "a tensor of another shape": lambda *arguments: torch.full((3, 1, 2), 0.5),
    "the first argument": lambda *arguments: arguments[0] if arguments else [],
    "a dictionary": lambda *arguments: {},
    "an error": lambda *arguments: [][1],
}
ALL_CHECKS = [(lesson, name) for lesson in LESSONS for name in public_functions(CHECKS[lesson])]
ALL_WRONG = [(lesson, name, *wrong) for lesson in LESSONS for name in WRONG[lesson] for wrong in WRONG[lesson][name]]


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_check_is_used_once_and_has_wrong_answers(lesson):
    names = public_functions(CHECKS[lesson])
    [path] = exercises.SOLUTIONS.glob(f"{lesson}_*.ipynb")
    used = [
        cell.source.strip() for cell in read_committed(path).cells if cell.metadata.get("nbgrader", {}).get("grade")
    ]
    assert sorted(used) == sorted(f"check.{name}({name})" for name in names)
    assert sorted(WRONG[lesson]) == sorted(names)
    for name in names:
        assert len({function.__name__ for function, _ in WRONG[lesson][name]}) >= 3, name


@pytest.mark.parametrize(
    ("lesson", "name", "answer", "hint"),
    ALL_WRONG,
    ids=[f"{case[0]}-{case[1]}-{case[2].__name__}" for case in ALL_WRONG],
)
def test_a_check_rejects_a_wrong_answer_with_the_hint_that_fits(lesson, name, answer, hint):
    with pytest.raises(CheckFailed) as caught:
        getattr(CHECKS[lesson], name)(answer)
    message = str(caught.value)
    assert message.startswith("✗ ")
    assert [line.split(":")[0].strip() for line in message.split("\n")[1:]] == ["seen", "expected", "hint"]
    assert hint in message.split("hint:")[1]
    assert max(map(len, message.split("\n"))) <= 150


@pytest.mark.parametrize(("lesson", "name"), ALL_CHECKS, ids=[f"{lesson}-{name}" for lesson, name in ALL_CHECKS])
def test_a_check_says_that_the_blank_is_blank(lesson, name):
    with pytest.raises(CheckFailed, match="is still empty"):
        getattr(CHECKS[lesson], name)(blank)


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize(("lesson", "name"), ALL_CHECKS, ids=[f"{lesson}-{name}" for lesson, name in ALL_CHECKS])
def test_a_check_survives_nonsense(lesson, name, kind):
    with pytest.raises(CheckFailed, match="✗"):
        getattr(CHECKS[lesson], name)(NONSENSE[kind])


ONE_QUESTION = {"read_curves", "find_faults", "read_instruments", "plan"}  # about what the lesson has drawn


def run_check(lesson, name, change_result, capsys) -> tuple[list, bool]:
    """Run a check on its solution, whose results are changed; return the results, and whether they were accepted."""
    solution, results = solutions(lesson)[name], []

    def answer(*arguments, **named):
        results.append(solution(*arguments, **named))
        return change_result(len(results) - 1, results)

    try:
        getattr(CHECKS[lesson], name)(answer)
    except CheckFailed:
        return results, False
    assert capsys.readouterr().out.startswith("✓ ")
    return results, True


@pytest.mark.parametrize(("lesson", "name"), ALL_CHECKS, ids=[f"{lesson}-{name}" for lesson, name in ALL_CHECKS])
def test_a_check_accepts_the_solution_and_misses_none_of_its_results(lesson, name, capsys):
    results, accepted = run_check(lesson, name, lambda place, results: results[place], capsys)
    assert accepted
    number = len(results)
    assert number == 1 if name in ONE_QUESTION else number > 1
    for missing in {0, 1, number // 2, number - 1} & set(range(number)):
        _, accepted = run_check(
            lesson, name, lambda place, results, missing=missing: None if place == missing else results[place], capsys
        )
        assert not accepted, f"call {missing} of {number} gave nothing"


def akin(result) -> list:
    """Return results of the same kind that no one should give back."""
    if isinstance(result, str):
        return ["?", ""]
    if isinstance(result, bool | int | float | np.number):
        return [math.inf, math.nan, -1, "?"]
    if isinstance(result, dict):
        return [{}, *({**result, key: value} for key in result for value in akin(result[key]))]
    if isinstance(result, list | tuple):
        kind = type(result)
        others = [kind([value, *result[1:]]) for value in akin(result[0])] if result else []
        return [kind(), kind([*result, "?"]), kind([*result, 7]), kind(reversed(result)), *others]
    if isinstance(result, torch.Tensor | np.ndarray):
        endless = torch.full(result.shape, math.inf)
        return [result[:0], result[None], result.tolist(), endless, (endless - endless).numpy()] if result.ndim else []
    return []


@pytest.mark.parametrize(("lesson", "name"), ALL_CHECKS, ids=[f"{lesson}-{name}" for lesson, name in ALL_CHECKS])
def test_a_check_judges_whatever_resembles_a_result(lesson, name, capsys):
    results, _ = run_check(lesson, name, lambda place, results: results[place], capsys)
    for wrong in [*akin(results[0]), results[-1]]:
        run_check(lesson, name, lambda place, results, wrong=wrong: results[place] if place else wrong, capsys)
    run_check(lesson, name, lambda place, results: results[0], capsys)  # the same answer to every question


def test_a_failed_check_shows_its_message_alone():
    failed = cross("the sum", 2, 1, "count again")
    assert failed._render_traceback_() == ["✗ the sum", "  seen:     2", "  expected: 1", "  hint:     count again"]


def test_the_answer_gets_copies_of_tensors():
    def spoil(tensor):
        return tensor.zero_()

    tensor = torch.ones(2)
    assert call(spoil, tensor).sum() == 0 and tensor.sum() == 2


def test_a_result_is_compared_as_a_tensor_or_a_number():
    assert as_tensor("x", [1, 2], torch.zeros(2), "").dtype == torch.float32
    with pytest.raises(CheckFailed, match=r"\(2,\)\n  expected: \(3,\)\n  hint:     sum over rows"):
        as_tensor("x", [1, 2], torch.zeros(3), "sum over rows")
    assert as_tensor("x", np.arange(3)[::-1], torch.zeros(3), "").tolist() == [2, 1, 0]
    assert as_number("x", torch.tensor([2.5], requires_grad=True)) == as_number("x", np.array([2.5])) == 2.5
    with pytest.raises(CheckFailed, match="expected: a number"):
        as_number("x", "many")
    assert short(torch.tensor([1 / 3])) == "[0.333]" and len(short("x" * 100)) == 60


def test_a_small_confusion_matrix_stands_in_the_message_in_full():
    def right_for_two_classes(matrix, mix, number):
        if len(matrix) == 3:
            return {"precision": 2.0, "recall": 2.0, "f1": 2.0}
        return CHECKS["05"]._scores(mix[:, None] * matrix / matrix.sum(axis=1, keepdims=True), number)

    with pytest.raises(CheckFailed, match=r"class 0 in \d+ \d+ \d+ \| \d+ \d+ \d+ \| \d+ \d+ \d+, mix"):
        CHECKS["05"].scores_in_shop(right_for_two_classes)


def test_the_class_whose_recall_is_furthest_off_is_named_and_not_one_without_images():
    def wrong_for_class_0(batches, classes):
        recalls = solutions("02")["recall_by_class"](batches, classes)
        recalls[0] += 0.1 * (classes == 10)  # of which the last has no images
        return recalls

    with pytest.raises(CheckFailed, match="the recall of class 0"):
        CHECKS["02"].recall_by_class(wrong_for_class_0)


def test_a_pair_may_be_an_array_and_is_no_picture():
    assert all(map(is_pair, [(1, 2), [1, 2], np.array([1, 2]), torch.ones(2)]))
    assert not any(map(is_pair, [1, "ab", {1, 2}, (1, 2, 3), torch.ones(2, 3), np.array(2)]))
