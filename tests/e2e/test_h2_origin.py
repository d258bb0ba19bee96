"""Connections of HTTP/2 to origins: shared, waited for, limited, refused, ended, and what a bad one costs the others."""

import contextlib
import re
import socket
import threading

import pytest

from harness import fronts, h2origin, origins, proxy, wait
from harness.before import bodies, several, statuses
from harness.h2client import ERRORS
from harness.h2raw import MAX_CONCURRENT_STREAMS, NO_LAST, Peer, RawOrigin, settings
from harness.ports import dead_port
from harness.websocket import UPGRADE, H2WebSocket, accept_of


# --- sharing ---


@pytest.mark.parametrize("tls", [False, True])
def test_many_clients_share_one_connection(before, tls):
    """Those of HTTP/1.1 and of HTTP/2, up to a hundred requests at a time."""
    go, held = threading.Event(), threading.Semaphore(0)

    def hold(x):
        held.release()
        assert go.wait(wait.DEADLINE)
        x.answer(200, x.target.encode())

    before.tls = tls
    origin = before.add(h2origin.H2Origin(hold, identity=before.ca.leaf("127.0.0.1") if tls else None))
    p = before.start()
    asked = [before.connect(fronts.H1Front).open("GET", "/%d" % i) for i in range(40)]
    multiplexed = [before.connect() for _ in range(6)]
    asked += [multiplexed[i % 6].open("GET", "/%d" % i) for i in range(40, 100)]
    for _ in asked:
        assert held.acquire(timeout=wait.DEADLINE)
    assert len(origin.connections) == 1 and p.counter("origin_connections_opened") == 1
    assert p.counter("origin_connections_idle") == 0

    more = [multiplexed[0].open("GET", "/%d" % i) for i in range(100, 120)]
    for _ in more:
        assert held.acquire(timeout=wait.DEADLINE)
    assert len(origin.connections) == 2, "the hundred and first needs another"
    go.set()
    assert bodies(asked + more) == [b"/%d" % i for i in range(120)]
    wait.until(lambda: p.counter("origin_connections_idle") == 2, "both to be idle")
    reused = p.counter("origin_connections_reused")
    for i in range(10):
        assert before.ask("/again").status == 200
    assert p.counter("origin_connections_reused") == reused + 10
    assert len(origin.connections) == 2 and p.counter("origin_connections_opened") == 2


class Late(RawOrigin):
    """Takes its time with the handshake of each connection."""

    def __init__(self, *arguments, **options):
        self.go = threading.Event()
        super().__init__(*arguments, **options)

    def _serve(self, sock):
        assert self.go.wait(wait.DEADLINE)
        super()._serve(sock)


def late(before, **options):
    before.tls = True
    options = dict({"identity": before.ca.leaf("127.0.0.1"), "alpn": ["h2"]}, **options)
    return before.add(Late(**options))


def in_flight(before, n):
    wait.until(lambda: before.proxy.counter("requests_in_flight") == n, "%d requests to wait" % n)


@pytest.mark.threads
def test_who_comes_while_it_is_being_made_waits_for_it(before):
    origin = late(before)
    p = before.start()
    c = before.connect()
    asked = [c.open("GET", "/%d" % i) for i in range(20)]
    asked += [before.connect(fronts.H1Front).open("GET", "/%d" % i) for i in range(20, 25)]
    in_flight(before, 25)
    asked[0].abort()
    in_flight(before, 24)
    origin.go.set()
    assert statuses(asked[1:]) == [200] * 24
    assert len(origin.connections) == 1 and len(origin.all) == 24
    assert before.opened() == 1 and p.counter("origin_connections_reused") == 0


