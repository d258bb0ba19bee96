"""A page in Chromium, over HTTP/2, with a WebSocket in the same connection. Reloads go by unnoticed."""

import json
import urllib.parse

import pytest

from harness import proxy, wait
from harness.browser import Browser

IMAGES = 20
IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'

PAGE = """<!doctype html>
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
%s
""" % "".join('<img src="/%d.svg" alt="">' % i for i in range(IMAGES))

# What it has seen it says in the query of a request, for the test to read at the origin.
SCRIPT = """
const say = (stage, more = {}) => fetch('/said?' + encodeURIComponent(JSON.stringify({ stage, ...more })));

function entries() {
  const seen = {};
  for (const e of [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')])
    if (!e.name.includes('/said')) seen[new URL(e.name).pathname] = e.nextHopProtocol + ' ' + e.responseStatus;
  return seen;
}

function chat() {
  const socket = new WebSocket('wss://' + location.host + '/chat');
  socket.onopen = () => socket.send('hello');
  socket.onclose = e => say('closed', { code: e.code });
  socket.onmessage = async e => {
    if (e.data === 'hello') say('loaded', { entries: entries(), color: getComputedStyle(document.body).color });
    if (e.data === 'go on') {
      performance.clearResourceTimings();
      await (await fetch('/more')).text();
      while (!entries()['/more']) await new Promise(again => setTimeout(again));
      socket.send('still here');
    }
    if (e.data === 'still here') say('went on', { more: entries()['/more'], connected: socket.readyState });
  };
}

addEventListener('load', chat);
"""


@pytest.fixture
def page(node, rotating, directory, ca):
    """The proxy, the page's origin and that of its WebSocket, and the browser."""
    web, sockets = node("web_server", "h1"), node("ws_server")
    addresses = ["127.0.0.1:%d" % s.call("listen") for s in (web, sockets)]
    p = rotating(
        addresses[0],
        sites=[proxy.site("site.test", routes=[{"path": "^/chat$", "upstream": "chat"}])],
        upstreams={"chat": proxy.upstream(addresses[1])},
    )
    web.call("put", path="/", type="text/html", body=PAGE)
    web.call("put", path="/page.css", type="text/css", body="body { color: rgb(1, 2, 3) }")
    web.call("put", path="/page.js", type="text/javascript", body=SCRIPT)
    for i in range(IMAGES):
        web.call("put", path="/%d.svg" % i, type="image/svg+xml", body=IMAGE)
    browser = Browser(directory, ca, p.port, "/")
    yield p, web, sockets, browser
    browser.stop()


def said(web, stage, count=1):
    """What the page has said of this stage."""

    def heard():
        paths = [e["path"] for e in web.told("request") if e["path"].startswith("/said?")]
        found = [json.loads(urllib.parse.unquote(path.partition("?")[2])) for path in paths]
        return [f for f in found if f["stage"] == stage]

    what = lambda: "%d times %r; heard: %r" % (count, stage, web.events)  # noqa: E731
    return wait.until(lambda: len(heard()) >= count and heard(), what, deadline=6 * wait.DEADLINE)[-1]


def test_a_page_and_its_websocket(page):
    p, web, sockets, browser = page
    loaded = said(web, "loaded")
    expected = ["/", "/page.css", "/page.js"] + ["/%d.svg" % i for i in range(IMAGES)]
    assert {path: loaded["entries"].get(path) for path in expected} == {path: "h2 200" for path in expected}
    assert loaded["color"] == "rgb(1, 2, 3)"
    for i in range(1, 4):
        p.rotate()
        sockets.call("send", data="go on")
        went_on = said(web, "went on", i)
        assert went_on["more"] == "h2 200" and went_on["connected"] == 1
    assert len(sockets.told("connection")) == 1 and not sockets.told("closed")
    browser.stop()
    sockets.wait("closed")
    wait.until(lambda: [line for line in p.access() if line["target"] == "/chat"], "the tunnel in the access log")
    (tunnel,) = [line for line in p.access() if line["target"] == "/chat"]
    assert tunnel["protocol"] == "HTTP/2.0", "it took extended CONNECT"
    assert {line["protocol"] for line in p.access() if line["server_name"] == "site.test"} == {"HTTP/2.0"}
