"""Either side breaks off, at each step, or says what it may not, in each combination of versions: who notices, and who does not."""

import contextlib
import os

import pytest

from harness import backs, proxy, wait
from harness.h2client import HEADERS, frame
from harness.pair import each, each_and_tls, ok, over

RANDOM = os.urandom(1_000_000)


# --- the client breaks off ---


def up_to(pair, step):
    """A script that comes to this step of an exchange; the client is to break off there."""

    def script(x):
        if step == "within the body":
            x.read(1000)
        elif step != "after the head":
            x.rest()
        if step == "within the response":
            x.respond(200)
            x.send(b"a")
        pair.signals.say("there")
        x.wait_cut()
        pair.signals.say("noticed")

    return script


def come_to(pair, step, asked):
    """The client's part of it."""
    if step == "within the body":
        asked.send(RANDOM[:1000])
    pair.signals.wait("there")
    if step == "within the response":
        assert asked.read(1) == b"a"


@each_and_tls
@pytest.mark.parametrize("step", ["after the head", "within the body", "before the response", "within the response"])
def test_the_client_breaks_off(pair, step):
    """The origin notices at once, and nobody else."""
    c = pair(up_to(pair, step))
    with pair.beside(c):
        has_body = step in ("after the head", "within the body")
        asked = c.open("POST" if has_body else "GET", "/", streamed=has_body)
        come_to(pair, step, asked)
        asked.abort()
        pair.signals.wait("noticed")
        assert not has_body or not pair.last.request_ended
    wait.until(lambda: pair.proxy.counter("requests_in_flight") == 0, "the exchange to end")


@each_and_tls
@pytest.mark.parametrize("step", ["within the body", "before the response", "within the response"])
def test_the_client_leaves(pair, step):
    """It closes its connection, with all that it has asked for on it; requests of others go on."""
    c = pair(up_to(pair, step))
    with pair.beside(pair.connect()):
        asked = c.open("POST", "/", length=len(RANDOM) if step == "within the body" else None)
        come_to(pair, step, asked)
        c.client.close()
        pair.signals.wait("noticed")


@each
def test_the_client_breaks_off_within_its_head(pair):
    """Nothing of it reaches the origin."""
    c = pair(ok)
    if pair.h2_front:
        c.client.raw(frame(HEADERS, 0, 1, b"\x82"))  # :method GET, and more to come
    else:
        c.client.send("GET /half HTTP/1.1\r\nHost: si")
    c.client.close()
    wait.until(lambda: pair.proxy.counter("connections_open") == 0, "the connection to end")
    assert pair.connect().ask("GET", "/").body == b"ok"
    assert [x.target for x in pair.exchanges] == ["/"]


# --- the origin breaks off ---


@each_and_tls
@pytest.mark.parametrize("step", ["after the head", "within the body", "before the response"])
def test_the_origin_breaks_off_before_its_response(pair, step):
    """502, and what may have had an effect has had it once."""

    def script(x):
        if step == "within the body":
            x.read(1000)
        elif step == "before the response":
            x.rest()
        x.abort()

    c = pair(script)
    with pair.beside(c):
        other = pair.other(c)
        asked = other.open("POST", "/", length=len(RANDOM) if step == "within the body" else 4)
        asked.send(RANDOM[:1000] if step == "within the body" else b"once")
        if step != "within the body":
            asked.end()
        r = asked.rest()
        assert r.status == 502 and r.whole
        if step == "within the body" and pair.h2_front:
            asked.abort()
    assert len(pair.exchanges) == 1


@each_and_tls
@pytest.mark.parametrize("form", ["length", "streamed", "early"])
def test_the_origin_breaks_off_within_its_response(pair, form):
    """The client must see that it is not whole; it is not asked for again."""

    def script(x):
        if form != "early":
            x.rest()
        x.respond(200, length=1000 if form == "length" else None)
        x.send(b"abc")
        pair.signals.wait("seen")
        x.abort()

    c = pair(script)
    with pair.beside(c):
        other = pair.other(c)
        asked = other.open("POST" if form == "early" else "GET", "/", streamed=form == "early")
        assert asked.read(3) == b"abc"
        pair.signals.say("seen")
        r = asked.rest()
        assert r.cut and not r.whole
        assert not pair.h2_front or r.reset not in (None, 0)
    assert len(pair.exchanges) == 1


