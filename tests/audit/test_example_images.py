"""Images of the examples that an audit lists: the right one to each, and nothing unfit."""

import numpy as np
import pytest

from tfunlearn import audit
from tfunlearn.audit.example_images import lookup
from tfunlearn.audit.thumbnail import thumbnail
from tfunlearn.report import AuditReport

from .conftest import make_model

REFERENCES = [f"r{seed}" for seed in range(4)]


@pytest.fixture(scope="module")
def rows():
    models = {"original": make_model(7, scale=3.0), "odd": make_model(8, scale=-1.0)}
    return {**models, **{name: make_model(seed) for seed, name in enumerate(REFERENCES)}}


def audited(rows, split, **own):
    return audit.compare(rows, split, **{"reference": REFERENCES, **own})


def pictures_of(ids, shape=(4, 6), seed=0):
    """Returns an image for each id, which tells its id by its pixels, each of them four alike."""
    size = (shape[0] // 2, shape[1] // 2, *shape[2:])
    drawn = [np.random.default_rng([seed, own]).integers(0, 256, size) for own in ids]
    return np.array(drawn, "uint8").repeat(2, axis=1).repeat(2, axis=2)


def shown(report):
    return {name: {it.id: it.image for it in own.worst} for name, own in report.evidence.items()}


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("array", (4, 6)),
        ("array", (80, 70, 3)),
        ("function", (4, 6, 1)),
        ("function", (4, 6, 3)),
        ("float", (4, 6, 3)),
        ("float", (80, 70)),
    ],
)
def test_each_listed_example_gets_its_own_image(rows, split, kind, shape):
    ids, all_ids = split.ids["forget"], np.arange(200)
    given = {
        "array": pictures_of(ids, shape),
        "function": lambda wanted: pictures_of(all_ids, shape)[wanted],
        "float": pictures_of(ids, shape).astype("float32") / 255,
    }[kind]
    found = shown(audited(rows, split, images=given))
    assert set(found) == {"original", "odd"}
    for listed in found.values():
        assert len(listed) == 10
        for own, image in listed.items():
            assert image == thumbnail(pictures_of([own], shape)[0])


def test_nothing_else_of_the_report_changes_and_it_can_be_read_again(rows, split, tmp_path):
    bare, report = audited(rows, split), audited(rows, split, images=lambda ids: pictures_of(ids))
    assert all(image is None for own in shown(bare).values() for image in own.values())
    for name, own in report.evidence.items():
        expected = bare.evidence[name]
        assert own.figures == expected.figures
        plain = [(it.id, it.label, it.margin, it.deviation) for it in own.worst]
        assert plain == [(it.id, it.label, it.margin, it.deviation) for it in expected.worst]
    assert AuditReport.load(report.save(tmp_path / "report.json")) == report
    assert report.to_html().count("<img ") == 20
    assert bare.to_html().count("<img ") == 0


def test_a_function_is_asked_for_what_is_listed_once(rows, split):
    asked = []

    def look(ids):
        asked.append(ids)
        return pictures_of(ids)

    report = audited(rows, split, images=look)
    listed = {own for some in shown(report).values() for own in some}
    first, rest = asked
    assert first.tolist() == split.ids["forget"][:1].tolist()
    assert rest.tolist() == sorted(listed)
    assert first.dtype == rest.dtype == np.int64


def test_a_function_may_change_the_ids_it_gets(rows, split):
    def look(ids):
        found = pictures_of(ids)
        ids[:] = 0
        return found

    before = split.ids["forget"].copy()
    expected = shown(audited(rows, split, images=pictures_of(before)))
    assert shown(audited(rows, split, images=look)) == expected
    np.testing.assert_array_equal(split.ids["forget"], before)


def test_without_evidence_no_image_is_kept(rows, split):
    one = {name: rows[name] for name in ("original", "odd", "r0")}
    report = audit.compare(one, split, reference="r0", images=lambda ids: pictures_of(ids))
    assert report.evidence == {}
    assert "<img" not in report.to_html()


FORGET = 40
GOOD = np.zeros((FORGET, 4, 5), "uint8")
BAD = {
    "another dtype": (GOOD.astype("int64"), TypeError, r"Expected uint8, or float.*int64"),
    "truth values": (GOOD.astype(bool), TypeError, r"Received bool"),
    "objects": (np.array([None] * FORGET), TypeError, r"Received object"),
    "texts": (["a"] * FORGET, TypeError, r"Received <U1"),
    "flat": (GOOD.reshape(FORGET, -1), ValueError, r"Expected shape.*Received \(40, 20\)"),
    "one image": (GOOD[0], ValueError, r"Received \(4, 5\)"),
    "two channels": (np.zeros((FORGET, 4, 5, 2), "uint8"), ValueError, r"\(40, 4, 5, 2\)"),
    "alpha": (np.zeros((FORGET, 4, 5, 4), "uint8"), ValueError, r"\(40, 4, 5, 4\)"),
    "channels first": (np.zeros((FORGET, 3, 4, 5), "uint8"), ValueError, r"\(40, 3, 4, 5\)"),
    "videos": (np.zeros((FORGET, 2, 4, 5, 3), "uint8"), ValueError, r"\(40, 2, 4, 5, 3\)"),
    "no height": (np.zeros((FORGET, 0, 5), "uint8"), ValueError, r"\(40, 0, 5\)"),
    "no width": (np.zeros((FORGET, 4, 0, 3), "uint8"), ValueError, r"\(40, 4, 0, 3\)"),
    "one more": (np.zeros((FORGET + 1, 4, 5), "uint8"), ValueError, r"Expected 40. Received 41"),
    "none": (GOOD[:0], ValueError, r"Expected 40. Received 0"),
    "normalised": (GOOD - 0.5, ValueError, r"not a model's normalised.*from -0.5 to -0.5"),
    "0 to 255": (GOOD + 255.0, ValueError, r"Expected float in \[0, 1\].*from 255 to 255"),
    "NaN": (GOOD + np.nan, ValueError, r"from nan to nan"),
    "several shapes": ([GOOD[0], GOOD[0, :3]], ValueError, r"images of one shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_unfit_images_are_refused(split, name):
    bad, kind, words = BAD[name]
    with pytest.raises(kind, match=rf"^images must be .*{words}"):
        lookup(bad, split.ids["forget"])


def test_the_size_is_the_forget_sets(split):
    assert split.size("forget") == FORGET
    assert lookup(GOOD, split.ids["forget"])(split.ids["forget"]).shape == GOOD.shape


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lambda ids: GOOD[0], r"images\(ids\) must be images, grey or RGB"),
        (lambda ids: GOOD, r"images\(ids\) must be one for each .* Expected 1. Received 40"),
        (lambda ids: GOOD[:1] + 2.0, r"images\(ids\) must be .* from 2 to 2"),
    ],
)
def test_an_unfit_function_is_refused_before_anything_is_measured(rows, split, look, words):
    broken = make_model(0)
    broken.set_weights([np.full((4, 3), np.nan), np.zeros(3)])  # would be refused when measured
    with pytest.raises(ValueError, match=words):
        audited({**rows, "r0": broken}, split, images=look)


def test_a_function_that_fails_later_says_so(rows, split):
    def look(ids):
        return pictures_of(ids) / (255 if len(ids) == 1 else 1)

    with pytest.raises(ValueError, match=r"images\(ids\) must be .* Expected float in \[0, 1\]"):
        audited(rows, split, images=look)
