"""HTML of a report: elements that escape what they are given, and the page around them.

The page loads nothing: style and pictures are inside, scripts there are none, and its own Content-Security-Policy
forbids a browser to fetch anything, whatever a user's text may hold.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Html(str):
    """Text that is HTML already; every other text is escaped when it enters an element."""

    __slots__ = ()


class Picture(NamedTuple):
    """A drawn figure, as files."""

    name: str
    svg: bytes
    png: bytes
    alt: str
    """what it shows, for those who do not see it"""
    caption: str
    wide: bool = True
    """it fills the column; otherwise it has its own size"""


class Section(NamedTuple):
    """A part of the report."""

    anchor: str
    title: str
    parts: list[Html | Picture]


LARGE = 250_000
"""bytes of SVG from which on a picture goes into the page as PNG"""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.1rem 4rem; max-width: 41.5rem; background: #fff; color: #222;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 3rem 0 .7rem; padding-top: .9rem; border-top: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .6rem 0; }
nav { font-size: .9rem; margin: 1.2rem 0 0; line-height: 1.9; }
nav a { margin-right: 1.1rem; white-space: nowrap; }
a { color: #005a8f; }
.notes { color: #444; white-space: pre-line; }
.results { margin: 1.4rem 0; padding: .9rem 1.2rem; background: #f3f7fa; border-left: 4px solid #0072b2; }
.results p { margin: .3rem 0; }
.problems { margin: 1rem 0; padding: .6rem 1.2rem; background: #fdf4e7; border-left: 4px solid #d55e00; }
figure { margin: 1.2rem 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; height: auto; }
figure img.wide { width: 100%; max-width: 40rem; }
figcaption { margin-top: .4rem; font-size: .88rem; color: #555; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .88rem; color: #555; padding-bottom: .4rem; }
th, td { padding: .3rem 1.1rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e6e6e6; }
thead th { border-bottom: 1px solid #888; font-weight: 600; }
tbody th { font-weight: 400; }
td.number, th.number { text-align: right; white-space: nowrap; }
th, td { overflow-wrap: break-word; }
tr.champion th, tr.champion td { font-weight: 600; }
pre { margin: .5rem 0 1rem; padding: .7rem .9rem; background: #f6f6f6; overflow-x: auto; font-size: .85rem;
  line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: .5rem 0; }
footer { margin-top: 3rem; font-size: .85rem; color: #666; }
@media (max-width: 30rem) {
  body { padding-top: 1.4rem; }
  th, td { padding-right: .7rem; }
  .results { padding: .7rem .9rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2, h3, caption { break-after: avoid; }
  tr, .results { break-inside: avoid; }
  a { color: inherit; text-decoration: none; }
}
"""


def element(tag: str, *children: str, **attributes: str) -> Html:
    """`<tag …>children</tag>`; a trailing _ of an attribute's name is left out (`class_`)."""
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    return Html(f"<{tag}{_attributes(attributes)}>{inside}</{tag}>")


def join(parts: Sequence[Html]) -> Html:
    """The parts, one after the other."""
    return Html("\n".join(parts))


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: int = 0, strong: Sequence[int] = ()
) -> Html:
    """A table whose first column names its rows; columns from `numeric` on hold numbers; `strong` rows stand out."""

    def cell(tag: str, column: int, text: str, **attributes: str) -> Html:
        return element(tag, text, **attributes, **({"class_": "number"} if numeric and column >= numeric else {}))

    header = join([cell("th", column, name, scope="col") for column, name in enumerate(head)])
    body = []
    for index, row in enumerate(rows):
        cells = [element("th", row[0], scope="row"), *(cell("td", c, text) for c, text in enumerate(row[1:], start=1))]
        body.append(element("tr", *cells, **({"class_": "champion"} if index in strong else {})))
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", header)),
        element("tbody", join(body)),
    )
    return element("div", whole, class_="scroll")


def details(summary: str, text: str) -> Html:
    """A text that unfolds."""
    return element("details", element("summary", summary), element("pre", element("code", text)))


def shown(part: Html | Picture) -> Html:
    """A part of a section as HTML; pictures are embedded."""
    if isinstance(part, Html):
        return part
    kind, data = ("svg+xml", part.svg) if len(part.svg) < LARGE else ("png", part.png)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    picture = Html(f"<img{_attributes({'class': 'wide' if part.wide else 'own', 'src': source, 'alt': part.alt})}>")
    together = part.caption.replace(" %", "\N{NO-BREAK SPACE}%").replace("± ", "±\N{NO-BREAK SPACE}")
    return element("figure", picture, *([element("figcaption", together)] if together else []))


def page(title: str, opening: Sequence[Html], sections: Sequence[Section], closing: str) -> str:
    """The whole document."""
    links = join([element("a", section.title, href=f"#{section.anchor}") for section in sections])
    parts = [element("header", element("h1", title), *opening, element("nav", links, aria_label="Sections"))]
    for section in sections:
        inside = join([shown(part) for part in section.parts])
        parts.append(element("section", element("h2", section.title), inside, id=section.anchor))
    head = [
        Html('<meta charset="utf-8">'),
        Html("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
             "style-src 'unsafe-inline'\">"),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        Html(f"<style>{STYLE}</style>"),
    ]  # fmt: skip
    body = element("body", element("main", join(parts)), element("footer", closing))
    return f'<!doctype html>\n<html lang="en">\n{element("head", join(head))}\n{body}\n</html>\n'


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
