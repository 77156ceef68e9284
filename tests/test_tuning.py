"""Tuning: the small trial, the choice of a winner, tickets that are counted once, and the figures of lesson 10."""

import signal
import subprocess
import sys

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from helpers import config, tuning
from helpers import tuning_figures as figures

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::optuna.exceptions.ExperimentalWarning", "ignore:Heartbeat of storage:UserWarning"
    ),
    pytest.mark.usefixtures("figures_can_be_seen"),
]


@pytest.fixture(autouse=True)
def end_of_patience():
    """Fail a test whose worker waits for ever, where the system has an alarm."""

    def too_long(*signal_and_frame):
        pytest.fail("a worker waits for a trial that never ends")

    if hasattr(signal, "alarm"):
        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(60)
    yield
    if hasattr(signal, "alarm"):
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def storage(home, monkeypatch):
    monkeypatch.delenv("STORAGE", raising=False)
    return tuning.open_storage(heartbeat=1)


def value_of(trial):
    return trial.suggest_float("x", 0, 1)


def fail(storage, study, number, **attributes):
    """Leave a trial as a killed worker leaves it: running, and without a sign of life for long."""
    trial = study.ask()
    trial.set_user_attr("worker", "gone")
    trial.suggest_float("x", 0, 1)
    storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)
    return trial


def test_small_images_are_means_of_blocks(stripes):
    dataset = stripes(30)
    images, labels = tuning.small_images(dataset, 20)
    assert images.shape == (20, 1, 14, 14) and len(labels) == 20
    block = dataset.tensors[0][3, 0, 4:6, 8:10].float().mean() / 255
    assert images[3, 0, 2, 4].item() == pytest.approx((block.item() - 0.2857) / 0.3528, abs=1e-5)


def test_a_trial_learns_and_is_the_same_for_the_same_seed(stripes):
    images, labels = tuning.small_images(stripes(600))
    settings = {"learning_rate": 0.02, "batch_size": 10, "dropout": 0.0}
    seen = []
    network = tuning.train_trial(settings, images, labels, 1, lambda epoch, model: seen.append((epoch, model.training)))
    assert seen == [(epoch, False) for epoch in range(1, tuning.EPOCHS + 1)]
    right = tuning.right_answers(network, images, labels)
    assert right.shape == (600,) and right.dtype == bool and right.mean() > 0.5
    again, other = (tuning.train_trial(settings, images, labels, seed) for seed in (1, 2))
    assert torch.equal(network[0].weight, again[0].weight) and not torch.equal(network[0].weight, other[0].weight)


def test_a_rate_far_too_high_gives_a_network_that_guesses_and_no_error(stripes):
    images, labels = tuning.small_images(stripes(300))
    network = tuning.train_trial({"learning_rate": 1e6, "batch_size": 32, "dropout": 0.0}, images, labels)
    assert tuning.right_answers(network, images, labels).mean() < 0.35


def test_the_range_test_ends_where_the_loss_explodes(stripes):
    rates, losses = tuning.range_test(*tuning.small_images(stripes(300)), batch_size=30)
    assert len(rates) == len(losses) and rates[0] == pytest.approx(1e-4)
    assert (losses[:-1] < 10).all()


def test_judge_keeps_choosing_and_fresh_images_apart():
    right = np.zeros((2, 100), dtype=bool)
    right[0, :30] = True
    right[1] = True
    choosing, fresh = tuning.judge(right, 40, np.random.default_rng(0))
    assert choosing[0] * 40 + fresh[0] * 60 == pytest.approx(30)
    assert choosing[1] == fresh[1] == 1


def test_best_so_far_follows_the_choice_and_not_the_truth():
    choosing, fresh = np.array([0.5, 0.9, 0.7]), np.array([0.6, 0.4, 0.8])
    assert tuning.best_so_far([0, 2, 1], choosing, fresh).tolist() == [0.6, 0.8, 0.4]


