"""Loads pages in a headless Chromium: what they ask for, what the console says, their width."""

import contextlib
import http.server
import json
import re
import shutil
import subprocess
import threading
from html import unescape

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
    "--dump-dom",
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Served with the page: whatever it asked for would be refused, with a line in the console."""

WRAPPER = """<!doctype html><title>sizes</title><body><script>
const widths = WIDTHS, found = [];
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0`;
  frame.src = "/page.html";
  frame.onload = () => {
    const root = frame.contentDocument.documentElement;
    const over = [...frame.contentDocument.querySelectorAll("main *")]
      .filter(e => e.getBoundingClientRect().right > width + 0.5 && !e.closest("nav, .scroll"))
      .map(e => `${e.tagName} ${e.textContent.slice(0, 40)}`);
    const asked = frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name);
    const colour = getComputedStyle(frame.contentDocument.body).backgroundColor;
    const images = [...frame.contentDocument.querySelectorAll("img")]
      .map(e => [e.naturalWidth, e.naturalHeight, e.width, e.height]);
    found.push({width, colour, scroll: root.scrollWidth, height: root.scrollHeight, over, asked,
      images});
    if (found.length === widths.length) {
      const out = document.createElement("pre");
      out.id = "found";
      out.textContent = JSON.stringify(found);
      document.body.append(out);
    }
  };
  document.body.append(frame);
}
</script></body>"""


def executable():
    """Returns the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def served(markup, widths):
    """Serves the page and its wrapper on this machine, and gives the address and what was asked."""
    asked = []
    pages = {"/page.html": markup, "/": WRAPPER.replace("WIDTHS", json.dumps(widths))}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if self.path == "/page.html":
                self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def load(markup, folder, widths=(390, 1280), *flags):
    """Returns sizes by width, the console's lines, and the paths asked for."""
    with served(markup, widths) as (address, asked):
        done = subprocess.run(
            [executable(), *FLAGS, f"--user-data-dir={folder}", *flags, address],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    sizes = {own["width"]: own for own in json.loads(unescape(found[1]))}
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return sizes, console, asked
