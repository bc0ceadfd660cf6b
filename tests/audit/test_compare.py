"""Whole audits of tiny models, held against plain NumPy."""

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, recall_score

from tfunlearn import attacks, audit, metrics, models
from tfunlearn.audit import outputs
from tfunlearn.audit.measure import Measured, collapsed, measured
from tfunlearn.audit.outputs_in_graph import GraphReader
from tfunlearn.data import ForgetSplit
from tfunlearn.report import AuditReport

from .conftest import make_model


def logits_by_hand(model, features):
    kernel, bias = model.get_weights()
    return features.astype("float64") @ kernel.astype("float64") + bias


def losses_by_hand(model, features, labels):
    scores = logits_by_hand(model, features)
    return np.array(
        [np.log(np.exp(row).sum()) - row[k] for row, k in zip(scores, labels, strict=True)]
    )


def numbers(report, name):
    """Returns a row's values without those that are absent."""
    return {key: value for key, value in report.row(name).values.items() if value is not None}


def test_values_against_plain_numpy(trio, shared, split):
    report = shared
    assert [row.name for row in report.rows] == list(trio)
    for name, model in trio.items():
        for role in ("forget", "retain", "test"):
            features, labels = getattr(split, role)
            scores = logits_by_hand(model, features)
            accuracy = accuracy_score(labels, scores.argmax(axis=1))
            assert report.value(name, f"{role}_accuracy") == pytest.approx(accuracy)
            exp = np.exp(scores)
            loss = log_loss(labels, exp / exp.sum(axis=1, keepdims=True), labels=range(3))
            assert report.value(name, f"{role}_loss") == pytest.approx(loss, rel=1e-5)
        tests = [report.value(key, "test_accuracy") for key in (name, "original")]
        assert report.value(name, "utility_preservation") == pytest.approx(tests[0] / tests[1])
        assert report.value(name, "performance_drop") == pytest.approx(tests[1] - tests[0])
        moved = model.get_weights()[0] - trio["original"].get_weights()[0]
        assert report.value(name, "weight_distance") == pytest.approx(np.linalg.norm(moved))
        assert report.value(name, "seconds") == {"original": 2, "retrained": 1.5}.get(name)
    assert report.split["sizes"] == {"forget": 40, "retain": 160, "test": 120}
    assert report.split["fingerprint"] == split.fingerprint()
    assert report.environment["keras"] == keras.__version__


def test_the_attack_sets_forget_against_test_examples_of_its_classes(models, class_split):
    report = audit.compare(models, class_split, seed=5)
    features, labels = class_split.test
    model = models["tuned"]
    attack = attacks.membership_attack(
        losses_by_hand(model, *class_split.forget),
        losses_by_hand(model, features[labels == 1], labels[labels == 1]),
        seed=5,
    )
    assert report.value("tuned", "membership_accuracy") == pytest.approx(attack.accuracy)
    assert report.value("tuned", "membership_deviation") == pytest.approx(attack.deviation)
    assert any(f"{attack.size} examples a side" in note for note in report.notes)


def test_histograms_count_every_example_once(trio, shared, split):
    row = shared.row("tuned")
    losses = losses_by_hand(trio["tuned"], *split.forget)
    expected, _ = np.histogram(np.log10(losses), bins=np.linspace(-6, 2, 41))
    assert list(row.histograms["forget"]) == expected.tolist()
    assert {role: sum(counts) for role, counts in row.histograms.items()} == {
        "forget": 40,
        "retain": 160,
        "test": 120,
    }


def test_a_softmax_head_gives_the_numbers_of_its_logits(model, split):
    pair = {"retrained": model(1), "soft": model(1, softmax=True)}
    report = audit.compare(pair, split, original=None)
    assert numbers(report, "soft") == pytest.approx(numbers(report, "retrained"), rel=1e-5)


def test_a_head_that_cannot_be_read_is_an_error(split):
    sigmoid = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    with pytest.raises(ValueError, match="logits cannot be read"):
        audit.compare({"retrained": sigmoid}, split, original=None)