@each
@pytest.mark.parametrize("form", ["length", "streamed"])
def test_the_origin_closes_within_its_response(pair, form):
    """Not a reset, but the end of its connection: only the framing tells that something is missing."""

    def script(x):
        x.rest()
        x.respond(200, length=1000 if form == "length" else None)
        x.send(b"abc")
        pair.signals.wait("seen")
        x.connection.close()

    asked = pair(script).open("GET", "/")
    assert asked.read(3) == b"abc"
    pair.signals.say("seen")
    assert asked.rest().cut and len(pair.exchanges) == 1


@each
def test_the_origin_breaks_off_within_its_head(pair):
    """It has begun to answer, so the request is not sent again; of HTTP/2, half a head is nothing yet."""

    def script(x):
        x.rest()
        x.connection.raw(frame(HEADERS, 0, x.stream, b"\x88")) if pair.h2_back else x.connection.send("HTTP/1.1 200 OK\r\nX-")
        x.connection.close()

    pair.start(pair.origin_of(script), pair.origin_of(ok))
    for method, retried in (("POST", 502), ("GET", 200 if pair.h2_back else 502)):
        answers = [pair.connect().ask(method, "/").status for _ in range(4)]
        assert sorted(answers) == [200, 200, retried, retried]


@over("h2-origin")
def test_the_origin_goes_away(pair):
    """RFC 9113, 6.8: what it has not looked at is asked again elsewhere, whatever it is; the rest is answered where it is."""

    def script(x):
        if x.target == "/first":
            pair.signals.say("first has come")
            pair.signals.wait("end first")
            x.answer(200, b"first")
        elif x.connection is pair.exchanges[0].connection:
            x.connection.go_away(pair.exchanges[0].stream)
        else:
            x.answer(200, b"second")

    c = pair(script)
    first = c.open("GET", "/first")
    pair.signals.wait("first has come")
    second = pair.other(c).open("POST", "/second")
    assert second.rest().body == b"second"
    pair.signals.say("end first")
    assert first.rest().body == b"first"
    assert [x.target for x in pair.exchanges] == ["/first", "/second", "/second"]


@over("h2-origin")
@pytest.mark.parametrize("size", [2, 4], ids=["less", "more"])
def test_a_response_of_another_length_than_it_said(pair, size):
    """RFC 9113, 8.1.1: malformed. What has begun is cut; nobody is given more than was announced."""

    def script(x):
        x.respond(200, length=3)
        with contextlib.suppress(backs.Cut):
            x.send(b"a")
            pair.signals.wait("seen")
            x.send(b"abc"[: size - 1], end=True)

    c = pair(script)
    with pair.beside(c):
        asked = pair.other(c).open("GET", "/")
        assert asked.read(1) == b"a"
        pair.signals.say("seen")
        r = asked.rest()
        assert r.cut and len(r.body) <= 3


@over("h2-origin")
def test_a_malformed_response_is_its_last_word(pair):
    """What the proxy says to that meets a broken connection."""

    def script(x):
        x.respond(200, length=3)
        x.send(b"a")
        pair.signals.wait("stopped")
        x.send(b"b", end=True)
        x.connection.reset()
        pair.signals.say("gone")

    asked = pair(script).open("GET", "/")
    assert asked.read(1) == b"a"
    with proxy.Stopped(pair.proxy.worker):
        pair.signals.say("stopped")
        pair.signals.wait("gone")
    assert asked.rest().cut
    pair.signals.say("end beside")
    assert pair.connect().ask("GET", "/beside").body == b"beside"