def test_the_same_without_tls(before):
    """The queue of the server is full, so that the kernel lets nobody in for a while."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        fillers = [stack.enter_context(socket.socket()) for _ in range(2)]
        for s in fillers:
            s.setblocking(False)
            s.connect_ex(listener.getsockname())
        before.start("127.0.0.1:%d" % listener.getsockname()[1], timeouts={"connect": "1h"})
        c = before.connect()
        asked = [c.open("POST", "/%d" % i) for i in range(20)]
        in_flight(before, 20)
        assert before.opened() == 1
        listener.settimeout(wait.DEADLINE)
        theirs = [f.getsockname() for f in fillers]
        while (s := stack.enter_context(listener.accept()[0])).getpeername() in theirs:
            pass
        peer = Peer(origins.Connection(s))
        for r in peer.take(20):
            peer.answer(r)
        assert statuses(asked) == [200] * 20 and before.opened() == 1


def test_nobody_waits_any_more(before):
    """The connection that is being made goes with the last one who wanted it."""
    origin = late(before)
    before.start()
    c = before.connect()
    asked = [c.open("GET", "/%d" % i) for i in range(5)]
    in_flight(before, 5)
    for a in asked:
        a.abort()
    in_flight(before, 0)
    origin.go.set()
    wait.until(lambda: origin.failures, "the handshake to be broken off")
    origin.failures.clear()
    assert origin.connections == []
    assert before.ask().status == 200


# --- what the server chooses ---


def seen_alpn(origin):
    """What each connection to it has chosen."""
    return [c.socket.selected_alpn_protocol() for c in origin.connections if not c.closed.is_set()]


@pytest.mark.parametrize("alpn", [["http/1.1"], []])
def test_a_server_that_chooses_http1(before, alpn):
    """The first of those who wait has that connection; the others get theirs, at once and later."""
    gate = origins.Gate()
    origin = late(before, plain=gate, alpn=alpn)
    p = before.start()
    c = before.connect()
    asked = [c.open("POST", "/%d" % i, length=2) for i in range(5)]
    in_flight(before, 5)
    assert before.opened() == 1
    origin.go.set()
    for a in asked:
        a.send(b"ab")
        a.end()
    for _ in asked:
        gate.wait_arrived()
    assert len(origin.connections) == 5 and origin.peers == []
    gate.release(5)
    assert bodies(asked) == [b"released"] * 5
    for _ in range(10):
        assert before.ask("/free").body == b"free"
    assert len(origin.connections) == 5, "they are used again"
    assert p.counter("origin_retries") == 0 and p.counter("origin_failures") == 0
    assert set(seen_alpn(origin)) == {alpn[0] if alpn else None}

    for _ in range(2):  # more at a time than there are: each has its own at once, without waiting for another
        asked = [c.open("GET", "/%d" % i) for i in range(8)]
        for _ in asked:
            gate.wait_arrived()
        gate.release(8)
        assert bodies(asked) == [b"released"] * 8
        assert len(origin.connections) == 8


def test_a_server_that_learns_http2(before):
    origin = late(before, alpn=["http/1.1"])
    before.start()

    def restart(alpn):
        origin._context.set_alpn_protocols([alpn])
        origin.drop_connections()
        wait.until(lambda: before.proxy.counter("origin_connections_idle") == 0, "the end to be seen")

    origin.go.set()
    assert before.ask().status == 200 and origin.peers == []
    restart("h2")
    assert before.ask().body == b"ok" and len(origin.peers) == 1
    restart("h2")
    origin.go.clear()
    c = before.connect()
    asked = [c.open("GET", "/%d" % i) for i in range(20)]
    in_flight(before, 20)
    origin.go.set()
    assert bodies(asked) == [b"ok"] * 20 and len(origin.peers) == 2, "they wait together again"
    restart("http/1.1")
    assert before.ask().status == 200 and len(origin.peers) == 2, "and forgets it"


# --- what HTTP/1.1 alone can do ---


def switch(c):
    """Switches whoever asks for it, and echoes; answers the others."""
    request = c.request()
    while "upgrade" not in request.names():
        c.answer(body="h1")
        request = c.request()
    c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Accept: %s\r\n\r\n" % accept_of(request.get("sec-websocket-key")))  # fmt: skip
    while data := c.reader.buffer or c._recv(65536):
        c.reader.buffer = b""
        c.send(data)


@pytest.mark.parametrize("tls", [False, True])
def test_websocket_goes_by_http1(before, tls):
    origin = before.origin(tls=tls, plain=switch, **({"alpn": ["h2", "http/1.1"]} if tls else {}))
    before.start()
    c, h1 = before.connect(), before.connect(fronts.H1Front)
    assert c.ask().body == b"ok"
    over_h2 = H2WebSocket(c.client)
    over_h2.send(1, b"hello")
    assert len(over_h2.receive(11)) == 11
    assert h1.client.request(target="/chat", fields=UPGRADE).status == 101
    h1.client.send("raw")
    assert h1.client.reader.exactly(3) == b"raw"
    assert bodies([c.open("GET", "/%d" % i) for i in range(5)]) == [b"ok"] * 5, "others go by HTTP/2 as before"
    assert len(origin.peers) == 1 and len(origin.connections) == 3
    if tls:
        assert sorted(seen_alpn(origin), key=str) == ["h2", "http/1.1", "http/1.1"]


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
@pytest.mark.parametrize("tls", [False, True])
def test_authenticated_connections_are_of_http1(before, scheme, tls):
    origin = before.origin(tls=tls, **({"alpn": ["h2", "http/1.1"]} if tls else {}))
    p = before.start()
    h1 = before.connect(fronts.H1Front)
    for _ in range(2):
        assert h1.ask(fields=[("authorization", scheme + " token")]).status == 200
    assert origin.peers == [] and len(origin.connections) == 1
    assert p.counter("origin_connections_bound") == 1
    assert before.ask().body == b"ok", "others share one of HTTP/2"
    assert before.ask(fields=[("authorization", "Basic token")]).body == b"ok"
    assert len(origin.peers) == 1 and len(origin.connections) == 2


def test_sites_with_connection_auth_go_by_http1(before):
    origin = before.origin()
    sites = [proxy.site("site.test", connection_auth=True), proxy.site("other.test")]
    before.start(sites=sites)
    assert before.ask().status == 200 and origin.peers == []
    with before.proxy.client("other.test") as c:
        assert c.request().body == b"ok" and len(origin.peers) == 1


# --- how many streams the server grants ---


@pytest.mark.parametrize("granted", [1, 3])
def test_no_more_at_a_time_than_the_server_grants(before, granted):
    origin = before.origin(first=[(MAX_CONCURRENT_STREAMS, granted)])
    before.start()
    c = before.connect()
    assert c.ask().body == b"ok"
    asked = []
    for k in range(1, 4):
        asked += several(c, granted)
        origin.wait_held(*[granted] * k)
    origin.let_go()
    assert statuses(asked) == [200] * 3 * granted
    for i in range(10):
        assert c.ask().body == b"ok"
    assert len(origin.peers) == 3


def test_the_server_grants_more_or_less_later(before):
    origin = before.origin()
    before.start()
    c = before.connect()
    asked = several(c, 3)
    origin.wait_held(3)

    def grant(n):
        origin.peers[0].send(settings((MAX_CONCURRENT_STREAMS, n)))
        origin.peers[0].settled()

    grant(2)
    asked += several(c, 2)
    origin.wait_held(3, 2)
    grant(4)
    asked += several(c, 1)
    wait.until(lambda: sum(origin.held) == 6, "another one")
    assert len(origin.peers) == 2
    origin.let_go()
    assert statuses(asked) == [200] * 6


@pytest.mark.parametrize("granted", [1, 3])
def test_more_wait_for_a_connection_than_it_grants(before, granted):
    """What the server grants is not known when the first requests go out: it refuses those beyond, and they go elsewhere."""

    def script(peer):
        open_streams = set()
        while True:
            r = peer.request()
            if len(open_streams) >= granted:
                peer.reset(r)
                continue
            open_streams.add(r.stream)
            peer.held.append(r)
            if r.path == "/last":
                return

    origin = late(before, script=script, first=[(MAX_CONCURRENT_STREAMS, granted)])
    p = before.start()
    c = before.connect()
    asked = [c.open("POST" if i % 2 else "GET", "/%d" % i) for i in range(9)]
    in_flight(before, 9)
    origin.go.set()
    wait.until(lambda: sum(origin.held) == 9, lambda: "all to be taken: %r" % origin.held)
    assert max(origin.held) == granted and len(origin.peers) <= 9
    origin.let_go()
    assert statuses(asked) == [200] * 9
    assert p.counter("origin_failures") == 0


# --- what the server refuses ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_stream_is_asked_for_again(before, method):
    refused = []

    def script(peer):
        while True:
            r = peer.request()
            if r.path == "/again" and len(refused) < 2:
                refused.append(r)
                peer.reset(r)
            else:
                peer.answer(r)

    before.origin(script)
    p = before.start()
    c = before.connect()
    assert c.ask().status == 200
    assert c.ask(method, "/again").body == b"ok" and len(refused) == 2
    assert p.counter("origin_retries") == 2 and p.counter("origin_failures") == 0


@pytest.mark.parametrize("front", [fronts.H1Front, fronts.H2Front])
def test_a_refusal_is_passed_on_where_the_body_has_gone(before, front):
    """The client may have it yet, and is told that it can send it again, if its version knows how."""

    def script(peer):
        r = peer.request()
        while len(peer.data.get(r.stream, b"")) < 60000:
            peer.read()
        peer.reset(r)
        peer.serve()

    origin = before.origin(script)
    p = before.start()
    c = before.connect(front)
    r = c.ask("POST", "/large", body=bytes(60000))
    if front is fronts.H2Front:
        assert r.cut and r.reset == ERRORS["REFUSED_STREAM"]
    else:
        assert r.status == 503
    assert len(origin.all) == 1 and p.access(1)[0]["status"] == 503 and p.counter("requests_refused") == 1
    assert before.ask().status == 200


def test_a_server_is_asked_again_once(before):
    """Though others have been answered on the new connection, too, until that one's turn came."""

    def bad(peer, r):
        peer.answer(peer.request())
        peer.connection.close()

    origin = before.origin(lambda peer: peer.serve({"/bad": bad}))
    before.start()
    c = before.connect()
    assert c.ask().status == 200
    asked = c.open("GET", "/bad")
    for n in (1, 2):
        wait.until(lambda n=n: [r.path for r in origin.all].count("/bad") == n, "the request to come, %d" % n)
        assert c.ask("GET", "/next").status == 200
    assert asked.rest().status == 502
    assert len(origin.peers) == 2


