"""The page in a real browser: nothing is fetched, nothing fails, nothing sticks out."""

import pytest

from tests.report import browser
from tests.report.evidence_case import make_audit, make_bank_audit, make_evidence

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.executable() is None, reason="no Chromium on this machine"),
]
PHONE, PRINT, WIDE = 390, 718, 1280
LONG = "finetune on every convolution, with_a_name_that_has_no_place_to_break_at_all_0.3"


def long_audit():
    """Returns a report with many models, long names, fingerprints and a command."""
    names = ("original", LONG, "scrub", "ssd", "salun", "held-out retrain")
    return make_audit(
        names=names,
        fingerprints=dict.fromkeys(names, "0123456789abcdef" * 4),
        command=f"tfunlearn audit --original {'a/long/path' * 12}.keras --out DIR",
    )


def pictured_audit():
    """Returns a report that shows the images of the worst examples."""
    return make_audit(images=True)


@pytest.mark.parametrize("make", [make_audit, make_bank_audit, long_audit, pictured_audit])
def test_nothing_is_fetched_nothing_fails_nothing_sticks_out(make, tmp_path):
    sizes, console, asked = browser.load(make().to_html(), tmp_path, (PHONE, PRINT, WIDE))
    assert console == []
    assert set(asked) <= {"/", "/page.html", "/favicon.ico"}
    for width, found in sizes.items():
        assert found["asked"] == []
        assert found["over"] == []
        assert found["scroll"] <= width
        assert found["height"] > 3000  # it is there


def test_images_are_decoded_and_keep_their_shape(tmp_path):
    sizes, console, asked = browser.load(pictured_audit().to_html(), tmp_path, (PHONE, PRINT, WIDE))
    assert console == []
    assert set(asked) <= {"/", "/page.html", "/favicon.ico"}
    four = [[28, 28, 56, 56], [32, 32, 64, 64], [8, 8, 64, 64], [64, 40, 64, 40]]
    for width in (PHONE, PRINT, WIDE):
        assert sizes[width]["images"] == 3 * [*four, *four[:2]]


def test_a_notebook_fragment_fits_a_phone(tmp_path):
    fragment = make_audit()._repr_html_()
    markup = f"<!doctype html><body style='margin:0'><main>{fragment}</main></body>"
    sizes, console, _ = browser.load(markup, tmp_path, (PHONE,))
    assert console == []
    assert sizes[PHONE]["over"] == []


def test_the_dark_page_is_dark(tmp_path):
    markup = make_audit({"finetune": make_evidence(0)}).to_html()
    for place, (flags, colour) in enumerate(
        {(): "rgb(246, 246, 244)", ("--force-dark-mode",): "rgb(20, 22, 26)"}.items()
    ):
        sizes, console, _ = browser.load(markup, tmp_path / str(place), (PHONE,), *flags)
        assert console == []
        assert sizes[PHONE]["colour"] == colour


def test_print_fits_a_sheet(tmp_path):
    markup = long_audit().to_html().replace("@media print", "@media all")
    sizes, console, _ = browser.load(markup, tmp_path, (PRINT,))
    assert console == []
    assert sizes[PRINT]["over"] == []
    assert sizes[PRINT]["scroll"] <= PRINT
    assert sizes[PRINT]["colour"] == "rgb(255, 255, 255)"


def test_the_check_sees_what_it_looks_for(tmp_path):
    markup = (
        "<!doctype html><main><img src='https://example.invalid/x.png'>"
        "<link rel='stylesheet' href='/x.css'><p style='width:900px'>wide</p></main>"
    )
    sizes, console, _ = browser.load(markup, tmp_path, (PHONE, WIDE))
    assert len([line for line in console if "Content Security Policy" in line]) >= 2
    assert sizes[PHONE]["scroll"] > PHONE
    assert "P wide" in sizes[PHONE]["over"]
    assert sizes[WIDE]["over"] == []
