"""The pages in a real browser: filter, enlarged pictures, two runs; from a file, without a network."""

import browser
import made_up
import made_up_study
import numpy as np
import pytest

from e2wsol import report
from e2wsol.visualize.study_page import study_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browser.executable() is None, reason=f"no browser: none of {', '.join(browser.NAMES)} is installed"
    ),
]
SHOWN = "[...document.querySelectorAll('.gallery figure')].filter((figure) => figure.checkVisibility()).length"
OPEN = "document.getElementById('zoom').open"
PLACE = "document.getElementById('zoom-place').textContent"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser.browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    made_up.write_run(folder, count=12)
    return report.write_report(folder / "result.json")


@pytest.fixture(scope="module")
def double(tmp_path_factory):
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    made_up.write_run(first, count=12)
    made_up.write_run(second, count=12)
    samples = made_up.samples(12)
    samples["hits"][:] = True
    np.savez(second / "samples.npz", **samples)
    return report.write_comparison(first / "result.json", second / "result.json")


def choose(window, name, value):
    window.click(f'input[name={name}][value="{value}"]')


def test_filter_by_outcome_and_class(window, single):
    window.open(single)
    assert window.value(SHOWN) == 12
    # Half hit, of them every third is of the class that all are taken for.
    choose(window, "outcome0", "hit")
    assert window.value(SHOWN) == 2
    assert window.value("document.getElementById('shown').textContent") == "2 of 12 pictures"
    choose(window, "outcome0", "elsewhere")
    assert window.value(SHOWN) == 6
    window.value(
        "document.getElementById('class').value = '1';"
        "document.getElementById('filter').dispatchEvent(new Event('change'))"
    )
    assert window.value(SHOWN) == 2
    count = "document.querySelector('input[value=wrong-class]').labels[0].querySelector('.count').textContent"
    assert window.value(count) == "2"
    choose(window, "outcome0", "too-big")
    assert window.value(SHOWN) == 0 and "No picture" in window.value("document.getElementById('shown').textContent")
    assert window.value("[...document.querySelectorAll('.group')].every((group) => group.hidden)")
    window.click("button[type=reset]")
    assert window.value(SHOWN) == 12


def test_outcomes_by_keyboard(window, single):
    window.open(single)
    window.value("document.querySelector('input[name=outcome0]').focus()")
    window.press("ArrowRight")
    assert window.value("document.querySelector('input[name=outcome0]:checked').value") == "hit"
    assert window.value(SHOWN) == 2


def test_a_picture_is_enlarged_and_keys_move(window, single):
    window.open(single)
    choose(window, "outcome0", "elsewhere")
    shown = "document.querySelector('.gallery figure:not([hidden]) img').getBoundingClientRect().width"
    small = window.value(shown)
    window.click(".gallery figure:not([hidden]) button")
    assert window.value(OPEN) and window.value(PLACE) == "Picture 1 of 6"
    assert window.value("document.querySelector('#zoom-body img').getBoundingClientRect().width") > 2 * small
    name = "document.querySelector('#zoom-body figcaption .id').textContent"
    first = window.value(name)
    window.press("ArrowRight")
    assert window.value(PLACE) == "Picture 2 of 6" and window.value(name) != first
    window.press("ArrowLeft")
    window.press("ArrowLeft")
    assert window.value(PLACE) == "Picture 6 of 6"
    last = window.value(name)
    window.press("Escape")
    assert not window.value(OPEN)
    assert last in window.value("document.activeElement.getAttribute('aria-label')")


def test_enter_enlarges_and_buttons_close(window, single):
    window.open(single)
    window.value("document.querySelector('.gallery button').focus()")
    window.press("Enter")
    assert window.value(OPEN) and window.value("document.activeElement.id") == "zoom-close"
    window.click("#zoom-next")
    assert window.value(PLACE) == "Picture 2 of 12"
    window.click("#zoom-close")
    assert not window.value(OPEN)


def test_two_runs(window, double):
    window.open(double)
    assert window.value(SHOWN) == 12
    assert window.value("document.querySelectorAll('.gallery figure:first-child img').length") == 4
    choose(window, "outcome0", "elsewhere")
    assert window.value(SHOWN) == 6
    choose(window, "outcome1", "hit")
    assert window.value(SHOWN) == 2
    window.click(".gallery figure:not([hidden]) button")
    assert window.value("document.querySelectorAll('#zoom-body .run').length") == 2


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_fits_the_width_and_is_readable(window, single, double, phone, dark):
    width = 390 if phone else 1280
    for path in (single, double):
        window.open(path, width=width, dark=dark, phone=phone)
        assert window.value("document.documentElement.scrollWidth") == width
        window.click(".gallery figure button")
        box = window.value("document.getElementById('zoom').getBoundingClientRect().toJSON()")
        assert box["left"] >= 0 and box["right"] <= width and box["top"] >= 0 and box["bottom"] <= 900
        assert window.value(CONTRAST) >= 4.5


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_study_fits_the_width_and_its_pictures_stay_in_view(window, tmp_path, width, dark):
    path = tmp_path / "index.html"
    path.write_text(study_page(made_up_study.study(), made_up_study.samples(), []), encoding="utf-8")
    window.open(path, width=width, dark=dark, phone=width < 560)
    assert window.value("document.documentElement.scrollWidth") == width
    assert window.value(CONTRAST) >= 4.5 and window.messages == []
    # Tiles scroll sideways under the picture itself.
    window.value("document.querySelector('.beside').style.width = '3000px'")
    left = "document.querySelector('.beside tbody th').getBoundingClientRect().left"
    before = window.value(left)
    window.value("document.querySelector('.beside').parentElement.scrollLeft = 900")
    assert window.value(left) == before
    assert window.value("document.querySelector('.beside td').getBoundingClientRect().left") < before


# The lowest contrast of any text on the page with what lies behind it, as WCAG 2 defines it.
CONTRAST = """(() => {
  const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return /, 0\\)$/.test(color) && element.parentElement ? behind(element.parentElement) : color;
  };
  const texts = [...document.querySelectorAll("main *, dialog *")].filter((element) => element.checkVisibility()
    && !element.closest("svg") && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map((element) => {
    const [low, high] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }));
})()"""


def test_nothing_is_fetched_and_nothing_fails(window, single, double):
    window.open(single)
    window.open(double)
    assert window.messages == []
    assert {address.split(":")[0] for address in window.requests} <= {"file", "data"}
    assert sum(address.startswith("file:") for address in window.requests) == window.loaded
