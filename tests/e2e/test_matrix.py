"""What HTTP promises, in each combination of the versions that the client and the origin speak."""

import contextlib
import os
import socket

import pytest

from harness import backs, proxy
from harness.pair import BACKS, each, each_and_tls, ok, over
from harness.ports import free_port

RANDOM = os.urandom(1_000_000)


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
    assert pair.other(c).ask("GET", "/next").body == b"ok"


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
    assert pair.other(c).ask("GET", "/next").body == b"ok"


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
        c = pair.other(c)  # it was told "close" when the request had not ended
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
