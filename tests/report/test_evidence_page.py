"""The page of an audit with evidence: every number is the one it was given."""

import dataclasses
import math
import re

import pytest

from tests.report.evidence_case import (
    NO_LOW_RATE,
    NOT_RUN,
    make_audit,
    make_bank_audit,
    make_evidence,
)
from tests.report.reading import Page
from tfunlearn.report.evidence_page import words
from tfunlearn.report.evidence_page.slices import MOST as MOST_CLASSES
from tfunlearn.report.evidence_page.worst import MOST as MOST_EXAMPLES

FIGURES = "each-figure-among-the-references"
SECTIONS = {
    "beside-retrained-models",
    FIGURES,
    "membership-attacks",
    "margins-on-the-forget-examples",
    "forget-accuracy-by-class",
    "examples-furthest-from-the-references",
}


@pytest.fixture(scope="module")
def audit():
    return make_audit()


@pytest.fixture(scope="module")
def page(audit):
    return Page(audit.to_html())


def digits(unit):
    return 4 if unit == "nats" else 3


def test_the_answer_stands_first_with_count_and_p_value(audit, page):
    text = page.text["beside-retrained-models"]
    for own in audit.evidence.values():
        assert own.verdict.text in text
        # 1 / 25: no model has less; the sentence, written by hand here, does not say so
        least = ", the smallest that 24 references can give" * (own.verdict.inside is False)
        assert f"N = 24 · p = {own.verdict.p_value:.3f}{least} · level 95%" in text
    assert text.count("Outside the spread") == 2 + 2  # as the heading and in the sentence
    assert text.count("Inside the spread") == 1 + 1
    headings = [own["id"] for own in page.attributes("section")]
    assert headings[0] == "beside-retrained-models"
    assert set(headings) >= SECTIONS


def test_what_was_done_is_one_sentence(page):
    done = "Each model below was held against 24 models retrained without the forget set, by 10 "
    assert f"{done}figures and 4 membership attacks." in " ".join(page.text[""].split())


def test_references_of_a_bank_are_named_by_their_seeds():
    found = Page(make_bank_audit().to_html())
    assert "without the forget set (seeds 0 to 2), by 10 figures" in found.text[""]
    assert "seeds of the references0 to 2" in found.text["made-with"]
    row = found.table("beside-the-reference", "").row("references, mean")
    assert row["test accuracy"].parts == {"v": "0.910", "g": "0.900 to 0.920"}
    assert "the band the range of the references" in found.text["accuracy-by-role"]
    assert "two shapes" not in found.text["losses-per-example"]


def test_several_rows_that_are_references_have_a_line_for_their_mean(report, page):
    row = page.table("beside-the-reference", "").row("references, mean")
    assert row["retain accuracy"].parts == {"v": "0.980", "g": "0.980 to 0.980"}
    one = Page(report.to_html()).table("beside-the-reference", "")
    assert not [cells for cells in one.rows if "mean" in cells[0].text]


def test_one_reference_of_a_bank_has_a_line():
    values = {"test_accuracy": (0.9,)}
    report = make_bank_audit(reference_values=values, reference_seeds=(5,))
    row = Page(report.to_html()).table("beside-the-reference", "").row("reference")
    assert row["test accuracy"].parts["v"] == "0.900"
    assert row["forget accuracy"].text == "-"


def test_how_to_read_gaps_is_said_where_there_are_references(report, page):
    assert report.reference_count
    text = page.text["how-to-read-this"]
    assert "Gap: the model's value minus the reference's" in text
    assert "0.5 is chance; the target is the reference's value." in text
    assert text.rstrip().endswith("stronger attacks may still tell the models apart.")


def test_without_references_there_are_no_gaps():
    report = make_bank_audit(reference_values={}, reference_seeds=(), evidence={})
    for markup in (report.to_html(), report._repr_html_()):
        found = Page(markup)
        assert "No reference was given" in found.text[""]
        assert "gap to" not in "".join(found.text.values())
        assert "the reference's" not in "".join(found.text.values())
    page = Page(report.to_html())
    assert page.table("each-model-s-numbers", "").row("finetune")["test accuracy"].text == "0.890"
    assert "violet" not in page.text["accuracy-by-role"]
    assert page.text["accuracy-by-role"].count("finetune") == 3
    assert page.attributes("i", "band") == page.attributes("i", "mean") == []
    assert "what-closeness-costs" not in page.text


def test_a_notebook_shows_the_answer(audit):
    found = Page(audit._repr_html_())
    text = found.text["beside-retrained-models"]
    assert all(own.verdict.text in text for own in audit.evidence.values())