@pytest.mark.parametrize("streamed", [False, True])
def test_each_role_is_predicted_once(trio, shared, split, data, streamed, monkeypatch):
    if streamed:
        tf = pytest.importorskip("tensorflow")
        source = tf.data.Dataset.from_tensor_slices(data(200, 0))
        same = ForgetSplit.from_dataset(
            source, forget=split.ids["forget"], test=data(120, 2), num_classes=3
        )
    else:
        same = split
    calls = []
    predict = keras.Model.predict
    monkeypatch.setattr(
        keras.Model, "predict", lambda self, *a, **k: calls.append(self) or predict(self, *a, **k)
    )
    read = GraphReader.read
    monkeypatch.setattr(
        GraphReader, "read", lambda self, rows: calls.append(self._model) or read(self, rows)
    )
    report = audit.compare(trio, same, seconds={"original": 2, "retrained": 1.5}, batch_size=32)
    assert len(calls) == 3 * len(trio)
    assert not {id(model) for model in trio.values()} & {id(model) for model in calls}
    for name in trio:
        assert numbers(report, name) == pytest.approx(numbers(shared, name), rel=1e-5)


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_references_that_fit_their_data_worse_are_told(models, split, share):
    """A reference that answers by chance on a share of the retain set, by a turned-round head."""
    features, labels = split.retain
    scores = logits_by_hand(models["original"], features)
    right = np.mean(scores.argmax(axis=1) == labels)
    kernel, bias = models["original"].get_weights()
    turned = np.roll(kernel, 1, axis=1)
    for part in np.linspace(0, 1, 401):  # until it is that much worse
        models["retrained"].set_weights([(1 - part) * kernel + part * turned, bias])
        worse = np.mean(logits_by_hand(models["retrained"], features).argmax(axis=1) == labels)
        if worse <= right - share:
            break
    report = audit.compare(models, split)
    told = [note for note in report.notes if "Were they trained as it was" in note]
    assert any("retain accuracy" in note.lower() for note in told) is bool(share > 0.05)
    if share > 0.05:
        words = f"retain accuracy {worse:.1%} against {right:.1%} (references worse)"
        assert words in told[0].replace("Retain", "retain")
        turned_round = {**models, "original": models["retrained"], "retrained": models["original"]}
        report = audit.compare(turned_round, split)
        told = [note for note in report.notes if "Were they trained as it was" in note]
        words = f"retain accuracy {right:.1%} against {worse:.1%} (references better)"
        assert words in told[0].replace("Retain", "retain")


def test_every_role_has_its_balanced_accuracy_and_its_worst_class(trio, shared, split):
    classes = {}
    for name, model in trio.items():
        for role in ("forget", "retain", "test"):
            features, labels = getattr(split, role)
            answers = logits_by_hand(model, features).argmax(axis=1)
            recalls = recall_score(labels, answers, average=None)
            value = shared.value(name, f"{role}_balanced_accuracy")
            assert value == pytest.approx(balanced_accuracy_score(labels, answers))
            assert shared.value(name, f"{role}_worst_recall") == pytest.approx(recalls.min())
            classes.setdefault(role, {}).setdefault(int(recalls.argmin()), []).append(name)
    (told,) = (note for note in shared.notes if note.startswith("Class with the lowest recall: "))
    for role, found in classes.items():
        for label, names in found.items():
            assert f"{label} ({', '.join(names)})" in told.split(f"{role}: ")[1].split(";")[0]
    assert "balanced" in str(shared)
    assert "recall-of-the-worst-class" in shared.to_html()


def test_validation_is_measured_where_it_is(models, data):
    whole = ForgetSplit.random(
        *data(200, 0), seed=1, test=data(120, 2), validation=data(50, 3), num_classes=3
    )
    report = audit.compare(models, whole)
    features, labels = whole.validation
    scores = logits_by_hand(models["tuned"], features)
    expected = np.mean(scores.argmax(axis=1) == labels)
    assert report.value("tuned", "validation_accuracy") == pytest.approx(expected)
    assert "validation" in str(report)


def test_models_are_left_as_they_were(models, split):
    models["tuned"].compile("adam", "mse", metrics=["accuracy"])
    models["tuned"].layers[0].trainable = False
    optimizer, weights = models["tuned"].optimizer, models["tuned"].get_weights()
    config = models["tuned"].get_compile_config()
    audit.compare(models, split)
    assert models["tuned"].optimizer is optimizer
    assert models["tuned"].get_compile_config() == config
    assert models["tuned"].layers[0].trainable is False
    assert not models["original"].compiled
    for before, after in zip(weights, models["tuned"].get_weights(), strict=True):
        assert before.tobytes() == after.tobytes()


def test_the_same_seed_gives_the_same_report(trio, shared, split):
    again = audit.compare(trio, split, seconds={"original": 2, "retrained": 1.5})
    assert again.rows == shared.rows


def test_several_references(trio, shared, model, split):
    report = audit.compare({**trio, "second": model(9)}, split, reference=["retrained", "second"])
    values = [report.value(name, "test_loss") for name in ("retrained", "second")]
    assert report.reference("test_loss").mean == pytest.approx(np.mean(values))
    assert report.reference("test_loss").std == pytest.approx(np.std(values, ddof=1))
    assert not any("one reference" in note for note in report.notes)
    assert any("one reference" in note for note in shared.notes)


