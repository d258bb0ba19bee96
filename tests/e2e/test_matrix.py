"""What HTTP promises, in each combination of the versions that the client and the origin speak."""

import contextlib
import os
import pathlib
import socket
import subprocess

import pytest

from harness import backs, fronts, h2origin, origins, proxy, wait
from harness.client import curl
from harness.h2client import HEADERS, frame
from harness.ports import free_port

FRONTS = {"h1-front": fronts.H1Front, "h2-front": fronts.H2Front}
BACKS = {"h1-origin": backs.H1Origin, "h2-origin": h2origin.H2Origin}
RANDOM = os.urandom(1_000_000)


class Pair:
    """The proxy between clients of one version and an origin of one version; `origin` and `proxy` are there once begun."""

    def __init__(self, ids, stack, start, directory, identity, ca, port):
        front, back = ids.split("/")
        self.front, self.secured = FRONTS[front], back.endswith("-tls-origin")
        self.back = BACKS[back.replace("-tls", "")]
        self.h2_front, self.h2_back = front.startswith("h2"), back.startswith("h2")
        self._stack, self._start, self._directory, self._identity, self._ca, self.port = stack, start, directory, identity, ca, port
        self.signals, self.origins = backs.Signals(), []

    def origin_of(self, script, **options):
        """An origin that plays the script; a request for /beside it holds until the signal "end beside"."""

        def play(x):
            if x.target == "/beside":
                self.signals.say("beside has come")
                self.signals.wait("end beside")
                x.answer(200, b"beside")
            else:
                script(x)

        if self.secured:
            options["identity"] = self._ca.leaf("127.0.0.1")
        origin = self.back(play, **options)
        self._stack.callback(origin.stop)
        self.origins.append(origin)
        return origin

    def config(self, *addresses, **over):
        upstream = {"http2": True} if self.h2_back else {}
        if self.secured:
            upstream["tls"] = {"ca": self._ca.file}
        over = proxy.merge({"threads": 1, "upstreams": {"origin": upstream}}, over)
        return proxy.config(self.port, self._identity.files(self._directory), *addresses, **over)

    def __call__(self, script, options=None, **over):
        """Begin, with this script for the origin; a client's connection."""
        self.origin = self.origin_of(script, **(options or {}))
        self.proxy = self._start(self.config(self.origin.address, **over))
        return self.connect()

    def start(self, *servers):
        """Begin with these origins, which are used whatever they do."""
        addresses = [o.address for o in servers]
        self.proxy = self._start(self.config(*addresses, upstreams={"origin": {"eject": {"failures": 0}}}))

    def connect(self, **options):
        return self._stack.enter_context(self.front(options.pop("port", self.proxy.port), **options))

    @property
    def exchanges(self):
        return [x for o in self.origins for x in list(o.exchanges) if x.target != "/beside"]

    @property
    def last(self):
        return self.exchanges[-1]

    @contextlib.contextmanager
    def beside(self, client):
        """
        Another request is on its way meanwhile: with HTTP/2 on the same connections. It must go well, and the client's
        connection must be good for one more.
        """
        other = client if self.h2_front else self.connect()
        asked = other.open("GET", "/beside")
        self.signals.wait("beside has come")
        yield
        self.signals.say("end beside")
        assert asked.rest().body == b"beside" and asked.whole
        if self.h2_back:
            assert len({x.connection for x in self.origin.exchanges}) == 1, "it has a connection of its own"
            assert not self.origin.connections[0].closed
        assert other.ask("GET", "/beside").body == b"beside"


@pytest.fixture
def pair(request, bascule, directory, identity, ca, port):
    with contextlib.ExitStack() as stack:
        pair = Pair(request.param, stack, bascule, directory, identity, ca, port)
        yield pair
        failures = [f for o in pair.origins for f in o.failures]
        assert not failures, "an origin was sent what it should not have been: %r" % failures


