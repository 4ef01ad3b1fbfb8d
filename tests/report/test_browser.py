"""Reports in a browser: drawn, used, and inert whatever the names in them are."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from common.reports import hostile_parts, made_parts
from parentage.report import render_report

pytestmark = pytest.mark.slow

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE = 60.0
"""Seconds to wait for what a page does."""


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for each in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    """A report that is open in a browser."""

    def __init__(self, browser, path, *, dark=False, width=1280):
        self.browser = browser
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(path.as_uri())
        self.wait("return document.documentElement.dataset.drawn !== undefined")
        self.wait("return document.documentElement.dataset.table === 'ready'")

    def run(self, script, *arguments):
        """Return what a script in the page returns."""
        return self.browser.execute_script(script, *arguments)

    def wait(self, script):
        """Wait until a script in the page returns what is true."""
        end = time.monotonic() + PATIENCE
        while not (found := self.run(script)):
            assert time.monotonic() < end, f"{script}: {self.browser.get_log('browser')}"
            time.sleep(0.05)
        return found

    def complaints(self):
        """Return what the console says."""
        return self.browser.get_log("browser")

    def requests(self):
        """Return the addresses of everything that was asked for."""
        messages = [
            json.loads(each["message"])["message"] for each in self.browser.get_log("performance")
        ]
        return [
            each["params"]["request"]["url"]
            for each in messages
            if each["method"] == "Network.requestWillBeSent"
        ]

    def point_at(self, selector):
        """Move the pointer to the middle of an element."""
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.by import By

        found = self.browser.find_element(By.CSS_SELECTOR, selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", found)
        ActionChains(self.browser).move_to_element(found).perform()

    def column(self, index):
        """Return the texts of a column of the rows that are in the table."""
        return self.run(
            "return [...document.querySelectorAll('#grid tbody tr:not(.space)')]"
            ".map((row) => row.children[arguments[0]].textContent)",
            index,
        )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write evidence as a page, once."""
    folder, pages = tmp_path_factory.mktemp("pages"), {}

    def write(name, make):
        if name not in pages:
            pages[name] = folder / f"{name}.html"
            pages[name].write_text(render_report(make()), "utf-8")
        return pages[name]

    return write


@pytest.fixture
def page(browser, written):
    return Page(browser, written("merge", made_parts))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_drawn_without_a_complaint_and_asks_for_nothing(browser, written, dark, width):
    path = written("merge", made_parts)
    page = Page(browser, path, dark=dark, width=width)
    assert page.complaints() == []
    assert page.requests() == [path.as_uri()]
    assert page.run("return document.documentElement.dataset.drawn") == (
        "dark" if dark else "light"
    )
    charts = "document.querySelectorAll('.chart')"
    assert page.run(f"return {charts}.length") >= 6
    drawn = f"[...{charts}].every((each) => each.querySelector('svg, canvas') !== null)"
    assert page.run(f"return {drawn}")
    # Nothing sticks out at the side, on a phone least of all.
    assert page.run("return document.documentElement.scrollWidth") <= width


def test_what_the_pointer_is_at_is_told(page):
    page.point_at("#figure-weights .mark-rect path")
    page.wait("return !document.getElementById('tip').hidden")
    told = page.run("return document.getElementById('tip').textContent")
    assert "weight" in told
    assert "layer" in told
    layer = page.run("return document.getElementById('layer').value")
    assert layer in [str(each) for each in range(8)]
    assert "weight of parent" in page.run(
        "return document.getElementById('layer-said').textContent"
    )


def test_a_click_on_a_title_sorts(page):
    title = "#grid thead th:nth-child({}) button"
    number = page.run(
        "return [...document.querySelectorAll('#grid thead th')]"
        ".findIndex((each) => each.textContent === 'cosine') + 1"
    )
    click = f"document.querySelector('{title.format(number)}').click()"
    page.run(click)
    down = [float(each) for each in page.column(number - 1)]
    assert down == sorted(down, reverse=True)
    page.run(click)
    up = [float(each) for each in page.column(number - 1)]
    assert up == sorted(up)
    assert up != down
    sort = f"return document.querySelector('#grid thead th:nth-child({number})').ariaSort"
    assert page.run(sort) == "ascending"
    page.run(f"document.querySelector('{title.format(1)}').click()")
    assert page.column(0)[:2] == [
        "model.layers.0.mlp.experts.0.down_proj", "model.layers.0.mlp.experts.1.down_proj",
    ]  # fmt: skip