def test_a_server_that_always_refuses(before):
    origin = before.origin(lambda peer: [peer.reset(peer.request()) for _ in iter(int, 1)])
    before.start(upstreams={"origin": {"tries": 4}})
    assert before.ask().status == 503
    assert len(origin.all) == 4


def test_another_server_takes_what_one_refuses(before):
    bad = before.origin(lambda peer: [peer.reset(peer.request()) for _ in iter(int, 1)])
    good = before.origin()
    before.start()
    c = before.connect()
    assert statuses([c.open("POST", "/%d" % i) for i in range(10)]) == [200] * 10
    assert len(good.all) == 10 and bad.all


# --- the end of a connection ---


def test_goaway_gives_some_back(before):
    """Those above its number have not been looked at, and go elsewhere, whatever they are; those below are answered."""
    origin = before.origin()
    before.start()
    c = before.connect()
    asked = [c.open(m, "/hold/%s/%d" % (m, i)) for i, m in enumerate(["GET", "POST", "GET", "POST", "GET"])]
    origin.wait_held(5)
    first = origin.peers[0]
    second_stream = sorted(r.stream for r in first.held)[1]
    first.go_away(second_stream)
    origin.wait_held(5, 3)
    assert c.ask().body == b"ok" and len(origin.peers) == 2
    first.held = [r for r in first.held if r.stream <= second_stream]
    origin.let_go()
    assert statuses(asked) == [200] * 5
    assert origin.connections[0].closed.wait(wait.DEADLINE), "it ends with its last stream"
    assert before.proxy.counter("origin_failures") == 0


