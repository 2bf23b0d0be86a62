"""Every method has a page of one form, whose tables name its flags with their defaults."""

import dataclasses
import pathlib
import re

import pytest

from e2wsol.config import flag_name
from e2wsol.localizers import LOCALIZERS, LocalizerOptions
from e2wsol.methods import METHODS
from e2wsol.pseudo_masks import PseudoMaskOptions

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
HEADINGS = ["Idea", "Maps", "Formulas", "Network"]
HEADINGS += ["Released hyperparameters", "Paper, release, ours", "Flags", "Reproduce"]
# Those that share a page with another one.
SHARED = {
    "mnpos": "mnpo",
    "spol_cam": "spol",
    "spol_seg": "spol",
    "gradcampp": "gradcam",
    "sgl_g1": "dgl",
    "sgl_g2": "dgl",
}
PAGES = {name: DOCS / "methods" / f"{SHARED.get(name, name)}.md" for name in (*METHODS, *LOCALIZERS)}


def rows(page):
    """{flag: default} of the table under Flags; where a row has several flags, they share the cells by commas."""
    section = page.read_text().split("\n## Flags\n")[1].split("\n## ")[0]
    found = {}
    for flags, default in re.findall(r"^\| ((?:`--\w+`(?:, )?)+) \| (.*?) ?\|", section, flags=re.MULTILINE):
        names = re.findall(r"--(\w+)", flags)
        found.update(zip(names, default.split(", ") if len(names) > 1 else [default]))
    return found


def shown(value):
    """A default as the tables have it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("page", sorted(set(PAGES.values())), ids=lambda page: page.stem)
def test_a_page_has_the_common_headings_and_is_in_the_overview(page):
    assert re.findall(r"^## (.*)", page.read_text(), flags=re.MULTILINE) == HEADINGS
    assert f"(methods/{page.name})" in (DOCS / "methods.md").read_text()


def test_the_overview_names_every_method_and_localizer():
    text = (DOCS / "methods.md").read_text()
    assert [name for name in PAGES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", METHODS)
def test_the_flags_of_a_method_are_on_its_page(name):
    table = rows(PAGES[name])
    for field in dataclasses.fields(METHODS[name].Options):
        flag = flag_name(METHODS[name].Options, field)
        assert table.get(flag) == shown(field.default), flag


def test_the_flags_of_localizers_and_pseudo_masks_are_on_their_pages():
    for options, page in ((LocalizerOptions, PAGES["gradcam"]), (PseudoMaskOptions, PAGES["spol_seg"])):
        table = rows(page)
        for field in dataclasses.fields(options):
            if options is LocalizerOptions or field.name.startswith("mask_"):
                assert table.get(field.name) == shown(field.default), field.name
