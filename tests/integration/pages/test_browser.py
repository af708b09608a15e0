"""The pages in a real browser: nothing foreign, no complaint, nothing that shuts anybody out."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.contract.keys import KEY

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python")

expect = playwright.expect
expect.set_options(timeout=120_000)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 375)}

WIDER = """[...document.querySelectorAll(".scroll")]
    .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.scrollWidth)"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
    pytest.mark.parametrize("deployment", ["sqlite"], indirect=True),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visiting(chromium, url: str, look: str = "light", **options: object) -> Iterator[object]:
    """Open a tab that may load nothing from elsewhere, and complain about nothing."""
    scheme, width = LOOKS[look]
    context = chromium.new_context(
        base_url=url,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        **options,
    )
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: complaints.append(dialog.message))
    tab.on(
        "request",
        lambda request: (
            None if request.url.startswith((url, "data:")) else complaints.append(request.url)
        ),
    )
    yield tab
    context.close()
    assert complaints == []


def check_fit(tab, look: str) -> None:
    """Make sure that nothing on a page shuts anybody out, and that it is as wide as its window."""
    script = next(Path(axe.__file__).parent.rglob("axe*.js")).read_text()
    tab.context.new_cdp_session(tab).send("Runtime.evaluate", {"expression": script})
    found = tab.evaluate(
        """async (rules) => (await axe.run(document, { runOnly: rules })).violations
        .map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])""",
        RULES,
    )
    assert found == [], tab.url
    assert tab.evaluate("document.documentElement.scrollWidth") <= LOOKS[look][1], tab.url


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_fit_for_everybody(full, chromium, look):
    with visiting(chromium, full.stack.url, look) as tab:
        for path in full.paths:
            tab.goto(path)
            if path == "/docs":
                tab.wait_for_selector(".opblock")
            check_fit(tab, look)
            if path in {"/", "/masks"}:
                assert tab.evaluate(WIDER) == [], path  # whatever their rows are called


def test_a_newcomer_drops_scores_and_watches_the_job_to_its_masks(full, chromium, tmp_path):
    stack = full.stack
    scores = tmp_path / "scores.safetensors"
    scores.write_bytes(stack.http.get(f"/v1/blobs/{full.scores}").content)
    stack.stop_workers()
    with visiting(chromium, stack.url) as tab:
        tab.goto("/new")
        tab.fill("#spec", "layers: [")
        tab.wait_for_selector("#plan .note.bad")
        spec = stack.job(full.job)["spec"] | {"name": "dropped", "craft": {"degree": 6}}
        tab.fill("#spec", str(spec).replace("True", "true"))
        tab.wait_for_selector("#plan .numbers")
        tab.set_input_files("#scores", scores)
        expect(tab.locator("#importance")).to_have_value(full.scores)
        expect(tab.locator("#plan .numbers")).to_contain_text("algorithmraiw")
        tab.click("#new button.main")
        tab.wait_for_selector("text=No worker has it yet")
        stack.start_worker()
        tab.wait_for_selector("text=Open the masks")  # the page follows the job by itself
        tab.click("text=Open the masks")
        tab.click("text=Measure entropies")
        tab.wait_for_selector("text=of random")  # as soon as a worker has measured
        tab.click("tbody th a >> nth=0")
        assert re.search(r"/masks/sha256:\w{64}/layers/fc1$", tab.url)


def test_a_map_is_zoomed_moved_and_read_with_keys_and_pointer(full, chromium):
    with visiting(chromium, full.stack.url) as tab:
        tab.goto(f"/masks/{full.masks}/layers/fc1")
        stage = tab.locator("svg.stage")
        where = tab.locator("[data-where]")
        stage.focus()
        for key, shown in (
            ("+", "outputs 16 to 47 (down), inputs 24 to 71 (across)"),
            ("0", "outputs 0 to 63 (down), inputs 0 to 95 (across)"),
        ):
            tab.keyboard.press(key)
            expect(where).to_have_text(shown)
        tab.click("text=Deviation")
        expect(tab.locator("[data-caption]")).to_contain_text("σ")
        expect(tab).to_have_url(re.compile("mode=deviation"))
        stage.dblclick(position={"x": 5, "y": 5})
        expect(where).to_contain_text(re.compile("^outputs [01] to 3[23] "))
        stage.hover(position={"x": 3, "y": 3})
        expect(tab.locator("[data-reading]")).to_contain_text(
            re.compile("^output 0 to 7, input 0 to 7: ")
        )


@pytest.mark.parametrize("look", LOOKS)
def test_a_key_is_made_and_replaced_by_hand(full, chromium, look):
    with visiting(chromium, full.stack.url, look) as tab:
        tab.goto("/keys")
        tab.fill("#owner", f"team-{look}")
        tab.fill("#days", "30")
        tab.check("[name=scope][value='jobs:read']")
        tab.click("text=Make the key")
        key = tab.locator("pre[aria-label=Command]")
        expect(key).to_have_text(re.compile(KEY.pattern))
        check_fit(tab, look)
        made = key.inner_text()
        row = tab.locator("tr", has_text=f"team-{look}").first
        row.locator("summary").click()
        check_fit(tab, look)
        row.get_by_role("button", name="Rotate").click()
        expect(key).not_to_have_text(made)
        expect(tab.locator("tr", has_text=f"team-{look}").nth(1)).to_contain_text("expired")


def test_the_keyboard_comes_first_to_the_content_and_then_to_all_links(full, chromium):
    with visiting(chromium, full.stack.url, "phone") as tab:
        tab.goto("/system")
        named = "document.activeElement.textContent.trim()"
        for name in ("Skip to the content", "raiw", "Jobs", "Masks"):
            tab.keyboard.press("Tab")
            assert tab.evaluate(named) == name
        tab.reload()
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/system#main")
        box = tab.locator(".top [aria-current]").bounding_box()
        assert 0 <= box["x"] <= 375 - box["width"]


def test_pages_work_without_scripts(full, chromium):
    with visiting(chromium, full.stack.url, java_script_enabled=False) as tab:
        tab.goto("/")
        tab.fill("#text", "alert")
        tab.select_option("#status", "succeeded")
        tab.click("text=Filter")
        tab.click("tbody a >> nth=0")
        tab.click("text=Open the masks")
        tab.click("tbody th a >> nth=0")
        tab.click("text=Deviation")
        tab.click("[aria-label='Zoom in']")
        assert "rows=16-48" in tab.url
        tab.click(".own button")
        assert tab.locator("html").get_attribute("data-theme") == "dark"
        assert "rows=16-48" in tab.url
