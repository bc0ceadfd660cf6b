"""The pieces of markup that the parts of a page share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from tfunlearn.report import wording

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["bullets", "cards", "cell", "contents", "model_name", "pairs", "section", "table"]

_HEADING = re.compile(r'<section id="([^"]*)"><h2>(.*?)</h2>')


def section(heading: str, text: str, body: str, *, raw: bool = False) -> str:
    r"""Returns a section that links can point to, or nothing if it has no body.

    Args:
        heading: Its heading.
        text: A sentence under it.
        body: Markup.
        raw: Whether the text is markup too, and not escaped.

    Example:
        >>> section("A & B", "", "<p>x</p>")
        '<section id="a-b"><h2>A &amp; B</h2><p>x</p></section>\n'
    """
    if not body:
        return ""
    soft = f'<p class="soft">{text if raw else escape(text, quote=False)}</p>' if text else ""
    name = re.sub(r"\W+", "-", heading.lower()).strip("-")
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{soft}{body}</section>\n'


def contents(parts: Sequence[str]) -> str:
    r"""Returns links to the sections among some parts of a page.

    Example:
        >>> contents([section("One", "", "<p>x</p>"), "<p>no section</p>"])
        '<nav aria-label="Contents"><a href="#one">One</a></nav>\n'
    """
    found = [match for part in parts for match in _HEADING.findall(part)]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading in found)
    return f'<nav aria-label="Contents">{links}</nav>\n'


def bullets(texts: Sequence[str]) -> str:
    """Returns a list of sentences."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def pairs(entries: Mapping[str, Any]) -> str:
    """Returns names with what they are."""
    lines = [f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in entries.items()]
    return f"<dl>{''.join(lines)}</dl>"


def model_name(report: AuditReport, name: str) -> str:
    """Returns a model's name with a chip for what it is and for every flag."""
    chips = [
        f' <span class="chip {word.replace(" ", "-")}">{escape(word)}</span>'
        for word in wording.tags(report, name)
    ]
    return escape(name) + "".join(chips)


def cards(bodies: Sequence[str], kind: str = "") -> str:
    """Returns cards side by side as far as there is room, or nothing without any."""
    texts = "".join(f'<div class="card">{body}</div>' for body in bodies)
    return f'<div class="grid {kind}">{texts}</div>' if texts else ""


def table(heads: Sequence[str], lines: Sequence[str], kind: str = "cells") -> str:
    """Returns a table of finished rows; one of the kind `cells` turns into cards on a phone."""
    cells = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return (
        f'<table class="{kind}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def cell(label: str, value: str, below: str = "", kind: str = "") -> str:
    """Returns a cell: a number, what belongs to it in small print, its heading for a phone.

    Example:
        >>> cell("AUC", "0.5", "0.4 to 0.6")
        '<td data-label="AUC"><span class="v">0.5</span><span class="g">0.4 to 0.6</span></td>'
    """
    small = f'<span class="g">{escape(below)}</span>' if below else ""
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<td{kind} data-label="{escape(label)}"><span class="v">{escape(value)}</span>{small}</td>'
    )
