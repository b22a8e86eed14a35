"""The site: every page is in its navigation, the API page has every public name, and it builds without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from advtool import public

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_navigation_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2].partition("exclude_docs:")[0]
    pages = re.findall(r"^ *- [^#\n]*?([\w/-]+\.md)$", navigation, re.MULTILINE)
    assert sorted(pages) == sorted([page.name for page in DOCS.glob("*.md")] + ["results/README.md"])


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)", (DOCS / "index.md").read_text()))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"index.md"}


def test_the_api_page_has_every_public_name_once() -> None:
    shown = re.findall(r"^::: advtool\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(name for name in vars(public) if not name.startswith("_"))


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_shows_the_settings_of_evaluate(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the group 'docs' is not installed: make docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "api" / "index.html").read_text()
    section = re.sub("<[^>]+>", "", page.partition('id="advtool.evaluate"')[2].partition('id="advtool.check"')[0])
    assert "Gradient steps of PGD." in section
    assert ":func:" not in page
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', page), "something comes from elsewhere"
