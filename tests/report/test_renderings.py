"""Text, HTML and plots of a report."""

import hashlib
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from tfunlearn.report import Row

FIRST_TABLE = """
                               forget          retain            test       average
model                        accuracy        accuracy        accuracy  accuracy gap
-----------------------------------------------------------------------------------
original               1.000 (+0.100)  0.990 (+0.010)  0.900 (+0.020)         0.043
retrained (reference)  0.900           0.980           0.880                      -
finetune               0.950 (+0.050)  0.970 (-0.010)  0.890 (+0.010)         0.023

"""
VOID = {"meta", "br", "path", "line", "rect"}


class Reader(HTMLParser):
    """Checks that tags close in order, and collects attributes and text."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


def test_text_table(report):
    lines = str(report).splitlines()
    assert lines[0] == "A title"
    assert lines[1] == "Forget 10 of 100 training examples (10.0%), chosen at random."
    assert FIRST_TABLE in str(report)
    assert "- A note." in lines
    assert all(line == line.rstrip() for line in lines)


def test_page_holds_the_sha256_of_the_environment(report):
    found = json.dumps(report.environment, sort_keys=True, separators=(", ", ": "))
    assert hashlib.sha256(found.encode()).hexdigest() in "".join(read(report.to_html()).text)


def test_text_columns_stand_under_one_another(several):
    lines = str(several).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("---"))
    body = lines[start + 1 : lines.index("", start)]
    assert {line.index(".") for line in body} == {body[0].index(".")}
    assert len({line.index(")") for line in body if line[0] == "f"}) == 1
    assert any(line.startswith("references, lowest") for line in body)
    finetune = next(line for line in body if line.startswith("finetune"))
    assert re.findall(r"0\.910 \(\+0\.010\)\*", finetune)
    assert re.findall(r"0\.900 \(-0\.070\) ", finetune)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("random", "For a random forget set the target is the reference's value, not zero."),
        ("class", "has never seen the forgotten class, so its forget accuracy is about 0"),
        ("index", "as for a random one, the target is the reference's value, not zero."),
    ],
)
def test_the_sentence_on_targets(make, kind, sentence):
    report = make(kind=kind)
    assert sentence in " ".join(str(report).split())
    page = " ".join(read(report.to_html()).text)
    assert sentence in page
    assert sentence in "".join(read(report._repr_html_()).text)


def test_no_rendering_gives_a_verdict(several):
    for text in (str(several), "".join(read(several.to_html()).text)):
        verdicts = re.findall(r"(?i)\bforgotten\b(?! class)", text)
        assert len(verdicts) == text.count("Nothing here says that something is forgotten")


def test_html_is_self_contained(several, tmp_path):
    page = several.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    reader = read(page)
    assert {tag for tag, _ in reader.seen} & {"script", "link", "iframe", "img"} == set()
    for _, attributes in reader.seen:
        for key in ("src", "href", "xlink:href"):
            assert not re.match(r"(https?:)?//", attributes.get(key) or "")
    assert not re.search(r"url\(|@import|https?://", page)
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_html_shows_values_and_gaps(report):
    page = report.to_html()
    assert '<span class="v">0.950</span><span class="g">+0.050</span>' in page
    assert '<span class="v">0.970</span><span class="g">-0.010</span>' in page
    words = "".join(read(page).text)
    assert "Forget 10 of 100 training examples" in words
    assert "10.0 s (125% of the reference's)" in words
    assert "0123abcd" in words


def test_user_text_is_escaped(make, row):
    evil = '<script>alert("x")</script>'
    rows = (row("retrained", *[0.5] * 6), row(evil, *[0.4] * 6))
    report = make(rows=rows, original=None, title=evil, notes=(evil,))
    for markup in (report.to_html(), report._repr_html_()):
        assert "<script" not in markup
        assert evil in "".join(read(markup).text)
    assert report.plot() is not None


def test_flags_stand_beside_the_name(make, row):
    good, bad = row("good", *[0.6] * 6), row("bad", *[0.5] * 6, flags=["collapsed"])
    report = make(rows=(row("retrained", *[0.5] * 6), bad, good), original=None)
    assert re.search(r"(?m)^bad \(collapsed\) ", str(report))
    assert '<span class="chip collapsed">collapsed</span>' in report.to_html()
    tile = re.search(r"Smallest average accuracy gap.*?</div>", report.to_html()).group()
    assert "good" in tile
    assert "bad" not in tile


def test_long_names_keep_both_ends_in_text(make, row):
    name = "confuser on every convolution, relative noise of 0.3"
    report = make(rows=(row("retrained", *[0.5] * 6), row(name, *[0.4] * 6)), original=None)
    assert "confuser on ever...ive noise of 0.3" in str(report)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_writes_pictures_without_pyplot(several, tmp_path, suffix, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it would fail
    path = tmp_path / f"plot.{suffix}"
    figure = several.plot(path)
    assert path.stat().st_size > 1000
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert titles[:3] == ["forget accuracy", "retain accuracy", "test accuracy"]
    assert "finetune" in titles


def test_plot_refuses_other_formats(report, tmp_path):
    with pytest.raises(ValueError, match="must end in a picture format"):
        report.plot(tmp_path / "plot.doc")


def test_missing_parts_do_not_break_a_rendering(make, row):
    empty = Row("broken", dict.fromkeys(row("x", *[0] * 6).values), ("not finite",))
    report = make(rows=(row("retrained", *[0.5] * 6), empty), original=None)
    assert re.search(r"(?m)^broken \(not finite\) +- ", str(report))
    read(report.to_html())
    assert report.plot() is not None