def test_round_trip_through_a_file(shared, tmp_path):
    assert AuditReport.load(shared.save(tmp_path / "report.json")) == shared


@pytest.fixture(scope="module")
def odd(trio, split):
    """One audit of models that each have something wrong or special."""
    near, constant, broken = make_model(0), make_model(1), make_model(0)
    kernel, bias = near.get_weights()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(9))
    near.set_weights([kernel, bias])
    constant.set_weights([np.zeros((4, 3)), np.array([0.0, 5.0, 0.0])])
    broken.set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    layers = [keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(3)]
    others = {
        "twin": make_model(0),
        "near": near,
        "constant": constant,
        "chance": make_model(1, scale=-1.0),
        "broken": broken,
        "wide": keras.Sequential(layers),
    }
    keras.utils.set_random_seed(0)
    return audit.compare({**trio, **others}, split)


def test_collapsed_and_unchanged_models_are_named(odd):
    notes = "\n".join(odd.notes)
    assert "twin: unchanged; its weights equal those of original byte for byte" in notes
    assert "constant: collapsed; it answers class 1 to every retain example" in notes
    assert "chance: collapsed; its retain accuracy" in notes
    flags = {row.name: row.flags for row in odd.rows if row.flags and row.name != "wide"}
    assert flags == {
        "twin": ("unchanged",),
        "constant": ("collapsed",),
        "chance": ("collapsed",),
        "broken": ("not finite",),
    }


def test_another_architecture_has_no_weight_distance(odd):
    assert odd.value("wide", "weight_distance") is None
    assert any("wide: weight distance. Reason" in note for note in odd.notes)


def test_a_broken_model_has_no_numbers(odd):
    assert set(odd.row("broken").values.values()) == {None}
    assert any(note.startswith("broken: not finite; its weights") for note in odd.notes)


@pytest.mark.parametrize("name", ["retrained", "original"])
def test_a_broken_reference_or_original_is_refused(models, split, name):
    models[name].set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match=f"Received NaN or infinity from '{name}'"):
        audit.compare({name: models.pop(name), **models}, split)


def test_one_answer_is_no_collapse_where_one_class_is_left(model, data):
    features, labels = data(200, 0)
    features, labels = features[labels < 2], labels[labels < 2]
    half = ForgetSplit.by_class(features, labels, classes=[0], test=(features, labels))
    constant = model(1, classes=2)
    constant.set_weights([np.zeros((4, 2)), np.array([0.0, 5.0])])
    assert audit.compare({"retrained": constant}, half, original=None).rows[0].flags == ()


def test_without_an_original_three_metrics_are_absent_with_the_reason(models, split):
    report = audit.compare(models, split, original=None, seconds=dict.fromkeys(models, 1.0))
    absent = ["utility_preservation", "performance_drop", "weight_distance"]
    row = report.row("tuned").values
    assert [key for key, value in row.items() if value is None] == absent
    reason = "Absent for every model: utility preservation, performance drop, weight distance."
    assert any(note == f"{reason} Reason: no original was given." for note in report.notes)


def test_too_few_examples_leave_the_attack_out(models, data):
    few = ForgetSplit.by_index(*data(100, 0), forget=range(5), test=data(60, 2))
    report = audit.compare(models, few)
    assert report.value("tuned", "membership_accuracy") is None
    assert any("needs 10 examples a side, and there are 5 forget" in note for note in report.notes)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"reference": "gone"}, r"Expected names among \['original', 'retrained', 'tuned'\]"),
        ({"reference": ["retrained", "gone"]}, r"Received \['retrained', 'gone'\]"),
        ({"reference": []}, r"Received \[\]"),
        ({"original": "gone"}, r"original must name .* Received 'gone'"),
        ({"reference": "original"}, "none of them the original"),
        ({"reference": ["retrained", "retrained"]}, "different models"),
        ({"seconds": {"gone": 1}}, "seconds must map compared models"),
        ({"seconds": {"tuned": -1}}, r"Received \{'tuned': -1.0\}"),
    ],
)
def test_bad_names_and_times_are_refused(models, split, own, words, monkeypatch):
    monkeypatch.setattr(outputs.Reader, "read", None)  # refused before anything is run
    with pytest.raises(ValueError, match=words):
        audit.compare(models, split, **own)


def test_a_reference_that_is_not_there_is_an_error(models, split):
    del models["retrained"]
    with pytest.raises(ValueError, match=r"Expected names among \['original', 'tuned'\]"):
        audit.compare(models, split)