def test_the_optimism_of_equal_networks_is_that_of_the_largest_of_n():
    right = np.random.default_rng(0).random((64, 20_000)) < 0.8
    found = tuning.winners(right, [1, 8], 400, repetitions=300).groupby("trials")["optimism"].mean()
    draws = norm.rvs(size=(20_000, 8), random_state=0).max(axis=1).mean()
    assert found[1] == pytest.approx(0, abs=0.005)
    assert found[8] == pytest.approx(draws * np.sqrt(0.16 / 400), rel=0.15)


def test_the_storage_is_a_file_of_the_run_or_what_the_environment_says(home, monkeypatch):
    monkeypatch.delenv("STORAGE", raising=False)
    assert tuning.storage_url() == f"sqlite:///{(config.RUNS_DIR / 'tuning.db').as_posix()}"
    for kind in ("postgresql", "postgres"):
        monkeypatch.setenv("STORAGE", f"{kind}://student:secret@host/db")
        assert tuning.storage_url() == "postgresql+psycopg://student:secret@host/db"


def test_a_storage_that_is_not_there_is_one_message_without_the_password(monkeypatch):
    monkeypatch.setenv("STORAGE", "postgresql://student:secret@127.0.0.1:9/db")
    with pytest.raises(SystemExit) as stopped:
        tuning.open_storage()
    assert "127.0.0.1:9/db" in str(stopped.value) and "secret" not in str(stopped.value)


def test_a_study_has_its_tickets_once_and_more_when_asked(storage):
    for trials, expected in ((3, 3), (3, 3), (5, 5)):
        study = tuning.start("s", trials, storage)
        assert [trial.user_attrs["ticket"] for trial in study.trials] == list(range(expected))
    assert len(tuning.tickets(tuning.start("s", 2, storage, anew=True))) == 2


def test_a_worker_does_all_tickets_and_not_one_more(storage):
    study = tuning.start("s", 6, storage)
    assert tuning.work(study, value_of, heartbeat=1) == 6
    assert set(tuning.tickets(study)["state"]) == {"complete"} and len(study.trials) == 6
    assert tuning.work(study, value_of, heartbeat=1) == 0 and len(study.trials) == 6


def test_a_study_that_was_stopped_goes_on_where_it_was(storage):
    study = tuning.start("s", 5, storage)

    def stopped_at_two(trial):
        if trial.user_attrs["ticket"] == 2 and trial.user_attrs.get("tries", 1) == 1:
            raise KeyboardInterrupt
        return value_of(trial)

    with pytest.raises(KeyboardInterrupt):
        tuning.work(study, stopped_at_two, heartbeat=1)
    assert set(tuning.tickets(study)["state"]) == {"complete", "waiting"}  # back in the queue at once
    before = tuning.tickets(study).set_index("ticket")["value"]
    assert before[[0, 1]].notna().all() and before[[2, 3, 4]].isna().all()
    again = optuna.load_study(study_name="s", storage=tuning.open_storage(heartbeat=1))
    assert tuning.work(again, stopped_at_two, heartbeat=1) == 3
    after = tuning.tickets(again).set_index("ticket")
    assert set(after["state"]) == {"complete"} and after.loc[2, "tries"] == 2
    assert after["value"][[0, 1]].tolist() == before[[0, 1]].tolist()


def test_a_ticket_that_nobody_has_any_more_is_found_at_the_end(storage):
    study = tuning.start("s", 3, storage)
    fail(storage, study, 0)  # killed, and the one who found out was killed before the ticket was back
    assert "lost" in set(tuning.tickets(study)["state"])
    tuning.work(study, value_of, heartbeat=1)
    assert set(tuning.tickets(study)["state"]) == {"complete"}


def test_a_ticket_taken_by_a_worker_that_died_before_its_first_sign_of_life_comes_back(storage):
    study = tuning.start("s", 2, storage)
    study.ask()  # the trial is running, and no heartbeat was ever written
    assert tuning.work(study, value_of, heartbeat=1) == 2
    table = tuning.tickets(study)
    assert set(table["state"]) == {"complete"} and table["tries"].tolist() == [2, 1]


