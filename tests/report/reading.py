"""Reads an HTML report as a reader would: sections, headings, tables, cells."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "path", "line", "rect", "circle"}


@dataclass
class Cell:
    label: str
    text: str = ""
    parts: dict = field(default_factory=dict)


@dataclass
class Table:
    section: str
    card: str
    rows: list = field(default_factory=list)

    def row(self, name):
        """Returns a row's cells by the heading that a phone shows."""
        found = [cells for cells in self.rows if cells and cells[0].text == name]
        assert len(found) == 1, (name, [cells[0].text for cells in self.rows if cells])
        return {cell.label: cell for cell in found[0][1:]}


class Page(HTMLParser):
    """A page's tables with the section and the card they stand in, and its text by section."""

    def __init__(self, markup):
        super().__init__()
        self.open, self.tags, self.tables, self.text = [], [], [], {}
        self.section, self.card, self.part, self.cell = "", "", "", None
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        self.tags.append((tag, own))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section, self.card = own.get("id", ""), ""
        elif tag == "h3":
            self.card = ""
        elif tag == "table":
            self.tables.append(Table(self.section, self.card))
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in ("td", "th"):
            self.cell = Cell(own.get("data-label", ""))
            self.tables[-1].rows[-1].append(self.cell)
        elif tag == "span":
            self.part = own.get("class", "")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.cell = None
        elif tag == "span":
            self.part = ""
        elif tag == "section":
            self.section = ""

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data
        if self.open and self.open[-1] == "h3":
            self.card += data
        if self.cell is not None and self.part:
            self.cell.parts[self.part] = self.cell.parts.get(self.part, "") + data
        if self.cell is not None and (not self.part or self.cell.label):
            self.cell.text += data

    def table(self, section, card):
        """Returns the one table of a card."""
        found = [t for t in self.tables if (t.section, t.card.strip()) == (section, card)]
        assert len(found) == 1, (section, card, [(t.section, t.card) for t in self.tables])
        return found[0]

    def attributes(self, tag, kind=None):
        """Returns the attributes of the tags of a kind."""
        return [own for name, own in self.tags if name == tag and kind in (None, own.get("class"))]