def test_too_few_references_tell_nothing():
    own = make_evidence(1, count=10)
    own = dataclasses.replace(own, verdict=dataclasses.replace(own.verdict, p_value=None))
    text = Page(make_audit({"finetune": own}).to_html()).text["beside-retrained-models"]
    assert "Cannot be told" in text
    assert "N = 10 · no p-value" in text
    assert "10 references are too few to tell: it takes 19." in text
    assert "side the spread" not in text


def test_every_figure_has_its_place(audit, page):
    for name, own in audit.evidence.items():
        table = page.table(FIGURES, name)
        assert len(table.rows) == 1 + len(own.figures)
        for figure in own.figures[:-1]:
            cells, places = table.row(figure.label), digits(figure.unit)
            mean = math.fsum(figure.references) / len(figure.references)
            low, high = min(figure.references), max(figure.references)
            assert cells["value"].text == f"{figure.value:.{places}f}"
            assert cells["references"].parts == {
                "v": f"{mean:.{places}f}",
                "g": f"{low:.{places}f} to {high:.{places}f}",
            }
            assert cells["percentile"].parts["v"] == words.percentile(figure.percentile)
            ends = (words.percentile(figure.low), words.percentile(figure.high))
            assert cells["percentile"].parts["g"] == " to ".join(ends)
            least = "smallest possible" * (figure.p_value == pytest.approx(2 / 25))
            assert cells["p-value"].text == f"{figure.p_value:.3f}{least}"
            assert cells["sd away"].text == f"{figure.deviation:+.1f}".replace("-0.0", "+0.0")


def test_an_absent_figure_shows_its_reason(page):
    cells = page.table(FIGURES, "finetune").row("margin drop")
    assert cells["value"].text == "-"
    assert cells["absent"].text == "the original was not given"


def test_a_figure_without_deviation_shows_its_reason():
    own = make_evidence(0)
    first = dataclasses.replace(own.figures[0], deviation=None, absent="all are equal")
    own = dataclasses.replace(own, figures=(first,))
    found = Page(make_audit({"finetune": own}).to_html())
    row = found.table(FIGURES, "finetune").rows[1]
    assert row[0].parts == {"why": "all are equal"}
    assert row[-1].text == "-"


