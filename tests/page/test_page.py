"""The page of `melbeam report` in a browser: `make test-page` alone runs this, with Chromium and axe-core."""

import shutil
from pathlib import Path

import pytest
from corpus import make_folder, tamper

from helpers import run
from melbeam.pipelines import report

pytestmark = pytest.mark.page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = {"desktop": 1280, "phone": 390}
# WCAG 2.1's levels A and AA: contrast, names of controls, structure of lists and tables.
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}
# A picture is what an <img> or an SVG's <image> shows.
PICTURES = """async () => {
  const images = [...document.querySelectorAll("img, image")];
  const sizes = await Promise.all(images.map(async (node) => {
    const probe = new Image();
    probe.src = node.getAttribute("src") ?? node.getAttribute("href") ?? node.getAttribute("xlink:href");
    await probe.decode();
    const box = node.getBoundingClientRect();
    return [probe.naturalWidth, probe.naturalHeight, box.width, box.height];
  }));
  return sizes;
}"""
# The text of charts is SVG, at which axe does not look.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = rgba(getComputedStyle(node).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255];
  };
  const shown = [...document.querySelectorAll("svg text")].filter((node) => node.getBoundingClientRect().width);
  return shown.map((node) => {
    const pair = [luminance(rgba(getComputedStyle(node).fill)), luminance(behind(node))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
}"""


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Pages by name: of one folder and of two, with hostile text in every field, and of record version 1."""
    folder = tmp_path_factory.mktemp("page")
    hostile, plain = make_folder(folder / "one"), make_folder(folder / "two", hostile=False, copies=20)
    tamper(hostile)
    version_1 = folder / "version_1"
    shutil.copytree(Path(__file__).parents[1] / "data/folder_of_version_1", version_1)
    calls = {
        "hostile": [hostile, "--audio"],
        "two": [hostile, plain],
        "version_1": [version_1],
    }
    found = {}
    for name, arguments in calls.items():
        found[name] = folder / f"{name}.html"
        ran = run(report, *arguments, f"--output={found[name]}")
        assert ran.status == 0, ran.text
    return found


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"none of {', '.join(BROWSERS)} is on the PATH: apt-get install chromium"
    with sync_playwright() as playwright:
        # Where the tests are root, as in a container, Chromium's own sandbox does not start.
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture(params=[(width, theme) for width in WIDTHS for theme in ("light", "dark")], ids="-".join)
def opened(request, browser, pages, name):
    """The page of that name, at one width and in one theme, and all that the browser said of it."""
    width, theme = request.param
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=theme)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true })")
    yield page, said
    context.close()


@pytest.mark.parametrize("name", ["hostile", "two", "version_1"])
def test_the_page(opened, name):
    from axe_playwright_python.sync_playwright import Axe

    page, said = opened
    pictures = page.evaluate(PICTURES)
    # Those of record version 1 have no index, so no clip of theirs is pictured.
    assert len(pictures) == {"hostile": 12, "two": 24, "version_1": 0}[name]
    assert all(min(sizes) > 0 for sizes in pictures), pictures
    width, shown = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= shown
    contrasts = page.evaluate(CONTRASTS)
    assert contrasts
    assert min(contrasts) >= 4.5  # AA, for text of this size
    assert page.title().endswith(": melbeam report")
    assert page.evaluate("document.querySelectorAll('script, iframe, object, embed, link, form').length") == 0
    found = Axe().run(page, options=RULES).response["violations"]
    assert not [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]
    if name == "hostile":
        players = page.evaluate("document.querySelectorAll('audio').length")
        assert players == 12
        heard = page.evaluate(
            "async () => { const a = document.querySelector('audio'); a.preload = 'metadata'; a.load();"
            "await new Promise((resolve, reject) => { a.onloadedmetadata = resolve; a.onerror = reject }); "
            "return a.duration }"
        )
        assert heard > 0.2
    assert said == []


@pytest.mark.parametrize("name", ["hostile"])
def test_it_prints(browser, pages, name, tmp_path):
    page = browser.new_page(color_scheme="dark")
    page.goto(pages[name].as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('audio')).display") == "none"
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000