def test_a_graceful_goaway(before):
    """Nothing goes there any more from the first one on, and nothing that went before is asked for again."""
    origin = before.origin()
    before.start()
    c = before.connect()
    asked = several(c, 4, "POST")
    origin.wait_held(4)
    first = origin.peers[0]
    first.go_away(NO_LAST)
    first.settled()
    asked += several(c, 2, "POST")
    origin.wait_held(4, 2)
    first.go_away(max(r.stream for r in first.held))
    origin.let_go()
    assert statuses(asked) == [200] * 6 and len(origin.all) == 6
    assert origin.connections[0].closed.wait(wait.DEADLINE)
    assert not origin.connections[1].closed.is_set()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_server_dies(before, how):
    """What may be asked again goes on one new connection, all of it; what must not be is told of."""
    origin = before.origin()
    p = before.start()
    c = before.connect()
    assert c.ask().body == b"ok", "the connection has been good for something"
    gets, posts = several(c, 10), several(c, 5, "POST")
    origin.wait_held(15)
    posts.append(c.open("POST", "/die/" + how))
    origin.wait_held(0, 10)
    assert statuses(posts) == [502] * 6
    origin.let_go()
    assert statuses(gets) == [200] * 10
    assert len(origin.peers) == 2 and len(origin.all) == 27
    assert p.counter("origin_failures") == 1, "it is one, however many it strikes"
    assert c.ask().body == b"ok" and len(origin.peers) == 2


