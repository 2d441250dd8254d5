"""Opens reports in a browser and finds what is on them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page


@contextmanager
def opened(chrome: Browser, file: Path, width: int = 1400, scheme: str = "light", **options: Any) -> Iterator[Page]:  # noqa: ANN401  of a context
    """Open ``file``, and see that nothing is complained of and nothing asked for but the file itself."""
    context = chrome.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)  # type: ignore[arg-type]
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: heard.append(request.url) if request.url != file.as_uri() else None)
    try:
        page.goto(file.as_uri())
        yield page
        assert heard == []
    finally:
        context.close()


def open_scenarios(page: Page, count: int = 99) -> None:
    page.evaluate(
        "count => [...document.querySelectorAll('details.scenario')].slice(0, count).map(d => d.open = true)", count
    )


def chart(page: Page, kind: str, scenario: str = "s1") -> Locator:
    """Return a chart that has begun."""
    figure = page.locator(f"#{scenario}-charts-{kind}")
    figure.scroll_into_view_if_needed()
    figure.locator(".chart-tools").wait_for()
    return figure


def block_map(page: Page, scenario: str = "s1") -> Locator:
    found = page.locator(f"#{scenario} .memory-map").first
    found.scroll_into_view_if_needed()
    found.locator("canvas").first.wait_for()
    return found


def view_of(figure: Locator) -> list[float]:
    return [float(each) for each in str(figure.locator(".inner").first.get_attribute("viewBox")).split()]
