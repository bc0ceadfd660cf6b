"""The forget examples on which a model is furthest from the references."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import markup, png_text
from tfunlearn.report.evidence import Evidence, WorstExample
from tfunlearn.report.evidence_page import words

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["MOST", "legend", "worst"]

MOST = 10
"""A model's examples that are shown."""

_SIDE = 64  # pixels of the page that an image's longer side takes, at most

_HEADS = ("id", "label", "margin", "references' mean", "sd away")


def legend(evidence: Mapping[str, Evidence]) -> str:
    """Returns what the tables show, in words."""
    text = (
        f"At most {MOST} forget examples per model, by id in the training data. Sd away: the "
        "margin's distance from the references' mean in their standard deviations."
    )
    if any(example.image is not None for own in evidence.values() for example in own.worst):
        text += f" Images have at most {png_text.MOST} pixels on a side; larger ones are reduced."
    return text


def worst(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a table per model, the furthest example first; its image, if any, over its id."""
    bodies = [
        f"<h3>{markup.model_name(report, name)}</h3>"
        + markup.table(_HEADS, [_line(example) for example in own.worst[:MOST]], "plain")
        for name, own in evidence.items()
        if own.worst
    ]
    return markup.cards(bodies, "halves")


def _line(example: WorstExample) -> str:
    numbers = (
        f"{example.margin:.2f}",
        f"{example.reference_mean:.2f}",
        words.deviation(example.deviation),
    )
    cells = "".join(f"<td>{text}</td>" for text in (str(example.label), *numbers))
    return f'<tr><th scope="row">{_image(example)}{example.id}</th>{cells}</tr>'


def _image(example: WorstExample) -> str:
    """Returns an example's image, each pixel a whole number of the page's, or nothing."""
    if example.image is None:
        return ""
    width, height = png_text.size(example.image)  # raises where it is no image
    times = max(1, _SIDE // max(width, height))
    return (
        f'<img src="data:image/png;base64,{escape(example.image)}" '
        f'alt="example {example.id}, label {example.label}" '
        f'width="{times * width}" height="{times * height}">'
    )
