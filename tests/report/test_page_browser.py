"""The page of ``advtool report`` in headless Chromium: no error, no request, nothing wider than the window."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import advtool
from advtool.report.page import render
from advtool.results import notation
from advtool.studies.page import read_page
from tests.support.html import parse
from tests.support.models import mlp
from tests.support.runs import two_models_images

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (360, 768, 1280)


class Site:
    """A folder behind a server of this machine, and the requests that it got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        site = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                site.requests.append(self.path)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def browse(self, page: str, width: int = 1280) -> tuple[str, list[str]]:
        """The document after Chromium has loaded it, and what it wrote to the console."""
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
        options += ["--disable-background-networking", "--no-first-run", "--no-proxy-server", "--hide-scrollbars"]
        options += [f"--user-data-dir={self.folder / 'profile'}", f"--window-size={width},1000"]
        options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        done = subprocess.run(
            [str(CHROMIUM), *options, f"{self.address}/{page}"], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("site")
    images, labels = two_models_images(40)
    for name, model in (("mine", mlp()), ("a name that is long, " + 12 * "and longer-", mlp(seed=1))):
        advtool.evaluate(model, images, labels, eps=0.05, attacks=["fgsm", "pgd"], certify=True, run_dir=folder / name)
    advtool.sweep_eps(mlp(), images, labels, eps=[0.02, 0.05], attacks="pgd", run_dir=folder / "curve")
    runs = [path for path in folder.iterdir() if path.is_dir()]
    (folder / "report.html").write_text(render(read_page(*runs)))
    site = Site(folder)
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_no_error_no_request_and_the_figures_of_the_json(site: Site) -> None:
    site.requests.clear()
    document, console = site.browse("report.html")
    assert console == []
    assert site.requests == ["/report.html"]
    result = read_page(site.folder / "mine").runs[0].result
    page = parse(document.partition(">")[2])  # without the doctype
    row = next(row for row in page.table("The runs side by side") if row[0].endswith("mine"))
    accuracies = [each.accuracy for each in (result.clean, result.effective_robustness, result.worst_case) if each]
    assert row[3:6] == [notation.percent(accuracy) for accuracy in accuracies]


def test_errors_and_requests_would_be_seen(site: Site) -> None:
    (site.folder / "bad.html").write_text(
        "<link rel=icon href=data:,><img src=/one.png><script>console.error('wrong')</script>"
    )
    site.requests.clear()
    _, console = site.browse("bad.html")
    assert {"/bad.html", "/one.png"} <= set(site.requests)
    assert any("wrong" in line for line in console)


def test_its_policy_stops_what_would_load(site: Site) -> None:
    page = (site.folder / "report.html").read_text()
    (site.folder / "stopped.html").write_text(page.replace("<main", "<img src=/one.png><main", 1))
    site.requests.clear()
    _, console = site.browse("stopped.html")
    assert site.requests == ["/stopped.html"]
    assert any("Content Security Policy" in line for line in console)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(site: Site, width: int) -> None:
    """In a frame, since no window of Chromium is narrower than 500."""
    frame = f"frame-{width}.html"  # one name would be answered from the browser's cache
    (site.folder / frame).write_text(
        f"<html><title></title><iframe src=report.html width={width} height=900 frameborder=0></iframe>"
        "<script>onload = () => { const view = frames[0]; document.title = "
        "view.innerWidth + ' ' + view.document.documentElement.scrollWidth }</script></html>"
    )
    document, _ = site.browse(frame)
    title = re.search(r"<title>(\d+) (\d+)</title>", document)
    assert title is not None, document
    inner, needed = map(int, title.groups())
    assert (inner, needed) == (width, width)
