"""Reports as a browser shows them: they ask for nothing, complain of nothing, and fit a telephone and a screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.commands import logs
from coordctl.report import html
from tests.processes import browser
from tests.processes.browser import WIDTHS, Browser
from tests.unit.coordctl.log_scene import Scene

NASTY = "<script>alert(1)</script>&\"'" + "a" * 400


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if browser.why_not():
        pytest.skip(browser.why_not())
    with Browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def write_reports(folder: Path) -> list[Path]:
    scene = Scene(5, n2=-90_000)
    scene.kill("n1", 100)
    scene.tell(80, "n3", "bug", "error", error=NASTY, trace=NASTY)
    scene.slow_disk("n4", 90, 110, 88.0)
    logs_folder = str(scene.write(folder / NASTY[:100].replace("/", "_")))
    pages = [folder / "explain.html", folder / "diff.html"]
    for verb, page in zip(("explain", "diff"), pages, strict=True):
        logs.main([verb, logs_folder, "--from", "14:21:10", "--html", str(page)])
    return pages


def test_a_report_asks_for_nothing_and_fits(chromium: Browser, tmp_path: Path) -> None:
    for page in write_reports(tmp_path):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "alert(1)" in text
        seen = chromium.look(page)
        assert (seen.asked, seen.said) == ([], [])
        assert all(seen.widths[width] <= width for width in WIDTHS), seen.widths
        assert seen.title in ("What most likely happened: explained", "What was different: different")


def test_one_that_did_would_be_found_out(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = html.render(html.Page("title", html.Badge("bad"), "summary", [html.Text("body")], "made"))
    wide = text.replace("<main>", '<main><div style="width:2000px">wide</div><img src="http://127.0.0.1:9/x.png">')
    page.write_text(wide, encoding="utf-8")
    seen = chromium.look(page)
    assert (seen.widths[1280] > 1280, bool(seen.said)) == (True, True)  # its policy forbids the picture, and the console says so
    page.write_text(wide.replace("Content-Security-Policy", "x"), encoding="utf-8")
    assert "http://127.0.0.1:9/x.png" in chromium.look(page).asked


@pytest.mark.parametrize("tone", [html.GOOD, html.BAD])
def test_what_stands_in_a_report_is_escaped(tone: str) -> None:
    blocks = [
        html.Text(NASTY, tone),
        html.Facts([(NASTY, NASTY)]),
        html.Lines([(NASTY, NASTY, NASTY)]),
        html.Table((NASTY,), [(NASTY,)]),
        html.Lanes(0, 10, (NASTY, NASTY), [html.Lane(NASTY, [html.Mark(1, NASTY, tone, 5)])]),
        html.Section(NASTY, [], html.Badge(NASTY, tone), is_folded=True),
    ]
    text = html.render(html.Page(NASTY, html.Badge(NASTY), NASTY, blocks, NASTY))
    assert "<script" not in text
    assert "\"'a" not in text