def test_models_of_other_classes_or_kinds_are_refused(models, model, split):
    with pytest.raises(ValueError, match=r"Expected 3 classes. Received 4 from 'four'"):
        audit.compare({**models, "four": model(0, classes=4)}, split)
    with pytest.raises(TypeError, match="str 'fn' to function"):
        audit.compare({**models, "fn": lambda x: x}, split)


def test_logits_come_in_the_order_of_the_labels(models, split):
    scores = outputs.logits(models["tuned"], split, "retain", batch_size=7)
    features, labels = split.retain
    np.testing.assert_allclose(scores, logits_by_hand(models["tuned"], features), rtol=1e-5)
    assert (split.labels("retain") == labels).all()
    assert scores.dtype == "float64"


def test_models_of_one_architecture_share_one_copy(models, model, split, monkeypatch):
    made = []
    copy = outputs.models.logits_model
    monkeypatch.setattr(outputs.models, "logits_model", lambda net: made.append(net) or copy(net))
    reader = outputs.Reader(split, ("test",))
    features, _ = split.test
    soft = model(3, softmax=True)
    for net in (*models.values(), soft, models["tuned"]):
        [(_, scores)] = reader.read(net)
        expected = logits_by_hand(net, features)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    assert made == [models["original"], soft, models["tuned"]]


def test_pixels_are_taken_as_they_are_and_a_poor_original_is_told_once():
    numbers = np.random.default_rng(0)
    x, y = numbers.integers(0, 256, (200, 4)).astype("uint8"), np.arange(200) % 2
    split = ForgetSplit.by_index(x, y, forget=range(40), test=(x, y))
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    net.set_weights([np.array([[-1, 1]] + 3 * [[0, 0]]), np.array([127.5, -127.5])])
    near = models.copy(net)  # a reference must be another model than the original
    near.set_weights([net.get_weights()[0], net.get_weights()[1] * 1.001])
    report = audit.compare({"original": net, "retrained": near, "other": models.copy(net)}, split)
    told = [note for note in report.notes if "near chance" in note]
    assert len(told) == 1
    assert told[0].startswith("original is near chance: its retain accuracy 0.")
    assert "preprocessing" in told[0]
    assert [row.flags for row in report.rows] == [(), (), ("unchanged",)]
    alone = audit.compare({"a": net, "b": models.copy(net)}, split, original=None, reference=None)
    assert len([note for note in alone.notes if "near chance" in note]) == 2


def test_an_original_that_knows_its_data_is_not_called_poor(shared):
    assert not [note for note in shared.notes if "near chance" in note]


@pytest.mark.parametrize(
    ("fall", "expected"),
    [
        (0.09, None),
        (
            0.11,
            "its retain accuracy 0.100 is within chance (at most 0.150), and the original's "
            "accuracy there is 0.210",
        ),
    ],
)
def test_collapse_is_a_fall_against_the_original(fall, expected):
    own, was = (Measured(a, np.full(10, a), np.zeros(1), np.ones(10)) for a in (0.1, 0.1 + fall))
    assert collapsed(own, 10, was) == expected


def test_one_answer_to_rare_classes_is_a_collapse_though_accuracy_hardly_falls():
    answers = np.r_[np.zeros(95, int), np.ones(5, int)]
    logits = [np.eye(2)[predicted] for predicted in (answers, 0 * answers)]
    knows, constant = (measured(answers, part) for part in logits)
    assert (knows.balanced, constant.balanced) == (1.0, 0.5)
    assert "answers class 0 to every retain example" in collapsed(constant, 2, knows)
    assert collapsed(constant, 2, constant) is None
    assert collapsed(constant, 2, None) is None


def test_models_with_different_statistics_are_each_run_with_their_own():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(60, 4)).astype("float32"), np.arange(60) % 2
    split = ForgetSplit.by_index(x, y, forget=range(20), test=(x, y))

    def adapted(data):
        norm = keras.layers.Normalization(name="norm")
        norm.adapt(data)
        stack = [keras.Input((4,)), norm, keras.layers.Dense(2, name="d")]
        net = keras.Sequential(stack, name="same")
        net.set_weights([*net.get_weights()[:-2], np.eye(4, 2), np.zeros(2)])
        return net

    nets = {"original": adapted(x), "retrained": adapted(5 * x + 3)}
    together = audit.compare(nets, split)
    for name, net in nets.items():
        scores = keras.ops.convert_to_numpy(net(x[:20]))
        expected = metrics.cross_entropy(y[:20], scores).mean()
        assert together.value(name, "forget_loss") == pytest.approx(expected, rel=1e-5)
