"""The peers: that each row is whole and trains, what is recorded of it, and what table and chart make of it."""

import re
import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from scipy.stats import binomtest
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks import peers, race, readme, record
from benchmarks.peers import PEERS, Classic, Network
from helpers import ladder
from helpers.data import load_images
from helpers.deep import multiply_adds
from helpers.device import set_seed

NETWORKS = [name for name, peer in PEERS.items() if isinstance(peer, Network)]
FEW = 512


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Send the results to a folder of the test."""
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture(scope="module")
def few(real):
    """Give 512 training images with their labels."""
    images, labels = load_images(train=True)
    return images[:FEW], labels[:FEW]


def entry(group, seconds, accuracy, **key):
    counts = {"parameters": 1_000, "multiply_adds": 2_000, "train_images": 60_000, "epochs": 3}
    return {**counts, "group": group, "seconds": seconds, "test_accuracy": accuracy, **key}


def made_up():
    """Return entries in which ours beat one peer, are slower than the second and less accurate than the third."""
    ours = [("sprint", 1, 10.0, 0.90), ("sprint", 5, 40.0, 0.93)]
    entries = [
        entry(ladder.OURS, seconds + 2 * seed, accuracy, own=name, epochs=epochs, seed=seed)
        for name, epochs, seconds, accuracy in ours
        for seed in (0, 1)
    ]
    beaten = [entry(ladder.WITH_NETWORK, 100.0, value, peer="LeNet (d2l)", seed=0) for value in (0.89, 0.91)]
    no_network = {"peer": "k-NN", "epochs": None, "multiply_adds": None}
    quick = entry(ladder.WITHOUT_NETWORK, 5.0, 0.85, **no_network)
    better = entry(ladder.WITH_NETWORK, 900.0, 0.95, peer="ResNet-20, 30 epochs")
    return [*entries, *beaten, quick, better]


def test_there_are_ten_peers_and_each_says_where_it_is_from_and_what_was_chosen():
    assert len(PEERS) >= 10
    for name, peer in PEERS.items():
        assert peer.source.startswith("[") and "](https://" in peer.source, name
        assert len(peer.open) > 20 and peer.open.endswith("."), name
        assert peer.seeds in (1, peers.SEEDS) and (peer.seeds == 1 or not peer.long), name
        assert peer.reported is None or 0.8 < peer.reported < 1, name
    assert sum(isinstance(peer, Classic) for peer in PEERS.values()) == 5


def test_the_networks_have_the_parameters_that_their_sources_count():
    counted = {name: sum(weights.numel() for weights in PEERS[name].make().parameters()) for name in NETWORKS}
    published = {name: PEERS[name].parameters for name in NETWORKS if PEERS[name].parameters}
    assert len(published) >= 5
    assert {name: counted[name] for name in published} == published
    assert round(counted["ResNet-20, 30 epochs"] / 1e6, 2) == 0.27  # as its paper's table says


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_by_its_recipe(name, few):
    peer = replace(PEERS[name], epochs=1)
    set_seed(1)
    untrained = peer.make()
    used = FEW if multiply_adds(untrained) < 2e7 else FEW // 4  # the largest take seconds
    trained = peers.train(peer, few[0][:used], few[1][:used], seed=1)
    assert not trained.training
    changed = [not torch.equal(*pair) for pair in zip(untrained.parameters(), trained.parameters(), strict=True)]
    assert all(changed)
    answers = peers.answer(peer, trained, few[0][:100])
    assert answers.shape == (100,) and set(answers) <= set(range(10))
    assert peers.size_of(peer, trained)["multiply_adds"] >= 7_840


@pytest.mark.parametrize("name", [name for name in PEERS if name not in NETWORKS])
def test_a_classifier_without_a_network_learns(name, few):
    peer, (images, labels) = PEERS[name], few
    if name == "Gradient boosting":  # a hundred rounds take seconds
        peer = replace(
            peer, make=lambda seed: PEERS[name].make(seed).set_params(histgradientboostingclassifier__max_iter=3)
        )
    trained = peers.train(peer, images[:400], labels[:400], seed=1)
    assert (peers.answer(peer, trained, images[400:]) == labels[400:].numpy()).mean() > 0.5
    size = peers.size_of(peer, trained)
    assert size["parameters"] > 100 and (size["multiply_adds"] is None) == (
        name in ("Random forest", "Gradient boosting")
    )


def test_the_schedules_fall_when_their_recipes_say():
    weights = [nn.Parameter(torch.zeros(1))]

    def rates(make, highest, epochs, batches):
        optimizer = torch.optim.SGD(weights, lr=highest)
        schedule, found = make(optimizer, epochs, batches), []
        for _ in range(epochs * batches):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    cycle = rates(peers.one_cycle(0.02), 0.02, epochs=5, batches=20)
    assert max(cycle) == pytest.approx(0.02) and cycle.index(max(cycle)) == 29 and cycle[-1] < 1e-5
    stairs = rates(PEERS["ResNet-20, 30 epochs"].schedule, 0.1, epochs=30, batches=2)
    assert stairs == pytest.approx([0.1] * 30 + [0.01] * 14 + [0.001] * 16)


def test_a_histogram_of_gradients_knows_the_direction_of_an_edge():
    image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    image[..., 14:, :] = 255  # from dark to bright downwards: the fifth direction, at a right angle
    found = peers.hog(image)
    assert found.shape == (1, 1296) and found.dtype == np.float32
    by_direction = found.reshape(9, 4, 36).sum(axis=(1, 2))
    assert by_direction[4] > 0 and np.delete(by_direction, 4) == pytest.approx(np.zeros(8), abs=1e-5)
    lengths = np.linalg.norm(found.reshape(36, 36), axis=0)
    assert set(np.round(lengths, 4)) <= {0.0, 1.0}


def test_what_is_measured_of_a_peer(few, monkeypatch):
    opened, sizes = [], []
    true_train = peers.train

    def train(peer, images, labels, seed):
        assert not opened
        sizes.append((len(images), getattr(peer, "epochs", None)))
        return true_train(peer, images, labels, seed)

    def open_test_set(reason):
        opened.append(reason)
        return TensorDataset(few[0][:50], few[1][:50])

    monkeypatch.setattr(peers, "train", train)
    monkeypatch.setattr(peers, "open_test_set", open_test_set)
    monkeypatch.setattr(peers, "load_images", lambda train: few)
    monkeypatch.setattr(peers, "WARM_UP_IMAGES", 100)
    found = peers.measure("Softmax regression (d2l)", 2)
    assert sizes == [(100, 1), (FEW, 10)] and len(opened) == 1 and "seed 2" in opened[0]
    counts = ["parameters", "multiply_adds", "train_images", "epochs"]
    assert list(found) == ["group", *counts, "seconds", "answer_seconds", "test_accuracy"]
    assert (found["parameters"], found["multiply_adds"], found["train_images"]) == (7_850, 7_840, FEW)
    assert found["test_accuracy"] > 0.5
    opened.clear()
    true_answer = peers.answer
    monkeypatch.setattr(peers, "answer", lambda *all_of_them: time.sleep(0.1) or true_answer(*all_of_them))
    # It knows these images, so each is its own neighbour, and answering is its work.
    found = peers.measure("k-NN", 0)
    assert found["test_accuracy"] == 1 and found["epochs"] is None
    assert found["group"] == ladder.WITHOUT_NETWORK and found["seconds"] >= found["answer_seconds"] >= 0.1


def test_ours_train_so_many_epochs_and_their_schedule_with_them(few, monkeypatch):
    taken = []

    def train_recipe(recipe, train):
        taken.append((recipe.epochs, recipe.images))
        raise KeyboardInterrupt

    monkeypatch.setattr(race, "train_recipe", train_recipe)
    monkeypatch.setattr(race, "load_training_images", lambda recipe: TensorDataset(*few))
    for epochs in (None, 2):
        with pytest.raises(KeyboardInterrupt):
            race.run_recipe("sprint", 0, epochs)
    assert taken == [(5, 60_000), (2, 60_000)]


def test_the_plan_holds_every_training_once_the_long_ones_last():
    plan = peers.plan()
    labels = [str(key) for key in plan]
    assert len(set(labels)) == len(labels)
    for name, peer in PEERS.items():
        assert [key["seed"] for key in plan if key.get("peer") == name] == list(range(peer.seeds))
    for own in peers.OWN:
        assert sum((key.get("own"), key.get("epochs")) == own for key in plan) == peers.SEEDS
    long = ["peer" in key and PEERS[key["peer"]].long for key in plan]
    assert long == sorted(long) and any(long)


def test_a_stopped_benchmark_goes_on_where_it_was(results, monkeypatch):
    plan, calls = peers.plan()[:4], []

    def measure(key):
        calls.append(key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return entry(ladder.OURS, 1.0, 0.9)

    monkeypatch.setattr(peers, "plan", lambda: plan)
    monkeypatch.setattr(peers, "measure_planned", measure)
    with pytest.raises(KeyboardInterrupt):
        peers.main()
    peers.main()
    assert calls == [*plan[:3], *plan[2:]]
    assert len(record.read("peers")) == 4


def test_the_points_are_means_of_the_seeds_with_wilsons_interval():
    points = ladder.peer_points(made_up())
    assert points.index.tolist() == [
        "k-NN",
        "sprint, 1 epoch",
        "sprint, 5 epochs",
        "LeNet (d2l)",
        "ResNet-20, 30 epochs",
    ]
    assert points["seconds"].tolist() == [5, 11, 41, 100, 900]
    assert points.loc["LeNet (d2l)", "accuracy"] == pytest.approx(0.90)
    by_scipy = binomtest(9_000, 10_000).proportion_ci(method="wilson")
    assert points.loc["LeNet (d2l)", ["low", "high"]].tolist() == pytest.approx([by_scipy.low, by_scipy.high])
    assert ladder.seconds_to_reach(points, 0.90) == 11 and ladder.seconds_to_reach(points, 0.901) == 41
    assert ladder.seconds_to_reach(points, 0.94) is None


def test_the_table_tells_each_row_and_where_ours_are_behind(results):
    record.write("peers", {str(number): found for number, found in enumerate(made_up())})
    table = peers.peers_table()
    lenet = "| LeNet (d2l) | 2 | 60,000 | 3 | 100.0 | 90.00 ± 1.41 | 89.40 to 90.57 | – | 1,000 | 2,000 | 11.0 |"
    assert lenet in table
    assert "| k-NN | 1 | 60,000 | – | 5.0 | 85.00 | 84.29 to 85.69 | – | 1,000 | – | 11.0 |" in table
    assert "| ResNet-20, 30 epochs | 1 | 60,000 | 3 | 900.0 | 95.00 |" in table and "| not reached |" in table
    assert "| **sprint, 5 epochs** | 2 |" in table
    assert "Ours are ahead of 1 of 3 peers" in table
    assert "k-NN takes 5.0 s, where ours need 11.0 s for its accuracy; ResNet-20, 30 epochs is more accurate" in table
    missing = re.search(r"Not trained yet: (.*)\.\n", table)[1].split("; ")
    assert missing == [name for name in PEERS if name not in ("LeNet (d2l)", "k-NN", "ResNet-20, 30 epochs")]
    for name in ("LeNet (d2l)", "k-NN", "ResNet-20, 30 epochs"):
        assert f"| {name} | {PEERS[name].source} | {PEERS[name].open} |" in table


def test_no_name_in_the_recorded_chart_covers_another():
    figure = peers.draw_peers()
    figure.draw_without_rendering()  # so that each name is at its place
    [ax] = figure.axes
    names = {text.get_text(): Text.get_window_extent(text) for text in ax.texts}  # without the line to the mark
    pairs = combinations(names.items(), 2)
    assert [(first, second) for (first, one), (second, other) in pairs if one.overlaps(other)] == []
    assert len(names) == len(ladder.peer_points(list(record.read("peers").values())))


def test_the_chart_names_every_point_and_joins_ours(ax, figures_can_be_seen):
    ax.figure.set_size_inches(10, 7)
    points = ladder.peer_points(made_up())
    ladder.plot_peers(points, ax=ax)
    assert ax.get_xscale() == "log"
    line = ax.lines[0]
    assert line.get_xdata().tolist() == [11, 41] and line.get_ydata().tolist() == pytest.approx([90, 93])
    assert {text.get_text() for text in ax.texts} == set(points.index)
    marks = [container.lines[0].get_marker() for container in ax.containers]
    assert len(set(marks)) == 3  # told apart without colour
    assert "LeNet (d2l) 90.0 % in 100 s" in ax.get_label()
    places = [Text.get_window_extent(text) for text in ax.texts]
    assert not any(a.overlaps(b) for number, a in enumerate(places) for b in places[:number])


def test_no_name_lies_on_our_line(ax):
    # It is level, so a name to the right of its first point would cover it.
    entries = [
        entry(ladder.OURS, seconds, 0.9, own="sprint", epochs=epochs) for seconds, epochs in ((10.0, 1), (40.0, 5))
    ]
    ladder.plot_peers(ladder.peer_points(entries), ax=ax)
    (left, height), (right, _) = ax.transData.transform(ax.lines[0].get_xydata())
    for place in (Text.get_window_extent(text) for text in ax.texts):
        assert not any(place.contains(across, height) for across in np.linspace(left, right, 100))


def test_a_peer_below_the_floor_stands_at_it_with_its_own_figure(ax):
    entries = [
        entry(ladder.OURS, 10.0, 0.9, own="sprint", epochs=1),
        entry(ladder.WITH_NETWORK, 30.0, 0.1, peer="LeNet (d2l)"),
    ]
    ladder.plot_peers(ladder.peer_points(entries), ax=ax)
    assert {text.get_text() for text in ax.texts} == {"sprint, 1 epoch", "LeNet (d2l): 10 %"}
    assert ax.containers[1].lines[0].get_ydata().tolist() == [ladder.FLOOR]
    assert "LeNet (d2l) 10.0 % in 30 s" in ax.get_label() and str(ladder.FLOOR) in ax.get_ylabel()


def test_one_failed_training_of_three_does_not_move_the_mark(ax):
    seeds = [entry(ladder.WITH_NETWORK, 30.0, accuracy, peer="LeNet (d2l)") for accuracy in (0.89, 0.1, 0.88)]
    points = ladder.peer_points([entry(ladder.OURS, 10.0, 0.9, own="sprint", epochs=1), *seeds])
    ladder.plot_peers(points, ax=ax)
    peer = ax.containers[1]
    assert peer.lines[0].get_ydata().tolist() == pytest.approx([88])
    [(low, high)] = [segment[:, 1] for segment in peer.lines[2][0].get_segments()]
    best = binomtest(8_900, 10_000).proportion_ci(method="wilson").high
    assert low == pytest.approx(ladder.FLOOR) and high == pytest.approx(100 * best)
    assert {text.get_text() for text in ax.texts} == {"sprint, 1 epoch", "LeNet (d2l), worst seed 10 %"}
    assert "LeNet (d2l) 88.0 % in 30 s, worst seed 10 %" in ax.get_label()
    assert "median of the seeds" in ax.get_legend().get_title().get_text()


def test_the_chart_of_a_run_that_was_stopped_early_shows_what_there_is(ax):
    first, *_ = made_up()
    ladder.plot_peers(ladder.peer_points([first]), ax=ax)
    assert [text.get_text() for text in ax.texts] == ["sprint, 1 epoch"]


def test_the_readme_shows_the_chart_once_it_is_measured(results, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PICTURE", tmp_path / "peers.svg")
    peers.save_picture()
    assert not peers.PICTURE.exists()
    assert "<!--peers-->\n\n<!--/peers-->" in readme.filled(readme.README)
    conditions = record.conditions()
    record.write("peers", {str(number): found | {"conditions": conditions} for number, found in enumerate(made_up())})
    peers.save_picture()
    assert "<svg" in peers.PICTURE.read_text()
    shown = readme.filled(readme.README)
    assert "](benchmarks/peers.svg)" in shown and "sprint, 5 epochs 93.0 % in 41 s" in shown
    assert shown.index("benchmarks/peers.svg") < shown.index("notebooks/scoreboard.svg")


def test_the_committed_chart_is_there_if_it_was_measured():
    assert peers.PICTURE.exists() == bool(record.read("peers")), "run python -m benchmarks.readme"