def test_a_server_that_dies_at_once(before):
    """It never answered anything: it has failed, and is not tried again for the same request."""
    bad, good = before.origin(lambda peer: peer.take(1)), before.origin()
    before.start()
    c = before.connect()
    assert statuses([c.open("GET", "/%d" % i) for i in range(10)]) == [200] * 10
    assert len(good.all) == 10 and bad.all


def test_a_connection_ends_when_it_has_been_idle(before):
    origin = before.origin()
    p = before.start(upstreams={"origin": {"idle_time": "200ms"}})
    c = before.connect()
    hanging = several(c, 1)
    origin.wait_held(1)
    for _ in range(3):
        assert before.ask("/now").body == b"ok"
    assert p.counter("origin_connections_idle") == 0
    origin.let_go()
    assert statuses(hanging) == [200]
    assert origin.connections[0].closed.wait(wait.DEADLINE)
    assert origin.peers[0].goaway == ERRORS["NO_ERROR"]
    wait.until(lambda: p.counter("origin_connections_idle") == 0, "the gauge to say so")
    assert before.ask().body == b"ok" and len(origin.peers) == 2


def test_no_connection_is_kept(before):
    origin = before.origin()
    p = before.start(upstreams={"origin": {"idle_connections": 0}})
    c = before.connect()
    for n in range(1, 4):
        asked = several(c, 5)
        origin.wait_held(*[0] * (n - 1), 5)
        origin.let_go()
        assert statuses(asked) == [200] * 5
        assert origin.connections[n - 1].closed.wait(wait.DEADLINE)
    assert (p.counter("origin_connections_opened"), p.counter("origin_connections_idle")) == (3, 0)


