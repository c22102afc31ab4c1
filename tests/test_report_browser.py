"""Reports in a browser: they load nothing, can be worked by mouse and keyboard, and can be read, heard and printed."""

import shutil
import subprocess
import tarfile

import pytest
from browser import DESKTOP, PHONE, browsing, missing
from reported import NAMES, comparison, hostile, products

from mireorder.report.page import write_page

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=f"no browser here: {missing()}")]

AXE = "axe-core@4.10.3"
REPORTS = ("products", "hostile", "comparison")
LOOKS = [(size, theme) for size in (PHONE, DESKTOP) for theme in ("light", "dark")]
CONTROLS = "a, button, input, [tabindex='0'], table, svg, ol, nav, section, article, fieldset"

ORDERS = """
return [...document.querySelectorAll('.moved')].map(list =>
    [...list.children].filter(unit => !unit.hidden).map(unit => Number(unit.dataset.slot)));
"""
"""The slots of every row as they stand."""

CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
function over(colour, under) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b].map((value, i) => value * a / 255 + under[i] * (1 - a / 255));
}
function ground(node) {
  if (!node) return [255, 255, 255];
  return over(getComputedStyle(node).backgroundColor, ground(node.parentElement));
}
function light(colour) {
  const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const node = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
  if (!text || !node.checkVisibility() || ['SCRIPT', 'STYLE'].includes(node.tagName)) continue;
  const style = getComputedStyle(node), under = ground(node);
  const ink = over(node.closest('svg') ? style.fill : style.color, under);
  const [low, high] = [light(ink), light(under)].sort((a, b) => a - b);
  if ((high + 0.05) / (low + 0.05) < 4.5) found.push([text.slice(0, 40), (high + 0.05) / (low + 0.05)]);
}
return found;
"""
"""Texts whose contrast is below 4.5 to 1 (WCAG AA), those of charts included."""

SMALL = """
return [...document.querySelectorAll('body *')].filter(node => node.checkVisibility() && !node.closest('.hidden')
    && [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
  .map(node => [node.textContent.slice(0, 30), parseFloat(getComputedStyle(node).fontSize)
      * (node.closest('svg') ? node.closest('svg').getScreenCTM().a : 1)]).filter(([, size]) => size < 9.5);
"""
"""Texts of less than 9.5 pixels."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Pages by name."""
    folder = tmp_path_factory.mktemp("reports")
    products(folder / "rows", resamples=5)
    hostile(folder / "labels")
    whats = dict(zip(REPORTS, (folder / "rows", folder / "labels", comparison()), strict=True))
    return {name: write_page(what, folder / f"{name}.html") for name, what in whats.items()}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The script of axe-core, which npm fetches."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches axe-core")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm can't fetch {AXE} here: {done.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        return packed.extractfile("package/axe.min.js").read().decode()


looks = pytest.mark.parametrize(
    "size, theme", LOOKS, ids=lambda value: value if isinstance(value, str) else str(value[0])
)
every = pytest.mark.parametrize("name", REPORTS)


@every
@looks
def test_pages_load_nothing_and_can_be_read(browser, reports, name, size, theme):
    browser.open(reports[name], size, theme)
    assert [entry["message"] for entry in browser.logged("browser")] == []
    assert browser.requests() == [reports[name].resolve().as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") == size[0], "nothing stands out at the side"
    assert browser.run(CONTRAST) == []
    assert browser.run(SMALL) == []


@every
@looks
def test_axe_finds_nothing(browser, reports, axe, name, size, theme):
    browser.open(reports[name], size, theme)
    browser.run(axe)
    found = browser.wait(
        "axe.run().then(found => arguments[0](found.violations.map(one => [one.id, one.nodes[0].html])))"
    )
    assert found == []


@every
def test_every_control_and_part_has_a_name(browser, reports, name):
    browser.open(reports[name])
    assert [browser.name(element) for element in browser.all(CONTROLS)].count("") == 0


def test_the_mouse_moves_units_to_emitted_order_and_back(browser, reports):
    browser.open(reports["products"])
    back, on, first, last = (browser.all(f"[data-to={to}]")[0] for to in ("back", "on", "first", "last"))
    natural = browser.run(ORDERS)
    assert natural == [[0, 1, 2, 3]] * len(natural)
    seen = []
    for button in (on, on, last, on, back, first, back):
        browser.click(button)
        assert len({tuple(order) for order in browser.run(ORDERS)}) == 1
        seen.append((browser.run("return document.querySelector('output').textContent"), browser.run(ORDERS)[0]))
    assert seen == [
        ("1 of 4", [2, 0, 1, 3]),
        ("2 of 4", [2, 1, 0, 3]),
        ("4 of 4: emitted order", [2, 1, 3, 0]),
        ("4 of 4: emitted order", [2, 1, 3, 0]),
        ("3 of 4", [2, 1, 3, 0]),
        ("0 of 4: natural order", [0, 1, 2, 3]),
        ("0 of 4: natural order", [0, 1, 2, 3]),
    ]


def test_the_keyboard_reaches_and_moves_everything(browser, reports):
    focus = "const on = document.activeElement; return on.type || on.className || on.textContent"
    first = ORDERS.strip().removesuffix(";") + "[0];"
    for _ in range(3):  # a page that has just come may not hear its first key
        browser.open(reports["products"])
        browser.press("tab")
        if browser.settled(focus, "skip", 2) == "skip":
            break
    assert browser.run(focus) == "skip"
    browser.press(*["tab"] * len(browser.all("nav a")), "tab")
    assert browser.settled(focus, "range") == "range", "behind the links to sections"
    browser.press("right", "right")
    assert browser.settled(first, [2, 1, 0, 3]) == [2, 1, 0, 3]
    assert browser.run("return document.activeElement.ariaValueText") == "2 of 4"
    browser.press("end")
    assert browser.settled(first, [2, 1, 3, 0]) == [2, 1, 3, 0]
    browser.press("home", "tab", "tab", "tab", "space")
    assert browser.run("return document.activeElement.textContent") == "One step on"
    assert browser.settled(first, [2, 0, 1, 3]) == [2, 0, 1, 3]
    browser.press("tab", "tab")
    assert browser.settled(focus, "wide") == "wide", "tables can be scrolled by keys"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_hostile_texts_are_shown_and_run_nothing(browser, reports):
    browser.open(reports["hostile"])
    shown = browser.run("return document.body.innerText")
    assert "<script>hacked = 1</script>" in shown and "</style><img src=x onerror='hacked = 1'>" in shown
    assert all(name in shown for name in NAMES if name.isprintable())
    assert browser.run("return [typeof hacked, document.images.length, document.scripts.length]") == ["undefined", 0, 1]
    assert browser.all("[onfocus], [onerror]") == []


def test_what_a_page_would_fetch_is_refused(browser, reports):
    """The policy holds even where mark-up got through."""
    browser.open(reports["products"])
    script = """
    const done = arguments[0], image = new Image();
    image.onload = () => done('loaded'); image.onerror = () => done('refused');
    image.src = 'http://127.0.0.1:9/x.png';
    """
    assert browser.wait(script) == "refused"
    assert any("Content Security Policy" in entry["message"] for entry in browser.logged("browser"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_paper_is_white_and_has_no_controls(browser, reports, theme):
    browser.open(reports["products"], theme=theme, media="print")
    shown = (
        "return ['.controls', 'nav', 'article', 'table', 'svg'].map(at => document.querySelector(at).checkVisibility())"
    )
    assert browser.run(shown) == [False, False, True, True, True]
    colours = "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    assert browser.run(colours) == ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]
    assert browser.run(CONTRAST) == []
