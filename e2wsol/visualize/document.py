"""The frame of a report page: one HTML document that needs no other file and no network."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from e2wsol.visualize.page_assets import CSS, SCRIPT

START = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy"'


def is_page(start: bytes) -> bool:
    """Whether a file that begins with these bytes is such a document."""
    return start.startswith(START.encode()) and b"script-src 'sha256-" in start


def document(title: str, sections: Iterable[str], css: str = "") -> str:
    """The HTML document of some sections; empty ones are left out. `css` is added to the pages' own style.

    Its content policy lets nothing be fetched and no script run but the page's own.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        f'{START} content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def definitions(pairs: Iterable[tuple[Any, Any]], css_class: str) -> str:
    """A list of terms, each with its text."""
    entries = "\n".join(f"<div><dt>{escape(str(term))}</dt><dd>{escape(str(text))}</dd></div>" for term, text in pairs)
    return f'<dl class="{css_class}">\n{entries}\n</dl>'


def tile(name: str, value: str, note: str) -> str:
    """One of the scores to read first: its name, the value in large letters, a note."""
    return f'<div class="stat">{escape(name)}<b>{escape(value)}</b><small>{escape(note)}</small></div>'


def table(label: str, heads: Iterable[str], bodies: Iterable[str], css: str = "") -> str:
    """A table that scrolls sideways where it is wider than the page.

    Args:
      label: its accessible name.
      heads: HTML of the columns' heads.
      bodies: HTML of its parts, each a <tbody>; empty ones are left out.
      css: its class.
    """
    css = f' class="{css}"' if css else ""
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    inside = "\n".join(body for body in bodies if body)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table{css}>\n<thead><tr>{cells}</tr></thead>\n{inside}\n</table></div>"
    )


def folded_table(summary: str, heads: Iterable[str], rows: Sequence[Iterable[Any]]) -> str:
    """A table of texts that opens on a click; empty without rows."""
    if not rows:
        return ""
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    inside = table(summary, map(escape, heads), [f"<tbody>\n{lines}\n</tbody>"])
    return f'<details class="texts"><summary>{escape(summary)}</summary>{inside}</details>'