@over("h2-origin")
def test_a_malformed_response_beside_an_upload_is_its_last_word(pair):
    """The end of the one stream and the data of the other leave together, into a connection that is broken."""

    def script(x):
        if x.target == "/upload":
            x.read(60_000)
            pair.signals.say("upload has come")
            pair.signals.wait("end beside")
            return
        x.respond(200, length=3)
        x.send(b"a")
        pair.signals.wait("stopped")
        upload = pair.exchanges[0]
        x.connection.h2.increment_flow_control_window(200_000, upload.stream)
        x.connection.h2.increment_flow_control_window(200_000)
        x.send(b"b", end=True)
        x.connection.reset()
        pair.signals.say("gone")

    c = pair(script)
    upload = c.open("POST", "/upload", length=200_000)
    upload.send(RANDOM[:160_000])
    pair.signals.wait("upload has come")
    asked = pair.other(c).open("GET", "/")
    assert asked.read(1) == b"a"
    with proxy.Stopped(pair.proxy.worker):
        pair.signals.say("stopped")
        pair.signals.wait("gone")
    assert asked.rest().cut
    assert upload.rest().status == 502
    pair.signals.say("end beside")
    assert pair.connect().ask("GET", "/beside").body == b"beside"


MALFORMED = {
    "no status": [("x-a", "b")],
    "a short status": [(":status", "20")],
    "a status of letters": [(":status", "2oo")],
    "two of them": [(":status", "200"), (":status", "200")],
    "a status behind": [("x-a", "b"), (":status", "200")],
    "a switch": [(":status", "101")],
    "a field of requests": [(":status", "200"), (":path", "/")],
    "a line end": [(":status", "200"), ("x-a", "b\r\nset-cookie: evil=1")],
    "a line feed": [(":status", "200"), ("x-a", "b\nset-cookie: evil=1")],
    "a NUL": [(":status", "200"), ("x-a", "b\0c")],
    "a name with a space": [(":status", "200"), ("x a", "b")],
    "a name with a colon": [(":status", "200"), ("x:a", "b")],
    "an upper-case name": [(":status", "200"), ("X-A", "b")],
    "connection": [(":status", "200"), ("connection", "close")],
    "keep-alive": [(":status", "200"), ("keep-alive", "timeout=5")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "upgrade": [(":status", "200"), ("upgrade", "h2c")],
    "two lengths": [(":status", "200"), ("content-length", "2"), ("content-length", "2")],
    "a length that is none": [(":status", "200"), ("content-length", "+2")],
}


@over("h2-origin")
@pytest.mark.parametrize("head", [pytest.param(h, id=name) for name, h in MALFORMED.items()])
def test_a_malformed_response(pair, head):
    """502, nothing of it reaches the client, and the connection goes on."""

    def script(x):
        x._do(x.connection.h2.send_headers, x.stream, head)
        with contextlib.suppress(backs.Cut):
            x.send(b"ok")
            x.end()

    c = pair(script, {"strict": False})
    with pair.beside(c):
        r = pair.other(c).ask("POST", "/")
        assert r.status == 502 and b"evil" not in r.body and r.all("set-cookie") == []


@each
@pytest.mark.parametrize("how", ["abort", "close"])
def test_what_may_be_asked_again_is(pair, how):
    """A GET is, whichever server came first; a POST is not."""

    def bad(x):
        x.abort() if how == "abort" else x.connection.close()

    pair.start(pair.origin_of(bad), pair.origin_of(ok))
    c = pair.connect()
    assert [c.ask("GET", "/%d" % i).body for i in range(4)] == [b"ok"] * 4
    answers = [pair.connect().ask("POST", "/post%d" % i, body=b"once").status for i in range(4)]
    assert sorted(answers) == [200, 200, 502, 502]
    targets = [x.target for x in pair.exchanges if x.target.startswith("/post")]
    assert len(set(targets)) == len(targets) == 4


@over("h2-origin")
@pytest.mark.parametrize("body", [None, b"once"], ids=["empty", "body"])
def test_what_was_not_looked_at_may_be_asked_again(pair, body):
    """REFUSED_STREAM tells that it had no effect (RFC 9113, 8.7), so a POST may go elsewhere, when all of it is still there."""
    pair.start(pair.origin_of(lambda x: x.abort("REFUSED_STREAM")), pair.origin_of(ok))
    answers = [pair.connect().ask("POST", "/post%d" % i, body=body).status for i in range(4)]
    assert answers == [200] * 4 if body is None else set(answers) <= {200, 503}