def over(*backs):
    return pytest.mark.parametrize("pair", [f + "/" + b for f in FRONTS for b in backs], indirect=True)


each = over(*BACKS)
each_and_tls = over(*BACKS, "h1-tls-origin", "h2-tls-origin")


def ok(x):
    x.rest()
    x.answer(200, b"ok")


# --- requests ---


@each_and_tls
@pytest.mark.parametrize("size", [1, 20_000, 300_000])
@pytest.mark.parametrize("form", ["length", "streamed"])
def test_a_body(pair, form, size):
    c = pair(lambda x: x.answer(200, x.rest()))
    for _ in range(2):
        asked = c.open("POST", "/a?b=c", length=size if form == "length" else None, streamed=form == "streamed")
        asked.send(RANDOM[: size // 2])
        asked.send(RANDOM[size // 2 : size])
        asked.end()
        assert asked.rest().body == RANDOM[:size] and asked.status == 200
        seen = pair.last
        assert (seen.method, seen.target, seen.body) == ("POST", "/a?b=c", RANDOM[:size])
        assert seen.all("content-length") == ([str(size)] if form == "length" else [])
        assert seen.all("transfer-encoding") == (["chunked"] if form == "streamed" and not pair.h2_back else [])


@each_and_tls
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "M-SEARCH"])
def test_without_a_body(pair, method):
    c = pair(ok)
    for _ in range(2):
        r = c.ask(method, "/x")
        assert (r.status, r.whole, r.body) == (200, True, b"" if method == "HEAD" else b"ok")
    seen = pair.last
    assert (seen.method, seen.body, seen.request_ended) == (method, b"", True)
    assert seen.all("transfer-encoding") == [] and seen.all("content-length") in ([], ["0"])


@each
@pytest.mark.parametrize("form", ["length", "streamed"])
def test_an_empty_body(pair, form):
    c = pair(ok)
    for _ in range(2):
        asked = c.open("POST", "/", length=0 if form == "length" else None, streamed=form == "streamed")
        asked.end()
        assert asked.rest().body == b"ok"
        assert pair.last.body == b"" and pair.last.all("content-length") == (["0"] if form == "length" else [])


@each_and_tls
@pytest.mark.parametrize("body", [b"", b"abc"], ids=["empty", "full"])
@pytest.mark.parametrize("where", ["request", "response", "both"])
def test_trailers(pair, where, body):
    def script(x):
        x.rest()
        x.respond(200, [("trailer", "x-sum")])
        if body:
            x.send(body)
        x.end([("x-sum", "17"), ("x-more", "a, b")] if where != "request" else [])

    c = pair(script)
    for _ in range(2):
        asked = c.open("POST", "/", streamed=True)
        if body:
            asked.send(body)
        asked.end([("x-sum", "4"), ("x-client-cert-verify", "SUCCESS")] if where != "response" else [])
        r = asked.rest()
        assert r.whole and (r.status, r.body) == (200, body)
        assert r.trailers == ([("x-sum", "17"), ("x-more", "a, b")] if where != "request" else [])
        assert (pair.last.body, pair.last.trailers) == (body, [("x-sum", "4")] if where != "response" else [])


@pytest.mark.parametrize("alpn", [[], ["http/1.1"]], ids=["silent", "said"])
@over("h1-tls-origin")
def test_the_server_chooses(pair, alpn):
    """Offered both, it takes HTTP/1.1."""
    c = pair(ok, {"alpn": alpn}, upstreams={"origin": {"http2": True}})
    for _ in range(2):
        asked = c.open("POST", "/", streamed=True)
        asked.send(b"abc")
        asked.end([("x-sum", "4")])
        assert asked.rest().body == b"ok"
        assert (pair.last.body, pair.last.trailers) == (b"abc", [("x-sum", "4")])


# --- responses ---


@each_and_tls
@pytest.mark.parametrize("size", [0, 1, 20_000, 300_000])
@pytest.mark.parametrize("form", ["length", "streamed"])
def test_a_response(pair, form, size):
    def script(x):
        x.rest()
        x.respond(200, [("x-mine", "yes")], length=size if form == "length" else None)
        for at in range(0, size, 70_000):
            x.send(RANDOM[at : min(at + 70_000, size)])
        x.end()

    c = pair(script)
    for _ in range(2):
        r = c.ask("GET", "/")
        assert r.whole and r.status == 200 and r.body == RANDOM[:size] and r.field("x-mine") == "yes"
        lengths = r.all("content-length")
        assert lengths == [str(size)] if form == "length" else lengths in ([], ["0"] if size == 0 else [])
        assert not r.all("transfer-encoding") or not pair.h2_front


@each_and_tls
@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(pair, status):
    def script(x):
        x.respond(status, [("etag", '"a"')], end=True)

    c = pair(script)
    for _ in range(2):
        r = c.ask("GET", "/")
        assert r.whole and (r.status, r.body, r.field("etag")) == (status, b"", '"a"')
        assert r.all("transfer-encoding") == [] and r.all("content-length") == []


@each
@pytest.mark.parametrize("length", [None, 0, 1234])
def test_head(pair, length):
    c = pair(lambda x: x.respond(200, length=length, end=True))
    for _ in range(2):
        r = c.ask("HEAD", "/")
        assert r.whole and (r.status, r.body) == (200, b"")
        assert r.all("content-length") == ([] if length is None else [str(length)])


# --- interim responses ---


@each_and_tls
def test_early_hints(pair):
    def script(x):
        x.rest()
        for i in range(3):
            x.interim(103, [("link", "</%d>" % i)])
            pair.signals.wait("seen %d" % i)
        x.answer(200, b"ok")

    c = pair(script)
    asked = c.open("GET", "/")
    for i in range(3):
        assert asked.wait_interim() == 103
        pair.signals.say("seen %d" % i)
    assert asked.rest().body == b"ok" and asked.status == 200
    assert [(s, dict(f)["link"]) for s, f in asked.interim] == [(103, "</%d>" % i) for i in range(3)]


@each_and_tls
@pytest.mark.parametrize("streamed", [False, True], ids=["length", "streamed"])
def test_100_continue(pair, streamed):
    def script(x):
        assert x.field("expect") == "100-continue" and x.body == b""
        x.interim(100)
        x.answer(200, x.rest())

    c = pair(script)
    for _ in range(2):
        asked = c.open("POST", "/", [("expect", "100-continue")], length=None if streamed else 5, streamed=streamed)
        assert asked.wait_interim() == 100
        asked.send(b"hello")
        asked.end()
        assert asked.rest().body == b"hello" and asked.status == 200


@each
def test_a_final_answer_in_place_of_100(pair):
    """Nobody sends the body then; the origin is told that it will not come."""

    def script(x):
        if x.target == "/next":
            return ok(x)
        x.answer(417, b"no")
        pair.signals.say("answered")
        x.wait_cut()
        pair.signals.say("told")

    c = pair(script)
    asked = c.open("POST", "/", [("expect", "100-continue")], length=400_000)
    r = asked.rest()
    assert r.whole and (r.status, r.body, r.interim) == (417, b"no", [])
    if pair.h2_front:
        asked.abort()
    pair.signals.wait("told")
    assert pair.last.body == b""
    assert (c if pair.h2_front else pair.connect()).ask("GET", "/next").body == b"ok"


# --- the response does not wait for the request ---


@each_and_tls
def test_an_early_response(pair):
    """It reaches the client whole, which goes on sending; HTTP/2 has the connection unharmed."""

    def script(x):
        if x.target == "/next":
            return ok(x)
        x.read(10)
        x.answer(403, RANDOM[:50_000])
        with contextlib.suppress(backs.Cut):
            x.wait_cut()

    c = pair(script)
    asked = c.open("POST", "/", length=len(RANDOM))
    asked.send(RANDOM[:1000])
    r = asked.rest()
    assert r.whole and (r.status, r.body) == (403, RANDOM[:50_000])
    with contextlib.suppress(OSError):
        asked.send(RANDOM[1000:])
        asked.end()
    assert (c if pair.h2_front else pair.connect()).ask("GET", "/next").body == b"ok"


@each_and_tls
def test_an_early_response_to_a_client_that_sends_all_first(pair):
    def script(x):
        x.read(10)
        x.answer(403, b"no")
        with contextlib.suppress(backs.Cut):
            x.wait_cut()

    c = pair(script)
    r = c.ask("POST", "/", body=RANDOM[:500_000])
    assert r.whole and (r.status, r.body) == (403, b"no")


@over("h2-origin", "h2-tls-origin")
@pytest.mark.parametrize("error", ["NO_ERROR", "CANCEL"])
def test_an_early_response_of_an_origin_that_wants_no_more(pair, error):
    """RFC 9113, 8.1: a whole response, then RST_STREAM. The response counts, whatever its code."""

    def script(x):
        x.read(10)
        x.answer(403, b"no")
        x.abort(error)

    c = pair(script)
    with pair.beside(c):
        asked = c.open("POST", "/", length=len(RANDOM))
        asked.send(RANDOM[:1000])
        r = asked.rest()
        assert r.whole and (r.status, r.body) == (403, b"no")


@each_and_tls
def test_both_ways_in_turns(pair):
    """Each side waits for the other's word, as the calls of gRPC do that stream both ways."""

    def script(x):
        x.respond(200, [("content-type", "application/grpc")])
        for _ in range(20):
            x.send(x.read(5).upper())
        x.rest()
        x.send(b"end")
        x.end([("grpc-status", "0")])

    c = pair(script)
    for _ in range(2):
        c = c if pair.h2_front else pair.connect()  # it was told "close" when the request had not ended
        asked = c.open("POST", "/", streamed=True)
        assert asked.head() == 200
        for i in range(20):
            asked.send(b"ab%03d" % i)
            assert asked.read(5) == b"AB%03d" % i
        asked.end([("x-sum", "4")])
        r = asked.rest()
        assert r.whole and r.body.endswith(b"end") and r.trailers == [("grpc-status", "0")]
        assert pair.last.trailers == [("x-sum", "4")]


@each
def test_the_request_has_ended_long_before(pair):
    """Half a stream is closed, and half an HTTP/1.1 connection may be; the answer comes when it comes."""

    def script(x):
        x.rest()
        pair.signals.say("asked")
        pair.signals.wait("answer")
        x.respond(200)
        x.send(b"a")
        pair.signals.wait("end")
        x.end()

    plain = free_port()
    pair(script, listeners=[proxy.listener(pair.port), proxy.listener(plain, tls=False)])
    c = pair.connect(port=plain, tls=False)
    asked = c.open("GET", "/")
    pair.signals.wait("asked")
    if not pair.h2_front:
        c.client.socket.shutdown(socket.SHUT_WR)
    pair.signals.say("answer")
    assert asked.read(1) == b"a"
    pair.signals.say("end")
    assert asked.rest().whole


# --- the client breaks off ---


@each_and_tls
@pytest.mark.parametrize("step", ["after the head", "within the body", "before the response", "within the response"])
def test_the_client_breaks_off(pair, step):
    """The origin notices at once, and nobody else."""

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

    c = pair(script)
    with pair.beside(c):
        has_body = step in ("after the head", "within the body")
        asked = c.open("POST" if has_body else "GET", "/", streamed=has_body)
        if step == "within the body":
            asked.send(RANDOM[:1000])
        pair.signals.wait("there")
        if step == "within the response":
            assert asked.read(1) == b"a"
        asked.abort()
        pair.signals.wait("noticed")
        assert not has_body or not pair.last.request_ended
    wait.until(lambda: pair.proxy.counter("requests_in_flight") == 0, "the exchange to end")


@each_and_tls
@pytest.mark.parametrize("step", ["within the body", "before the response", "within the response"])
def test_the_client_leaves(pair, step):
    """It closes its connection, with all that it has asked for on it; requests of others go on."""

    def script(x):
        if step == "within the body":
            x.read(1000)
        else:
            x.rest()
        if step == "within the response":
            x.respond(200)
            x.send(b"a")
        pair.signals.say("there")
        x.wait_cut()
        pair.signals.say("noticed")

    c = pair(script)
    with pair.beside(pair.connect()):
        asked = c.open("POST", "/", length=len(RANDOM) if step == "within the body" else None)
        if step == "within the body":
            asked.send(RANDOM[:1000])
        pair.signals.wait("there")
        if step == "within the response":
            assert asked.read(1) == b"a"
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
        other = c if pair.h2_front else pair.connect()
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
        other = c if pair.h2_front else pair.connect()
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
    second = (c if pair.h2_front else pair.connect()).open("POST", "/second")
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
        asked = (c if pair.h2_front else pair.connect()).open("GET", "/")
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
    upload = c.open("POST", "/upload", length=250_000)
    upload.send(RANDOM[:200_000])
    pair.signals.wait("upload has come")
    asked = (c if pair.h2_front else pair.connect()).open("GET", "/")
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
        r = (c if pair.h2_front else pair.connect()).ask("POST", "/")
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


# --- methods and fields that mean something to a proxy ---


@each
def test_connect_is_refused(pair):
    c = pair(ok)
    if pair.h2_front:
        c = pair.connect(strict=False)  # python3-h2 does not know it
        stream = c.client.request(head=[(":method", "CONNECT"), (":authority", "site.test:443")])
        assert c.client.wait(stream).status == 405
    else:
        c.client.send("CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n")
        assert c.client.response("GET").status == 405
    assert pair.exchanges == []


@each
def test_options_about_the_server(pair):
    assert pair(ok).ask("OPTIONS", "*").body == b"ok"
    assert (pair.last.method, pair.last.target) == ("OPTIONS", "*")
    assert pair.last.authority == "site.test"


@pytest.mark.parametrize("pair", ["h1-front/" + b for b in BACKS], indirect=True)
def test_upgrade_to_h2c_is_ignored(pair):
    """In HTTP/2 a request with that is malformed; test_malformed_requests has it."""
    c = pair(ok)
    fields = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA")]
    r = c.ask("GET", "/", fields)
    assert (r.status, r.body) == (200, b"ok")
    assert not {"upgrade", "http2-settings", "connection"} & {n for n, _ in pair.last.fields}


HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}


@each_and_tls
def test_fields(pair):
    def script(x):
        x.rest()
        hop = [] if pair.h2_back else [("connection", "x-hop"), ("keep-alive", "timeout=5"), ("x-hop", "1")]
        x.respond(200, hop + [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-one", "1")], length=2)
        x.send(b"ok")
        x.end()

    c = pair(script)
    hop = [] if pair.h2_front else [("connection", "keep-alive, x-hop"), ("keep-alive", "timeout=5"), ("x-hop", "1")]
    cookies = [("cookie", "a=1"), ("cookie", "b=2")] if pair.h2_front else [("cookie", "a=1; b=2")]
    r = c.ask("GET", "/?q", hop + cookies + [("x-one", "1"), ("x-two", "a"), ("x-two", "b")])
    seen = pair.last
    assert seen.authority == "site.test" and seen.all("host") in ([], ["site.test"])
    assert "; ".join(seen.all("cookie")) == "a=1; b=2" and (pair.h2_back or len(seen.all("cookie")) == 1)
    assert seen.all("x-one") == ["1"] and seen.all("x-two") == ["a", "b"] and seen.all("x-hop") == []
    assert seen.field("x-forwarded-proto") == "https" and seen.field("x-forwarded-host") == "site.test"
    assert not {n for n, _ in seen.fields} & (HOP | {"te"})
    if pair.h2_back:
        assert seen.scheme == ("https" if pair.secured else "http")
    assert r.all("set-cookie") == ["a=1", "b=2"] and r.field("x-one") == "1" and r.all("x-hop") == []
    assert not {n for n, _ in r.fields} & HOP


@each
@pytest.mark.parametrize("te", [None, "trailers"])
def test_te(pair, te):
    """What gRPC servers insist on. In HTTP/1.1 it goes no further than the next, who is told so (RFC 9110, 10.1.4)."""
    c = pair(ok)
    fields = [] if te is None else [("te", te)] + ([] if pair.h2_front else [("connection", "TE")])
    assert c.ask("POST", "/", fields, body=b"x").status == 200
    assert pair.last.all("te") == ([te] if te else [])
    assert [v.lower() for v in pair.last.all("connection")] == (["te"] if te and not pair.h2_back else [])


@each
def test_the_servers_address_for_host(pair):
    c = pair(ok, upstreams={"origin": {"host": "server"}})
    assert c.ask("GET", "/").status == 200
    assert pair.last.authority == pair.origin.address and pair.last.all("host") in ([], [pair.origin.address])


# --- TRACE, and requests that may go only so far ---


@each
def test_trace_is_refused(pair):
    r = pair(ok).ask("TRACE", "/")
    assert r.status == 405 and "TRACE" not in r.field("allow") and "GET" in r.field("allow")
    assert pair.exchanges == []


@pytest.fixture
def tracing(pair):
    """The same with `trace` in the site."""
    return lambda script: pair(script, sites=[proxy.site("site.test", trace=True)])


@each
def test_trace(pair, tracing):
    def script(x):
        x.rest()
        x.answer(200, ("%s %s" % (x.method, x.target)).encode(), [("content-type", "message/http")])

    c = tracing(script)
    r = c.ask("TRACE", "/a", [("x-one", "1")])
    assert (r.status, r.body, r.field("content-type")) == (200, b"TRACE /a", "message/http")
    assert pair.last.field("x-one") == "1" and pair.last.body == b""


@each
@pytest.mark.parametrize("streamed", [False, True], ids=["length", "streamed"])
def test_trace_has_no_body(pair, tracing, streamed):
    asked = tracing(ok).open("TRACE", "/", length=None if streamed else 3, streamed=streamed)
    asked.send(b"abc")
    asked.end()
    assert asked.rest().status == 400
    assert pair.exchanges == []


@each
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
@pytest.mark.parametrize("has,passes", [("1", "0"), ("0010", "9"), ("18446744073709551615", "18446744073709551614"),
                                        ("99999999999999999999999", "18446744073709551614")])  # fmt: skip
def test_max_forwards_goes_down(pair, tracing, method, has, passes):
    assert tracing(ok).ask(method, "/", [("max-forwards", has)]).body == b"ok"
    assert pair.last.all("max-forwards") == [passes]


@each
def test_max_forwards_of_other_methods_means_nothing(pair):
    assert pair(ok).ask("GET", "/", [("max-forwards", "0")]).body == b"ok"
    assert pair.last.all("max-forwards") == ["0"]


@each
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
@pytest.mark.parametrize("values", [["-1"], ["x"], ["1 2"], [""], ["1", "1"]])
def test_max_forwards_that_is_none(pair, tracing, method, values):
    assert tracing(ok).ask(method, "/", [("max-forwards", v) for v in values]).status == 400
    assert pair.exchanges == []


@each
@pytest.mark.parametrize("path", ["/a?b", "*"])
def test_options_that_go_no_further(pair, tracing, path):
    c = tracing(ok)
    for _ in range(2):
        r = c.ask("OPTIONS", path, [("max-forwards", "0")])
        assert (r.status, r.body, r.field("content-length")) == (200, b"", "0")
        assert r.field("allow").endswith("OPTIONS, TRACE")
    assert pair.exchanges == []


@each
def test_trace_that_goes_no_further(pair, tracing):
    """What came is sent back, but for credentials (RFC 9110, 9.3.8)."""
    c = tracing(ok)
    secret = [("cookie", "secret=1"), ("authorization", "Basic secret"), ("proxy-authorization", "secret")]
    for _ in range(2):
        r = c.ask("TRACE", "/a?b", [("max-forwards", "0"), ("x-one", "1")] + secret)
        assert r.status == 200 and r.field("content-type") == "message/http"
        lines = r.body.decode().lower().split("\r\n")
        assert lines[0] == "trace /a?b http/1.1" and lines[-2:] == ["", ""]
        assert {"host: site.test", "x-one: 1", "max-forwards: 0"} <= set(lines)
        assert b"secret" not in r.body
    assert pair.exchanges == []


@each
def test_trace_that_goes_no_further_where_there_is_none(pair):
    assert pair(ok).ask("TRACE", "/", [("max-forwards", "0")]).status == 405


# --- a gigabyte, in bounded memory ---

BULK = 1 << 30


def peak(pid):
    """The most resident memory so far, in MiB."""
    status = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.fixture
def sparse(directory):
    """A gigabyte that takes no room."""
    path = directory / "bulk"
    with open(path, "wb") as f:
        f.truncate(BULK)
    os.chmod(directory, 0o755)
    os.chmod(path, 0o644)
    return path


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def nghttpd():
    """A function that starts nghttpd, which serves files and takes uploads; its address."""
    with contextlib.ExitStack() as stack:

        def start(root):
            port = free_port()
            command = ["nghttpd", "-a", "127.0.0.1", "-d", str(root), "-w", "20", "-W", "24", "--no-tls", str(port)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
            wait.until(lambda: listens(port), "nghttpd to listen")
            return "127.0.0.1:%d" % port

        yield start


def swallow(c):
    """A script that counts what it is sent."""
    request = c.request_head()
    left, room = int(request.get("content-length")) - len(c.reader.buffer), bytearray(1 << 20)
    while left > 0:
        n = c.socket.recv_into(room)
        assert n > 0
        left -= n
    c.answer(body="%d left" % left)


def bulk(pair, address, ca, *options):
    """One transfer by curl; what it says of it."""
    pair.proxy = pair._start(pair.config(address))
    before = peak(pair.proxy.worker)
    options += ("--http2" if pair.h2_front else "--http1.1", "--max-time", str(int(120 * wait.SLOW)))
    done = curl(pair.proxy.port, "/bulk", "-w", "%{http_version} %{http_code} %{size_download} %{size_upload}", "-H", "Expect:",
                *options, ca=ca, deadline=120 * wait.SLOW)  # fmt: skip
    assert done.returncode == 0, done
    grown = peak(pair.proxy.worker) - before
    assert grown < 8 * max(1, wait.SLOW), "%d MiB for a body that streams" % grown
    return done.stdout.split("\n")[-1].split()


@each
@pytest.mark.slow
def test_a_gigabyte_down(pair, ca, sparse, nginx, nghttpd):
    if pair.h2_back:
        address = nghttpd(sparse.parent)
    else:
        origin = nginx()
        os.link(sparse, origin.files / "bulk")
        address = origin.address
    assert bulk(pair, address, ca, "-o", "/dev/null") == ["2" if pair.h2_front else "1.1", "200", str(BULK), "0"]


@each
@pytest.mark.slow
def test_a_gigabyte_up(pair, ca, sparse, recorder, nghttpd):
    if pair.h2_back:
        address = nghttpd(sparse.parent)
    else:
        address = recorder(swallow).address
    version, status, _, sent = bulk(pair, address, ca, "-o", "/dev/null", "-T", sparse)
    assert (version, status, sent) == ("2" if pair.h2_front else "1.1", "200", str(BULK))
