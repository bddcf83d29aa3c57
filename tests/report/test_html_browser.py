"""The report in a real Chromium, opened from disk: what a reader does with it works.

It is skipped where Chromium (`apt-get install chromium`) or playwright (`.[browser]`) is missing.
"""

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from src.report.html.page import write_report
from tests.report.report_scale import write_cells
from tests.report.report_sweep import EVIL, MODEL, write_sweep

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (pip install -e '.[browser]')"
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = write_sweep(tmp_path_factory.mktemp("report"))
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        # A container's root may not use Chromium's sandbox; the page is our own.
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, path, **settings):
    """Open a file; every complaint and every request is noted."""
    page = browser.new_context(**settings).new_page()
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    return page


@pytest.fixture
def page(browser, sweep):
    page = opened(browser, sweep / "report.html", viewport={"width": 1300, "height": 900})
    yield page
    assert page.complaints == []
    assert page.requests == [(sweep / "report.html").as_uri()]  # not one more
    assert page.title() != "broken"
    page.context.close()


def rows(page, table):
    return page.locator(f"{table} tbody tr:not(.inside)")


def approach(page, point):
    """Move the mouse near a point of a plot, where others may lie as well."""
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 4, box["y"] + box["height"] / 2)


def test_a_table_is_sorted_and_searched(page):
    head = page.locator("#cells-table thead th", has_text="crows_pairs")
    place = head.first.evaluate("head => head.cellIndex")

    def numbers():
        cells = page.locator(f"#cells-table tbody tr > :nth-child({place + 1})")
        found = cells.evaluate_all("all => all.map(cell => cell.dataset.sort ?? null)")
        return [None if value is None else float(value) for value in found]

    head.first.locator("button").click()
    up = numbers()
    assert up[-1] is None  # the failed cell has none, and missing ones are last either way
    assert up[:-1] == sorted(up[:-1])
    assert head.first.get_attribute("aria-sort") == "ascending"
    head.first.locator("button").press("Enter")  # the keyboard does the same
    down = numbers()
    assert down == [*up[:-1][::-1], None]
    page.fill("#cells-search", "uniform_3")
    assert page.locator("#cells-table tbody tr:visible").count() == 1
    page.fill("#cells-search", "")
    assert page.locator("#cells-table th.extra").first.is_hidden()
    page.check("#cells-all")
    assert page.locator("#cells-table th.extra").first.is_visible()


def test_comparisons_are_filtered_by_verdict(page, sweep):
    file = json.loads((sweep / "comparisons.json").read_text())["comparisons"]
    headline = [row for row in file if row["family"] == "headline"]
    undecided = sum(row["verdict"] == "undecided" for row in headline)
    page.locator(".counts [data-tone=undecided]").click()
    said = page.locator("#comparisons-tools output")
    assert said.inner_text() == f"{undecided} of {len(file)} comparisons"
    page.get_by_label("Metrics").select_option("")
    page.locator("#comparisons-tools").get_by_label("Verdict").select_option("")
    assert said.inner_text() == f"{len(file)} of {len(file)} comparisons"
    page.locator("#comparisons-tools").get_by_label("Search").fill("uniform_2 stereoset lm race")
    page.wait_for_timeout(300)
    shown = rows(page, "#comparisons-table")
    assert all("uniform_2" in text for text in shown.all_inner_texts())


def test_a_plot_tells_what_is_under_the_mouse_and_answers_to_keys(page, sweep):
    file = json.loads((sweep / "comparisons.json").read_text())["comparisons"]
    point = page.locator("#forest-plot .point").first
    point.scroll_into_view_if_needed()
    point.hover()
    tip = page.locator("#tip")
    assert tip.is_visible()
    told = tip.inner_text()
    assert MODEL in told
    assert any(row["conclusion"] in told for row in file if row["category"] == "overall")
    first = page.locator("#forest-plot .point[tabindex='0']")
    first.focus()
    label = first.get_attribute("aria-label")
    page.keyboard.press("ArrowDown")
    now = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert now != label
    assert tip.is_visible()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#items-tools output').textContent")
    approach(page, page.locator("#scatter-plot .point").first)
    assert re.search(r"MB in memory", tip.inner_text())
    approach(page, page.locator("#curves-plot .point").first)
    assert "compression.weight_bits" in tip.inner_text()


def test_labels_of_an_axis_do_not_run_into_each_other(browser, sweep):
    page = opened(browser, sweep / "report.html", viewport={"width": 1300, "height": 900})
    for width in (1300, 900, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        labels = page.locator("#forest-plot text[text-anchor=middle]").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().toJSON())"
        )
        lines = {round(one["y"]): [] for one in labels}
        for one in labels:
            lines[round(one["y"])].append((one["left"], one["right"]))
        for line in map(sorted, lines.values()):
            assert len(line) > 1
            assert all(end < start for (_, end), (start, _) in pairwise(line))
    page.context.close()