def test_a_trial_that_ends_its_workers_is_given_up(storage):
    study = tuning.start("s", 1, storage)
    for _ in range(tuning.MOST_TRIES):
        fail(storage, study, 0)
        tuning.give_back(study, [study.trials[-1].number])
    assert tuning.tickets(study)["state"].tolist() == ["given up"]
    assert tuning.work(study, value_of, heartbeat=1) == 0


def test_an_error_in_the_objective_is_shown(storage):
    def broken(trial):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        tuning.work(tuning.start("s", 2, storage), broken, heartbeat=1)


def test_a_ticket_that_was_done_twice_counts_once(storage):
    study = tuning.start("s", 2, storage)
    tuning.work(study, value_of, heartbeat=1)
    study.enqueue_trial({}, {"ticket": 1})
    study.optimize(value_of, n_trials=1)
    table = tuning.tickets(study)
    assert len(study.trials) == 3 and list(table["ticket"]) == [0, 1]
    assert table["value"][1] == study.trials[1].value


def test_a_trial_without_a_ticket_never_counts(storage):
    study = tuning.start("s", 1, storage)
    tuning.work(study, value_of, heartbeat=1)
    study.optimize(value_of, n_trials=2)
    assert len(tuning.tickets(study)) == 1


def test_the_command_starts_and_shows_a_study_and_says_where_none_is(storage, capsys):
    with pytest.raises(SystemExit, match="There is no study"):
        tuning.main(["show", "--study", "other"])
    tuning.main(["start", "--study", "s", "--trials", "4"])
    tuning.work(optuna.load_study(study_name="s", storage=storage), value_of, heartbeat=1)
    tuning.main(["show", "--study", "s"])
    assert "4 trials: 4 complete" in capsys.readouterr().out


def test_the_figures_show_what_they_are_given(ax, storage):
    rows = [(rate, batch, drop) for rate in (0.1, 1.0) for batch in (32, 64) for drop in (0.0, 0.5)]
    table = pd.DataFrame(rows, columns=["learning_rate", "batch_size", "dropout"]).assign(accuracy=np.arange(8) / 10)
    assert [text.get_text() for text in figures.plot_table(table, ax=ax).texts][:2] == ["0", "40"]
    ax.clear()
    assert len(figures.plot_searches({"grid": np.ones((3, 5)), "TPE": np.ones((3, 5))}, ax=ax).lines) == 2
    ax.clear()
    shares = pd.DataFrame({"by hand": [0.9, 0.1]}, index=["rate", "dropout"])
    assert [text.get_text() for text in figures.plot_shares(shares, ax=ax).texts] == ["90", "10"]
    ax.clear()
    figures.plot_pruning(np.tile([0.1, 0.2, 0.4, 0.7], (3, 1)), np.array([4, 1, 2]), ax=ax)
    assert ax.get_title() == "3 trials, 2 of them pruned"
    ends = [drawn.get_xydata()[0] for drawn in ax.lines if drawn.get_marker() in "oX"]
    assert np.allclose(ends, [(4, 70), (1, 10), (2, 20)])
    ax.clear()
    pruned = pd.DataFrame({"pruner": ["a", "b"], "saved": [0.2, 0.4], "change": [0.0, -0.01]})
    assert "b saves 40 percent" in figures.plot_savings(pruned, ax=ax).get_label()
    ax.clear()
    found = pd.DataFrame({"trials": [1, 1, 8], "choosing": [0.5, 0.5, 0.8], "fresh": [0.5, 0.5, 0.7]})
    found["optimism"] = found["choosing"] - found["fresh"]
    left, right = figures.plot_winners(found)
    assert left.lines[0].get_ydata().tolist() == [80] and np.allclose(right.lines[0].get_ydata(), [0, 10])
    assert "Best of 8: 100 %" in figures.plot_winner_of(found, 8, ax=ax).get_title()
    ax.clear()
    study = tuning.start("s", 2, storage)
    tuning.work(study, value_of, heartbeat=1)
    assert len(figures.plot_tries(study, ax=ax).patches) == 2


