"""The page in a real browser: Debian's Chromium, headless, driven by Debian's chromedriver."""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from hwdse.report import write
from hwdse.report.rows import rows
from hwdse.report.sides import write as write_sides
from hwdse.result import Result
from hwdse.sides import Sides

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
DRAWN_SECONDS = 30  # in which all plots must be drawn, on a busy machine


@pytest.fixture(scope="module")
def address(result: Result, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the whole study, as a file."""
    return write(result, tmp_path_factory.mktemp("report")).as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium: webdriver.Chrome, address: str) -> webdriver.Chrome:
    """The page, 1280 pixels wide, in light colours, with all plots drawn."""
    return show(chromium, address, 1280)


def show(browser: webdriver.Chrome, address: str, width: int, scheme: str = "light") -> webdriver.Chrome:
    """The page at a width and in a colour scheme, with all plots drawn."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)
    drawn = "return document.documentElement.classList.contains('drawn')"
    WebDriverWait(browser, DRAWN_SECONDS).until(lambda b: b.execute_script(drawn))
    return browser


def shoot(browser: webdriver.Chrome, path: Path) -> None:
    """Writes the whole page as PNG."""
    width, height = browser.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path.write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture(scope="module")
def crowded(result: Result, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of long names, as a file."""
    name = "encoder.layers.encoder_layer_11.self_attention.out_projection.quantised_activation"
    changed = replace(result, study=name, question=name, failures=((30, name * 3),), manifest=((name, name * 3),))
    workload = replace(result.workload, name=name)
    target = replace(result.fpga, name=name, part=name, source=name * 3)
    return write(replace(changed, workload=workload, target=target), tmp_path_factory.mktemp("crowded")).as_uri()


def find(browser: webdriver.Chrome, selector: str) -> list[WebElement]:
    """The elements that a style sheet would select."""
    return browser.find_elements("css selector", selector)


def click(browser: webdriver.Chrome, element: WebElement) -> None:
    """Clicks, wherever the element stands."""
    browser.execute_script("arguments[0].click()", element)


def column(browser: webdriver.Chrome, number: int) -> list[str]:
    """What the visible rows of the table of trials sort by in one column, counted from 0."""
    visible = '[...document.querySelectorAll("#trials tbody tr:not([hidden])")]'
    script = (
        f"return {visible}.map((row) => row.cells[arguments[0]]).map((cell) => cell.dataset.key ?? cell.textContent)"
    )
    return list(browser.execute_script(script, number))


def logged(browser: webdriver.Chrome) -> list[object]:
    """What the page wrote to the console since the last call, errors and refused requests included."""
    return list(browser.get_log("browser"))  # type: ignore[no-untyped-call]  # selenium has types elsewhere


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_errors_requests_or_overflow(
    chromium: webdriver.Chrome, address: str, width: int, scheme: str, tmp_path: Path
) -> None:
    show(chromium, address, width, scheme)
    shoot(chromium, tmp_path / f"report-{width}-{scheme}.png")
    assert logged(chromium) == []
    assert chromium.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert chromium.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_do_not_widen_the_page(chromium: webdriver.Chrome, crowded: str, width: int, tmp_path: Path) -> None:
    show(chromium, crowded, width)
    shoot(chromium, tmp_path / f"crowded-{width}.png")
    assert chromium.execute_script("return document.documentElement.scrollWidth") == width


def test_every_trial_is_a_point(page: webdriver.Chrome, result: Result) -> None:
    for name, outlines in (("front", 4), ("bits", 0)):
        points = find(page, f"#plot-{name} .scatterlayer path.point")
        assert len(points) == len(result.trials) + outlines
    assert len(find(page, "#plot-hypervolume .scatterlayer path.point")) == len(result.hypervolume)


def test_the_axis_can_show_all_trials(page: webdriver.Chrome) -> None:
    lowest = "return document.getElementById('plot-front').layout.yaxis.range[0]"
    near = page.execute_script(lowest)
    (button,) = find(page, '#plot-front ~ figcaption button[data-plot="front"]')
    click(page, button)
    WebDriverWait(page, DRAWN_SECONDS).until(lambda b: b.execute_script(lowest) < near)
    assert button.text == "Show the best trials"
    click(page, button)
    WebDriverWait(page, DRAWN_SECONDS).until(lambda b: b.execute_script(lowest) == near)
    assert button.text == "Show all trials"


def test_the_legend_hides_a_series(page: webdriver.Chrome) -> None:
    lines = "return document.querySelectorAll('#plot-front .scatterlayer .trace').length"
    before = page.execute_script(lines)
    (button,) = (b for b in find(page, '.legend [data-plot="front"]') if b.text == "front")
    click(page, button)
    WebDriverWait(page, DRAWN_SECONDS).until(lambda b: b.execute_script(lines) == before - 1)
    assert button.get_attribute("aria-pressed") == "false"


def test_plots_follow_the_colour_scheme(chromium: webdriver.Chrome, address: str) -> None:
    colour = "return getComputedStyle(document.querySelector('#plot-front .xtitle')).fill"
    assert show(chromium, address, 1280, "light").execute_script(colour) == "rgb(28, 39, 51)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    WebDriverWait(chromium, DRAWN_SECONDS).until(lambda b: b.execute_script(colour) == "rgb(233, 237, 242)")


def test_the_table_sorts_by_value_with_the_unknown_last(page: webdriver.Chrome) -> None:
    heads = find(page, "#trials thead button")
    titles = [head.text for head in heads]
    luts = titles.index("LUT")
    click(page, heads[luts])
    assert column(page, luts) == sorted(column(page, luts), key=int)
    click(page, heads[luts])
    assert column(page, luts) == sorted(column(page, luts), key=int, reverse=True)
    tested = titles.index("top-1, test")
    for reverse in (False, True):
        click(page, heads[tested])
        keys = column(page, tested)
        known = [key for key in keys if key]
        assert keys == sorted(known, key=float, reverse=reverse) + [""] * (len(keys) - len(known))


def test_the_table_filters(page: webdriver.Chrome, result: Result) -> None:
    find(page, "#filter-text")[0].send_keys("E2M1")
    found = [row for row in rows(result) if "e2m1" in row.weights + row.activations]
    assert 0 < len(found) < len(result.trials)
    assert column(page, 0) == [str(row.trial) for row in found]
    find(page, "#filter-text")[0].clear()
    Select(find(page, "#filter-family")[0]).select_by_visible_text("minifloat")
    assert set(column(page, 1)) == {"minifloat"}
    Select(find(page, "#filter-family")[0]).select_by_visible_text("all")
    click(page, find(page, "#filter-front")[0])
    assert {int(number) for number in column(page, 0)} == set(result.front)
    assert find(page, "#filter-count")[0].text == f"{len(result.front)} of {len(result.trials)} trials"
    click(page, find(page, "#filter-front")[0])
    click(page, find(page, "#filter-feasible")[0])
    assert len(column(page, 0)) == sum(trial.feasible for trial in result.trials)


@pytest.fixture(scope="module")
def everything(
    raced: Result, sensitive: Result, recipes: Result, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Result, str]:
    """A study with races, recipes and sensitivities, and its page as a file."""
    more = tuple(replace(trial, seconds=1.0) for trial in recipes.trials[-3:])
    result = replace(raced, trials=(*raced.trials, *more), sensitivities=sensitive.sensitivities)
    return result, write(result, tmp_path_factory.mktemp("everything")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_all_sections_open_without_errors_requests_or_overflow(
    chromium: webdriver.Chrome, everything: tuple[Result, str], width: int, scheme: str, tmp_path: Path
) -> None:
    result, page = everything
    show(chromium, page, width, scheme)
    shoot(chromium, tmp_path / f"everything-{width}-{scheme}.png")
    assert logged(chromium) == []
    assert chromium.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert chromium.execute_script("return document.documentElement.scrollWidth") == width
    titles = [title.text for title in find(chromium, "section h2")]
    assert {"How sensitive each layer is", "What the techniques do", "Search convergence"} <= set(titles)
    assert len(find(chromium, "#plot-sensitivity .heatmaplayer image")) == 2
    assert len(find(chromium, "#plot-hypervolume-time .scatterlayer path.point")) == len(result.hypervolume)
    assert len(find(chromium, ".reasons tbody tr")) == len(result.front)


def test_the_map_follows_the_theme(chromium: webdriver.Chrome, everything: tuple[Result, str]) -> None:
    script = "return document.getElementById('plot-sensitivity').data[0].colorscale[0][1]"
    found = [show(chromium, everything[1], 1280, scheme).execute_script(script) for scheme in ("light", "dark")]
    assert found == ["#e4e8ed", "#2d3743"]


# ---- GPUs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_a_gpu(on_gpu: Result, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a study of a GPU, as a file."""
    return write(on_gpu, tmp_path_factory.mktemp("gpu")).as_uri()


@pytest.fixture(scope="module")
def side_by_side(sides: Sides, result: Result, on_gpu: Result, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of both devices, as a file."""
    return write_sides(sides, (result, on_gpu), tmp_path_factory.mktemp("sides")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_gpus_open_without_errors_requests_or_overflow(
    chromium: webdriver.Chrome, on_a_gpu: str, side_by_side: str, width: int, scheme: str, tmp_path: Path
) -> None:
    for name, page in (("gpu", on_a_gpu), ("sides", side_by_side)):
        show(chromium, page, width, scheme)
        shoot(chromium, tmp_path / f"{name}-{width}-{scheme}.png")
        assert logged(chromium) == []
        assert chromium.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []
        assert chromium.execute_script("return document.documentElement.scrollWidth") == width


def test_the_tables_of_a_wide_page_are_not_cut(chromium: webdriver.Chrome, on_a_gpu: str, side_by_side: str) -> None:
    hidden = "return [...document.querySelectorAll(arguments[0])].map((e) => e.scrollWidth - e.clientWidth)"
    for page, tables in ((on_a_gpu, (".choices", ".breakdown")), (side_by_side, (".sides",))):
        show(chromium, page, 1280)
        for table in tables:
            assert chromium.execute_script(hidden, f".scroll:has({table})") == [0], table


def test_both_fronts_have_one_axis(chromium: webdriver.Chrome, side_by_side: str) -> None:
    show(chromium, side_by_side, 1280)
    ranges = "return [...document.querySelectorAll('.plot')].map((plot) => plot.layout.yaxis.range.join())"
    found = chromium.execute_script(ranges)
    assert len(found) == 3
    assert len(set(found)) == 1


def test_every_kernel_has_a_bar(chromium: webdriver.Chrome, on_a_gpu: str, on_gpu: Result) -> None:
    show(chromium, on_a_gpu, 1280)
    layers = on_gpu.trial(on_gpu.best).evaluation.gpu.layers
    assert len(find(chromium, ".breakdown tbody .stack span")) == len(layers)
    widths = [bar.size["width"] for bar in find(chromium, ".breakdown tbody .stack span")]
    slowest = max(range(len(layers)), key=lambda number: layers[number].seconds)
    assert widths[slowest] == max(widths) > 0