def test_items_are_found_from_a_metric_and_texts_shown_on_demand(page, sweep):
    flips = pd.read_parquet(sweep / "b2" / "items.parquet")
    value = page.locator("#cells-table tr", has_text="uniform_2").locator(
        "[data-benchmark=crows_pairs][data-category=overall]"
    )
    value.click()
    said = page.locator("#items-tools output")
    total = (flips.benchmark == "crows_pairs").sum()
    assert said.inner_text().startswith(f"{total} items, ")
    page.locator("#items-tools").get_by_label("Category").select_option("gender")
    gender = ((flips.benchmark == "crows_pairs") & (flips.category == "gender")).sum()
    assert said.inner_text().startswith(f"{gender} items, ")
    page.locator("#items-tools").get_by_label("Search").fill("SLURgender7 ")
    page.wait_for_timeout(300)
    assert rows(page, "#items-table").count() == 1
    assert "slurgender7" not in page.content()  # found, and yet not shown
    page.locator("#items-table button.open").press("Enter")
    assert "slurgender7" not in page.content()
    page.get_by_role("button", name="Show its (offensive) text").click()
    shown = page.locator("#items-table dl.texts").inner_text()
    assert f"{EVIL} more gender7" in shown  # as text, not as markup
    assert page.locator("#items-table img").count() == 0
    row = flips[flips.item_id == "gender7"].iloc[0]
    inside = page.locator("#items-table tr.inside").inner_text()
    assert row.decision in inside
    page.get_by_role("button", name="How every cell decided it").click()
    page.wait_for_selector("#items-table .inside .pairs div table")
    assert page.locator("#items-table tr.inside").inner_text().count(MODEL) == 5


def test_items_that_changed_sides_are_those_of_flips(page, sweep):
    before, after = (
        pd.read_parquet(sweep / name / "items.parquet").query("benchmark == 'crows_pairs'")
        for name in ("none", "b2")
    )
    both = before.merge(after, on="item_id", suffixes=("_a", "_b"))
    both = both[(both.decision_a != "skipped") & (both.decision_b != "skipped")]
    up = int(((both.decision_a != "more") & (both.decision_b == "more")).sum())
    page.locator("#cells-table tr", has_text="uniform_2").locator(
        "[data-benchmark=crows_pairs][data-category=overall]"
    ).click()
    page.locator("#items-tools").get_by_label("Changed sides").select_option("to_stereo")
    assert page.locator("#items-tools output").inner_text().startswith(f"{up} items, {up} changed")


def test_a_cells_panel_opens_and_closes_by_keyboard(page):
    name = page.locator("#cells-table button.name", has_text="uniform_4")
    name.focus()
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    panel.wait_for()
    assert "uniform_4" in panel.locator("h2").inner_text()
    panel.get_by_text("Settings (those that differ").click()
    assert "uniform_4" in panel.locator("dd.differs").all_inner_texts()
    panel.get_by_text("Receipt of the compression").click()
    assert "layer.<i>0</i>" in panel.inner_text()
    page.keyboard.press("Escape")
    assert panel.is_hidden()
    page.locator("#cells-table button.name", has_text="broken").click()
    assert "RuntimeError: no memory </script>" in panel.locator("pre").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1500])
def test_it_fits_every_screen_by_day_and_night(browser, sweep, scheme, width):
    page = opened(
        browser,
        sweep / "report.html",
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
    assert light > 200 if scheme == "light" else light < 60
    assert len(page.screenshot()) > 10_000
    assert page.complaints == []
    page.context.close()


def test_it_prints(browser, sweep, tmp_path):
    page = opened(browser, sweep / "report.html")
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator(".tools").first.is_hidden()
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= content.count(b"/Type /Page\n") <= 40
    page.context.close()


def test_without_texts_there_is_no_way_to_show_any(browser, sweep, tmp_path):
    copy = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    write_report(copy, text=False)
    page = opened(browser, copy / "report.html")
    assert page.get_by_label("show texts").count() == 0
    page.locator("#items-table button.open").first.click()
    assert page.get_by_role("button", name="Show its (offensive) text").count() == 0
    assert page.complaints == []
    page.context.close()


@pytest.mark.slow
def test_two_hundred_cells_of_a_hundred_thousand_items_open_quickly(browser, tmp_path):
    """Under 3 s and 30 MB; the time is that of the processor, as others may use the machine."""
    write_cells(tmp_path, cells=200, items=500)
    written = write_report(tmp_path)
    assert written.bytes < 30e6
    page = opened(browser, written.path)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    told = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    assert told["ProcessTime"] < 3
    assert page.locator("#cells-table tbody tr").count() == 200
    # Twenty models have eight colours: those of the second round are told apart by their shape.
    assert page.locator("#scatter-legend .swatch.again").count() == 8
    squares = page.locator("#scatter-plot rect.bubble")
    squares.first.wait_for(state="attached")
    assert squares.count() == 80
    answered = page.evaluate(
        "block('overview').then(data => Object.values(data.answers).flat()"
        ".reduce((sum, key) => sum + data.sets[key].n, 0))"
    )
    assert answered == 100_000
    assert page.complaints == []
    page.context.close()