def test_a_server_that_is_silent(before):
    """504 for each by its own deadline; who asks meanwhile is spared that connection."""
    origin = before.origin()
    routes = [{"path": "/moment", "timeouts": {"response": "200ms"}}]
    before.start(sites=[proxy.site("site.test", routes=routes)])
    c = before.connect()
    assert c.ask().body == b"ok"
    long = several(c, 1)
    origin.wait_held(1)
    short = [c.open("GET", "/hold/moment/%d" % i) for i in range(3)]
    assert statuses(short) == [504] * 3
    wait.until(lambda: len(origin.peers[0].resets) == 3, "them to be taken back")
    assert set(origin.peers[0].resets.values()) == {ERRORS["CANCEL"]}
    assert c.ask().body == b"ok" and len(origin.peers) == 2
    origin.let_go()
    assert statuses(long) == [200]
    assert origin.connections[0].closed.wait(wait.DEADLINE)


def test_a_server_that_never_says_a_word(before, recorder):
    mute = recorder(lambda c: c.wait_for_end())
    before.start(mute.address, timeouts={"response": "200ms"})
    c = before.connect()
    for n in range(1, 3):
        assert statuses(several(c, 5)) == [504] * 5
        assert len(mute.connections) == n and mute.connections[n - 1].closed.wait(wait.DEADLINE)


def test_a_server_that_knows_http1_alone(before, recorder):
    """Without TLS nobody asks it."""

    def refuse(c):
        c.reader.exactly(14)
        c.answer("400 Bad Request")

    old = recorder(refuse)
    before.start(old.address)
    c = before.connect()
    assert statuses([c.open("GET", "/%d" % i) for i in range(5)]) == [502] * 5
    before.proxy.wait_log("127.0.0.1:%d.*HTTP/2 is malformed|127.0.0.1:%d.*ended" % (old.port, old.port))


WEBSOCKET = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "a" * 22 + "==")]
SET_HTTP2 = 'it speaks HTTP/2: set "http2": true in upstream "origin"'


@pytest.mark.parametrize("http2, fields, told", [(False, [], SET_HTTP2), (True, WEBSOCKET, "it speaks HTTP/2 alone, but WebSocket and")])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_server_that_knows_http2_alone(before, recorder, http2, fields, told, pieces):
    """It begins as such servers do, and waits for what it knows: nobody waits with it."""

    def speak(c):
        first = settings((MAX_CONCURRENT_STREAMS, 10))
        if pieces == 2:
            c.send(first[:5])
            c.request_head()
        c.send(first[5 if pieces == 2 else 0 :])
        c.wait_for_end()

    origin = recorder(speak)
    before.start(origin.address, upstreams={"origin": {"http2": http2}})
    assert before.ask(fields=fields).status == 502
    before.proxy.wait_log("127.0.0.1:%d.*: the origin's response is malformed: %s" % (origin.port, re.escape(told)))


@pytest.mark.parametrize("alert, told", [(120, ": " + re.escape(SET_HTTP2)), (40, "$")])
def test_a_server_that_knows_http2_alone_by_tls(before, recorder, alert, told):
    """The alert is no_application_protocol (RFC 7301, 3.2); another says nothing of versions."""

    def refuse(c):
        c.send(bytes([21, 3, 3, 0, 2, 2, alert]))
        c.wait_for_end()

    origin = recorder(refuse)
    before.tls = True
    before.start(origin.address, upstreams={"origin": {"http2": False}})
    assert before.ask().status == 502
    before.proxy.wait_log(r"127.0.0.1:%d.*: TLS handshake with the origin failed: [^:]*\(SSL alert number %d\)%s" % (origin.port, alert, told))


def test_a_slow_answer_does_not_retire_a_server_that_lives(before):
    origin = before.origin()
    routes = [{"path": "/moment", "timeouts": {"response": "500ms"}}]
    before.start(sites=[proxy.site("site.test", routes=routes)])
    c = before.connect()
    short = c.open("GET", "/hold/moment")
    origin.wait_held(1)
    assert c.ask().body == b"ok"
    assert short.rest().status == 504
    assert c.ask().body == b"ok" and len(origin.peers) == 1