def test_a_strip_has_a_dot_per_reference_in_its_place(audit):
    own = audit.evidence["finetune"].figures[0]
    label = f'aria-label="{own.label}: {own.value:.3f}; references '
    strip = re.search(re.escape(label) + ".*?</svg></svg>", audit.to_html()).group()
    places = sorted(float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', strip))
    mark = float(re.search(r'<svg x="([\d.]+)%"', strip)[1])
    low, high = min(own.value, *own.references), max(own.value, *own.references)
    expected = [4 + 92 * (value - low) / (high - low) for value in sorted(own.references)]
    assert places == pytest.approx(expected, abs=0.006)
    assert mark == pytest.approx(4 + 92 * (own.value - low) / (high - low), abs=0.006)


def test_attacks_show_figures_intervals_and_reasons(audit, page):
    for place, attack in enumerate(audit.evidence["finetune"].attacks):
        table = page.table("membership-attacks", attack.label)
        assert [cell.text for cell in table.rows[0]] == [
            "model",
            "AUC",
            "advantage",
            "balanced accuracy",
            "TPR at 1 % FPR",
            "TPR at 0.1 % FPR",
        ]
        for name, own in audit.evidence.items():
            cells, shown = table.row(name), own.attacks[place]
            for key, figure in shown.figures.items():
                assert cells[words.figure_label(key)].parts == {
                    "v": f"{figure.value:.3f}",
                    "g": f"{figure.low:.3f} to {figure.high:.3f}",
                }
            assert cells["TPR at 0.1 % FPR"].text == "absent"
        if attack.references:
            area = table.row("references, 24")["AUC"]
            assert area.parts == {"v": "0.499", "g": "0.484 to 0.514"}
    text = page.text["membership-attacks"]
    assert text.count(f"TPR at 0.1 % FPR absent: {NO_LOW_RATE}.") == 4
    assert text.count(f"references absent: {NOT_RUN}.") == 1
    assert text.count("500 forget against 400 test examples") == 4
    assert "AUC: DeLong; advantage, balanced accuracy: bootstrap band, 1000 resamples" in text


def test_references_that_differ_have_a_line_each(audit):
    first, second = (
        dataclasses.replace(audit.evidence["finetune"].attacks[0], references=own)
        for own in ((0.4, 0.5), (0.5, 0.5, 0.56))
    )
    evidence = {
        name: dataclasses.replace(audit.evidence[name], attacks=(attack,))
        for name, attack in (("finetune", first), ("original", second))
    }
    table = Page(make_audit(evidence).to_html()).table("membership-attacks", "loss threshold")
    assert table.row("references of finetune, 2")["AUC"].parts["v"] == "0.450"
    assert table.row("references of original, 3")["AUC"].parts["g"] == "0.500 to 0.560"


def test_a_reason_that_holds_for_one_model_names_it(audit):
    attack = audit.evidence["finetune"].attacks[0]
    whole = dataclasses.replace(attack, absent={})
    evidence = {
        name: dataclasses.replace(audit.evidence[name], attacks=(own,))
        for name, own in (("original", whole), ("finetune", attack))
    }
    text = Page(make_audit(evidence).to_html()).text["membership-attacks"]
    assert f"TPR at 0.1 % FPR absent for finetune: {NO_LOW_RATE}." in text


def test_margins_are_drawn_to_scale(audit):
    own = audit.evidence["finetune"].margins
    found = re.search(r'aria-label="Margins of finetune .*?</svg>', audit.to_html()).group()
    path = re.search(r'class="own" d="M0 110(.*?)V110Z"', found)[1]
    steps = [(float(y), float(x)) for y, x in re.findall(r"V([\d.]+)H([\d.]+)", path)]
    top = max(*own.candidate, *own.high, *own.original)
    assert [y for y, _ in steps] == pytest.approx(
        [110 - 104 * share / top for share in own.candidate], abs=0.051
    )
    assert [x for _, x in steps] == pytest.approx([20 * n for n in range(1, 16)])
    assert found.count('class="t"') == 1


def test_the_original_is_not_drawn_twice(audit):
    own = audit.evidence["original"]
    same = dataclasses.replace(own.margins, original=own.margins.candidate)
    bare = dataclasses.replace(own.margins, original=None)
    for margins in (same, bare):
        report = make_audit({"finetune": dataclasses.replace(own, margins=margins)})
        found = re.search(r'aria-label="Margins of finetune .*?</svg>', report.to_html()).group()
        assert 'class="t"' not in found


def test_classes_and_their_references(audit, page):
    for name, evidence in audit.evidence.items():
        table = page.table("forget-accuracy-by-class", name)
        for own, row in zip(evidence.slices, table.rows[1:], strict=True):
            assert (row[0].text, row[0].parts["g"]) == (str(own.label), f"of {own.size}")
            assert row[2].text == f"{own.accuracy:.3f}"
            mean = math.fsum(own.references) / len(own.references)
            assert row[3].parts["v"] == f"{mean:.3f}"


def test_of_many_classes_the_furthest_are_shown(audit):
    own = audit.evidence["finetune"]
    many = tuple(
        dataclasses.replace(own.slices[0], label=label, accuracy=label / 50, references=(0.0, 0.0))
        for label in range(50)
    )
    report = make_audit({"finetune": dataclasses.replace(own, slices=many)})
    found = Page(report.to_html())
    table = found.table("forget-accuracy-by-class", "finetune")
    shown = [int(row[0].text) for row in table.rows[1:]]
    assert shown == list(range(50 - MOST_CLASSES, 50))
    text = found.text["forget-accuracy-by-class"]
    assert "The 20 of 50 classes furthest from the references." in text


def test_the_worst_examples_come_by_id(audit, page):
    for name, evidence in audit.evidence.items():
        rows = page.table("examples-furthest-from-the-references", name).rows[1:]
        assert len(rows) == min(MOST_EXAMPLES, len(evidence.worst))
        for own, row in zip(evidence.worst, rows, strict=False):
            assert [cell.text for cell in row] == [
                str(own.id),
                str(own.label),
                f"{own.margin:.2f}",
                f"{own.reference_mean:.2f}",
                f"{own.deviation:+.1f}",
            ]


def test_the_worst_examples_show_their_images():
    evidence = {name: make_evidence(k, images=True) for k, name in enumerate(["original", "tuned"])}
    found = Page(make_audit(evidence, names=tuple(evidence)).to_html())
    shown = found.attributes("img")
    listed = [example for own in evidence.values() for example in own.worst]
    assert len(shown) == len(listed) == 12
    sizes = [("56", "56"), ("64", "64"), ("64", "64"), ("64", "40"), ("56", "56"), ("64", "64")]
    for place, (image, example) in enumerate(zip(shown, listed, strict=True)):
        assert image == {
            "src": f"data:image/png;base64,{example.image}",
            "alt": f"example {example.id}, label {example.label}",
            "width": sizes[place % 6][0],
            "height": sizes[place % 6][1],
        }
    rows = found.table("examples-furthest-from-the-references", "tuned").rows[1:]
    assert [row[0].text for row in rows] == [str(own.id) for own in evidence["tuned"].worst]
    text = found.text["examples-furthest-from-the-references"]
    assert "Images have at most 64 pixels on a side; larger ones are reduced." in text


def test_only_the_examples_that_are_listed_bring_their_images():
    own = make_evidence(0, images=True)
    own = dataclasses.replace(own, worst=own.worst * 3)  # more than the page lists
    found = Page(make_audit({"finetune": own}).to_html())
    assert len(found.attributes("img")) == MOST_EXAMPLES == 10


def test_without_images_there_are_none(page):
    assert page.attributes("img") == []
    assert "Images" not in page.text["examples-furthest-from-the-references"]


def test_some_images_may_be_missing():
    first, *rest = make_evidence(0, images=True).worst
    bare = dataclasses.replace(first, image=None)
    own = dataclasses.replace(make_evidence(0), worst=(bare, *rest))
    page = Page(make_audit({"finetune": own}).to_html())
    alts = [image["alt"] for image in page.attributes("img")]
    assert alts == [f"example {example.id}, label {example.label}" for example in rest]


@pytest.mark.parametrize("image", ['" onerror="alert(1)', "<script>", "AAAA", ""])
def test_no_other_text_comes_into_an_image(image):
    example = make_evidence(0).worst[0]
    with pytest.raises(ValueError, match="image must be a small PNG file as base64 text"):
        dataclasses.replace(example, image=image)
    object.__setattr__(example, "image", image)  # past the check
    own = dataclasses.replace(make_evidence(0), worst=(example,))
    with pytest.raises(ValueError, match="image must be a small PNG file as base64 text"):
        make_audit({"finetune": own}).to_html()


def test_without_evidence_nothing_of_it_is_shown(report):
    found = Page(report.to_html())
    assert not SECTIONS & set(found.text)
    assert {"fingerprints", "how-to-make-it-again"} & set(found.text) == set()
    assert "Percentile" not in found.text["how-to-read-this"]
    assert found.attributes("nav") == []
    bare = make_audit({}).to_html()
    assert Page(bare).attributes("nav") == []
    assert "s0" not in bare


def test_parts_without_content_are_left_out():
    own = make_evidence(0)
    edges = dataclasses.replace(own.margins, edges=())
    own = dataclasses.replace(own, figures=(), attacks=(), margins=edges, slices=(), worst=())
    found = Page(make_audit({"finetune": own}).to_html())
    assert SECTIONS & set(found.text) == {"beside-retrained-models"}
    assert "by 0 figures." in found.text[""]


def test_links_point_to_sections(page):
    links = [own["href"] for own in page.attributes("a")]
    ids = [own["id"] for own in page.attributes("section")]
    assert links == [f"#{name}" for name in ids]
    assert len(set(ids)) == len(ids)


def test_fingerprints_and_command(report):
    marks = {"original": "aa" * 32, "finetune": "<b>" * 3}
    command = "tfunlearn audit --title '<i>' --out DIR"
    found = Page(make_audit(fingerprints=marks, command=command).to_html())
    for mark in (*marks.values(), report.split["fingerprint"]):
        assert mark in found.text["fingerprints"]
    assert found.text["how-to-make-it-again"].endswith(command)


def test_text_from_outside_is_escaped():
    evil = '<script>alert("x")</script>&'
    own = make_evidence(1)
    figure = dataclasses.replace(own.figures[0], label=evil)
    absent = dataclasses.replace(own.figures[-1], absent=evil)
    value = dataclasses.replace(own.attacks[0].figures["auc"], method=evil)
    attack = dataclasses.replace(
        own.attacks[0], attack=evil, label=evil, figures={evil: value}, absent={evil: evil}
    )
    verdict = dataclasses.replace(own.verdict, text="none", furthest=(evil,))
    own = dataclasses.replace(own, verdict=verdict, figures=(figure, absent), attacks=(attack,))
    report = make_audit({evil: own}, names=("original", evil))
    markup = report.to_html()
    assert "<script" not in markup
    assert evil in Page(markup).text["beside-retrained-models"]
    assert not re.search(r"&(?!(amp|lt|gt|quot|middot|#x27);)", markup)


def test_no_answer_says_forgotten(audit):
    text = " ".join("".join(Page(audit.to_html()).text.values()).split())
    assert len(re.findall(r"(?i)\bforgotten\b", text)) == 1
    assert "Nothing here says that something is forgotten" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.2, "<1"), (50.4, "50"), (99.7, ">99"), (100.0, "100")]
)
def test_a_percentile_is_an_end_only_where_it_is_one(value, text):
    assert words.percentile(value) == text