def test_filters_leave_what_they_say(page):
    fill = (
        "const each = document.getElementById(arguments[0]);"
        "if (each.type === 'checkbox') each.checked = true; else each.value = arguments[1];"
        "each.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    page.run(fill, "filter-name", "Q_PROJ")
    assert page.run("return document.getElementById('count').textContent") == "8 of 40 slices"
    assert all("q_proj" in each for each in page.column(0))
    page.run(fill, "filter-layer", "3")
    assert page.column(0) == ["model.layers.3.self_attn.q_proj"]
    page.run("document.querySelector('#filters button[type=reset]').click()")
    page.wait("return document.getElementById('count').textContent === '40 of 40 slices'")
    page.run(fill, "filter-part", "experts")
    assert page.run("return document.getElementById('count').textContent") == "32 of 40 slices"
    page.run(fill, "filter-off", "")
    counted = int(page.run("return document.getElementById('count').textContent").split()[0])
    assert 0 < counted < 32


def test_readers_have_pages_that_the_keyboard_reaches(page):
    shown = (
        "return [...document.querySelectorAll('.reader')].filter((x) => !x.hidden).map((x) => x.id)"
    )
    assert page.run(shown) == ["journalist"]
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    tab = page.browser.find_element(By.ID, "tab-journalist")
    tab.send_keys(Keys.ARROW_RIGHT)
    assert page.run(shown) == ["moderator"]
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.run(shown) == ["lawyer"]
    assert page.run("return document.getElementById('tab-lawyer').ariaSelected") == "true"
    page.run("document.getElementById('tab-ci').click()")
    assert page.run(shown) == ["ci"]


def test_the_switch_changes_colours_and_pictures(page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(ground)
    page.run("document.getElementById('theme').click()")
    page.wait("return document.documentElement.dataset.drawn === 'dark'")
    assert page.run(ground) != before
    assert page.run(
        "return [...document.querySelectorAll('.chart')].every((x) => x.dataset.theme === 'dark')"
    )
    assert page.complaints() == []


def test_markup_in_every_name_is_inert(browser, written):
    path = written("hostile", hostile_parts)
    page = Page(browser, path)
    assert page.run("return window.broken === undefined")
    assert page.run("return document.images.length") == 0
    assert page.run("return document.scripts.length") == 3
    assert page.complaints() == []
    assert page.requests() == [path.as_uri()]
    # It is there, as text.
    assert "<script>window.broken" in page.column(0)[0]
    page.point_at("#figure-weights .mark-rect path")
    page.wait("return !document.getElementById('tip').hidden")
    assert page.run("return document.images.length") == 0
    assert page.run("return window.broken === undefined")


def test_a_hundred_thousand_slices_stay_quick(browser, written):
    path = written("large", lambda: made_parts(100_000, experts=512))
    assert path.stat().st_size < 10_000_000
    begun = time.monotonic()
    page = Page(browser, path)
    assert time.monotonic() - begun < PATIENCE
    assert page.complaints() == []
    assert (
        page.run("return document.getElementById('count').textContent")
        == "100,000 of 100,000 slices"
    )
    assert page.run("return document.querySelectorAll('#grid tbody tr').length") < 100
    page.run("document.getElementById('grid').scrollTop = 1e9")
    page.wait(
        "return [...document.querySelectorAll('#grid tbody th')].at(-1).textContent"
        ".startsWith('model.layers.194.')"
    )


def test_without_a_script_all_readers_have_their_text(browser, written):
    path = written("merge", made_parts)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(path.as_uri())
        from selenium.webdriver.common.by import By

        text = browser.find_element(By.TAG_NAME, "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for expected in (
        "A merge: 0.6 parent + 0.4 base", "What this does not show", "For a hub's moderator",
        "For a lawyer", "For a lab's CI", "Pictures are drawn by the script", "slices.parquet",
    ):  # fmt: skip
        assert expected in text
