"""The system's Chromium, without a network, for tests and for the pictures in the documentation."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PHONE = (375, 812)
DESKTOP = (1440, 900)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str | None:
    """Path of the browser, None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def offline_page(file: Path, size: tuple[int, int]) -> Iterator[tuple[Any, list[str]]]:
    """A page of the disk in a window of so many pixels, and what the browser complained about."""
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--hide-scrollbars"]
        )
        viewport = {"width": size[0], "height": size[1]}
        page = browser.new_context(viewport=viewport, offline=True).new_page()
        page.on("console", lambda told: complaints.append(f"{told.type}: {told.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("requestfailed", lambda request: complaints.append(f"asked for {request.url}"))
        page.goto(file.resolve().as_uri())
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready")
        yield page, complaints
        browser.close()