def test_the_recorded_search_is_drawn_with_what_its_best_trials_reach_from_other_seeds():
    reached = [0.93, None, 0.95, 0.94]
    states = ["COMPLETE" if accuracy else "PRUNED" for accuracy in reached]
    entries = [
        {"kind": "trial", "number": number, "accuracy_with_flips": accuracy, "state": state}
        for number, (accuracy, state) in enumerate(zip(reached, states, strict=True))
    ]
    for name, accuracies in {"sprint": (0.96, 0.94), "trial 3": (0.93, 0.91), "trial 2": (0.90, 0.92)}.items():
        for accuracy in accuracies:
            entries.append({"kind": "again", "recipe": name, "accuracy_with_flips": accuracy})
    chosen, again = figures.chosen_and_again([{"kind": "costs"}, *entries])
    assert list(chosen.items()) == [("trial 2", 95), ("trial 3", 94)]
    assert again == {"sprint": [96, 94], "trial 3": [93, 91], "trial 2": [90, 92]}
    left, right = figures.plot_search([{"kind": "costs"}, *entries])
    assert left.lines[0].get_ydata().tolist() == [93, 93, 95, 95]
    assert left.lines[1].get_xdata().tolist() == [0, 2, 3] and left.lines[2].get_xdata().tolist() == [1]
    assert [text.get_text() for text in right.get_xticklabels()] == ["sprint", "trial 2", "trial 3"]
    assert [(arrow.xyann, arrow.xy) for arrow in right.texts] == [((1, 95), (1, 91)), ((2, 94), (2, 92))]


def test_a_worker_is_killed_only_once_it_has_put_its_name_to_a_trial(storage):
    study = tuning.start("s", 1, storage)
    trial = study.ask()
    for named in (False, True):
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        if named:
            trial.set_user_attr("worker", "here")
            tuning.kill_in_a_trial(worker, study, after=0, patience=1)
        else:
            with pytest.raises(RuntimeError, match="did not get into its trial"):
                tuning.kill_in_a_trial(worker, study, after=0, patience=1)
        assert worker.wait(timeout=10) != 0


def test_a_worker_that_was_killed_before_it_gave_its_name_is_drawn(ax, storage):
    study = tuning.start("s", 2, storage)
    storage.set_trial_state_values(study.ask()._trial_id, optuna.trial.TrialState.FAIL)
    tuning.work(study, value_of, heartbeat=1)
    figures.plot_tries(study, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["✗ lost"]
    assert ax.get_label().startswith("In order: ticket 0 lost by worker 1, ticket 1 done by worker 2")


def test_the_drawings_say_in_words_what_they_show():
    grid, drawn = figures.draw_grid_and_random()
    assert "try 3 learning rates" in grid.get_label() and "try 9 learning rates" in drawn.get_label()
    assert "None of them" in grid.get_label() and "One of them" in drawn.get_label()
    rates, scores = np.geomspace(1e-4, 3, 12), np.array([0.1] * 6 + [0.8, 0.9, 0.8] + [0.1] * 3)
    axes = figures.draw_tpe(rates, scores)
    assert axes[0].get_label() == "3 better trials and 9 others by their learning rate."
    next_rate = float(axes[1].get_label().split("rate of ")[1].split(",")[0])
    assert 0.01 < next_rate < 1
    assert all(line.get_ydata().min() > ax.get_ylim()[0] for ax in (grid, drawn) for line in ax.lines)
    queue = figures.draw_queue()
    assert "tickets" in queue.get_label()
    places = {text.get_text(): text.get_position() for text in queue.texts}
    (left, right), (low, high) = queue.get_xlim(), queue.get_ylim()
    assert all(left < x < right and low < y < high for x, y in places.values())
    assert places["database: the study"][1] > places["✓ 0: complete"][1] > places["· 4: waiting"][1]