@pytest.mark.parametrize("how", ["refused", "silent", "no TLS"])
def test_who_waits_in_vain_goes_to_another_server(before, how, recorder):
    bad = late(before)
    good = before.origin(tls=True)
    address = "127.0.0.1:%d" % dead_port() if how == "refused" else bad.address
    if how == "no TLS":
        address = recorder(lambda c: (c.socket.recv(1), c.close())).address
    p = before.start(address, good.address, timeouts={"connect": "300ms"})
    c = before.connect()
    asked = [c.open("POST", "/%d" % i) for i in range(10)]
    assert statuses(asked) == [200] * 10
    assert len(good.all) == 10 and len(good.peers) == 1
    assert p.counter("origin_failures") >= 1
    if how == "silent":
        bad.go.set()
        wait.until(lambda: bad.failures, "the handshake to be broken off")
        bad.failures.clear()


def test_a_connection_whose_server_is_removed(before):
    """It ends with its last stream, and takes none from the reload on; so does one that is idle."""
    removed, kept = before.origin(), before.origin()
    p = before.start(removed.address)
    c = before.connect()
    asked = several(c, 3)
    removed.wait_held(3)
    p.reconfigure(upstreams={"origin": {"servers": [{"address": kept.address}]}})
    assert c.ask().body == b"ok"
    assert not removed.connections[0].closed.is_set() and len(kept.peers) == 1
    removed.peers[0].answer(removed.peers[0].held.pop(0))
    assert asked[0].rest().status == 200 and not removed.connections[0].closed.is_set()
    removed.let_go()
    assert statuses(asked) == [200] * 3
    assert removed.connections[0].closed.wait(wait.DEADLINE)
    p.reconfigure(upstreams={"origin": {"servers": [{"address": removed.address}]}})
    assert kept.connections[0].closed.wait(wait.DEADLINE), "this one was idle"


def test_http2_is_switched_off_and_on(before):
    """What goes by one version is finished there; the next request goes by the other."""
    origin = before.origin()
    p = before.start()
    c = before.connect()
    asked = several(c, 2)
    origin.wait_held(2)
    p.reconfigure(upstreams={"origin": {"http2": False}})
    assert c.ask().status == 200 and len(origin.connections) == 2, "by HTTP/1.1"
    origin.let_go()
    assert statuses(asked) == [200] * 2
    p.reconfigure(upstreams={"origin": {"http2": True}})
    assert c.ask().body == b"ok" and len(origin.all) == 3


def test_the_proxy_protocol_contradicts_it(before, directory):
    before.origin()
    p = before.start()
    p.change(upstreams={"origin": {"proxy_protocol": "v2"}})
    done = p.command("check")
    assert done.returncode != 0 and "proxy_protocol" in done.stderr + done.stdout and "http2" in done.stderr + done.stdout


def test_what_a_server_wants_by_http1(before):
    """HTTP_1_1_REQUIRED (RFC 9113, 8.1.1)."""

    def required(peer, r):
        peer.reset(r, "HTTP_1_1_REQUIRED")

    origin = before.origin(lambda peer: peer.serve({"/old": required}))
    p = before.start()
    c = before.connect()
    for _ in range(3):
        assert c.ask("GET", "/old").status == 200
        assert c.ask("GET", "/new").body == b"ok"
    assert p.counter("origin_connections_opened") == 2, "one of each version"
    assert c.ask("POST", "/old", body=b"abc").status == 200
    assert len(origin.peers) == 1 and len(origin.requests) == 4


def test_a_large_head_of_a_request(before):
    """Larger than what libnghttp2 would send if it were not told to."""
    origin = before.origin()
    before.start(limits={"head_bytes": "256k"})
    fields = [("x-large-%d" % i, "x" * 4000) for i in range(25)]
    assert before.ask(fields=fields).body == b"ok"
    assert sum(len(v) for n, v in origin.all[0].fields if n.startswith("x-large-")) == 100_000
