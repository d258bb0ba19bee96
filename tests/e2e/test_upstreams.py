"""Origins: who gets a request, what happens when one is gone, and that nothing is sent twice that may have had effect."""

import base64
import collections
import hashlib
import re

import pytest
from cryptography.hazmat.primitives import serialization

from harness import origins, pki, proxy, wait, wire
from harness.origins import Gate, Recorder
from harness.ports import dead_port


def named(name):
    def script(c):
        while True:
            c.request()
            c.answer(body=name)

    return script


@pytest.fixture
def servers(recorder):
    """So many origins that answer with their names a, b, c …"""
    return lambda n: [recorder(named("abcdefgh"[i])) for i in range(n)]


def count(p, n, **options):
    """How many of n requests, each on a connection of its own, each origin answered."""
    return collections.Counter(p.get(**options).text for _ in range(n))


def dead():
    return "127.0.0.1:%d" % dead_port()


# --- the choice ---


def test_round_robin(simple, servers):
    p = simple(*[s.address for s in servers(3)])
    assert count(p, 30) == {"a": 10, "b": 10, "c": 10}


def test_weights(simple, servers):
    a, b, c = servers(3)
    p = simple((a.address, 1), (b.address, 2), (c.address, 3))
    assert count(p, 60) == {"a": 10, "b": 20, "c": 30}


def test_round_robin_goes_on_across_connections_and_threads(simple, servers):
    p = simple(*[s.address for s in servers(2)], threads=2)
    with p.client() as one, p.client() as two:
        got = collections.Counter(c.request().text for _ in range(20) for c in (one, two))
    assert abs(got["a"] - got["b"]) <= 2


def test_least_requests(simple, recorder):
    gate = Gate(body=b"busy")
    busy, idle = recorder(gate), recorder(named("idle"))
    p = simple(busy.address, idle.address, upstreams={"origin": {"balance": "least_requests"}})
    held = []
    while not gate.arrived.acquire(blocking=False):  # until one hangs at the busy server
        c = p.client()
        c.send_request()
        held.append(c)
        wait.until(lambda: len(busy.requests) + len(idle.requests) >= len(held), "the request to arrive")
    assert count(p, 20) == {"idle": 20}
    gate.release(100)
    for c in held:
        c.close()


# --- TLS to origins ---


@pytest.fixture
def secure(recorder, ca):
    return recorder(named("secure"), identity=ca.leaf("origin.test", "127.0.0.1"))


@pytest.mark.memory
def test_tls_origin_verified(simple, secure, ca):
    p = simple(secure.address, upstreams={"origin": {"tls": {"ca": ca.file}}})
    assert count(p, 3) == {"secure": 3}


def test_tls_to_a_real_origin(simple, nginx, ca):
    origin = nginx(identity=ca.leaf("127.0.0.1"))
    p = simple(origin.address, upstreams={"origin": {"tls": {"ca": ca.file}}})
    assert p.get("/hello").text == "hello\n"


def test_tls_origin_of_the_wrong_ca(simple, secure, other_ca):
    p = simple(secure.address, upstreams={"origin": {"tls": {"ca": other_ca.file}}})
    assert p.get().status == 502
    p.wait_log(re.escape(secure.address) + r".*(verif|issuer|self-signed|certificate)")
    assert not secure.requests


@pytest.mark.memory
def test_tls_origin_of_the_wrong_name(simple, secure, ca):
    p = simple(secure.address, upstreams={"origin": {"tls": {"ca": ca.file, "name": "other.test"}}})
    assert p.get().status == 502
    assert not secure.requests
    p.reconfigure(upstreams={"origin": {"tls": {"name": "origin.test"}}})
    assert p.get().status == 200


def test_tls_origin_whose_certificate_expired(simple, recorder, ca):
    old = recorder(named("old"), identity=ca.leaf("127.0.0.1", begins=-9, ends=-1))
    p = simple(old.address, upstreams={"origin": {"tls": {"ca": ca.file}}})
    assert p.get().status == 502
    p.wait_log("expired")


def pin_of(identity):
    key = identity.certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256/" + base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_an_answer_given_before_the_upload_broke_off_is_passed_on(simple, recorder, ca, secured):
    """The origin closes with bytes unread, so its socket answers with a reset: what it said before is there to be read."""

    def refuse(c):
        c.request_head()
        c.answer("413 Content Too Large", b"too much", fields=[("Connection", "close")])

    origin = recorder(refuse, identity=ca.leaf("127.0.0.1") if secured else None, receive_buffer=16384)
    p = simple(origin.address, upstreams={"origin": {"tls": {"ca": ca.file}}} if secured else {})
    for _ in range(20):
        with p.client() as c:
            c.send_request("POST", "/", {"Content-Length": str(50_000_000)})
            try:
                for _ in range(50):
                    c.send(b"x" * 100_000)
            except OSError:
                pass  # it has its answer
            assert c.response().status == 413


def test_tls_origin_by_pin(simple, recorder, other_ca, ca):
    identity = other_ca.leaf("whoever.test")
    origin = recorder(named("pinned"), identity=identity)
    p = simple(origin.address, upstreams={"origin": {"tls": {"pin": [pin_of(identity)]}}})
    assert p.get().text == "pinned"
    p.reconfigure(upstreams={"origin": {"tls": {"pin": [pin_of(ca.leaf("another.test"))]}}})
    assert p.get().status == 502


def test_verify_false_is_warned_about(simple, recorder, other_ca):
    origin = recorder(named("any"), identity=other_ca.leaf("whoever.test"))
    p = simple(origin.address, upstreams={"origin": {"tls": {"verify": False}}})
    assert p.get().text == "any"
    p.wait_log(r"warn.*verify|verify.*not verified")
    seen = len(p.log)
    p.reload()
    p.wait_log("verify", since=seen)
    assert "verif" in p.command("status").stdout
    assert "not verified" in str(p.status()["upstreams"][0]["warnings"])


def test_client_certificate_towards_an_origin(simple, recorder, ca, directory):
    origin = recorder(named("mutual"), identity=ca.leaf("127.0.0.1"), client_ca=ca)
    ours = ca.leaf("proxy", client=True).files(directory, "ours")
    p = simple(origin.address, upstreams={"origin": {"tls": {"ca": ca.file}}})
    assert p.get().status == 502
    p.reconfigure(bundles={"ours": ours}, upstreams={"origin": {"tls": {"bundle": "ours"}}})
    assert p.get().text == "mutual"


# --- addresses ---


def test_an_origin_by_name(simple, echo, directory):
    """localhost means ::1 first on most machines, where nobody listens: no request is lost for it, and nothing failed."""
    hosts = pki.write(directory / "hosts", b"::1 localhost\n127.0.0.1 localhost\n", 0o644)
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    p = simple("localhost:%d" % echo.port, prefix=["unshare", "--mount", "sh", "-c", script, hosts])
    for _ in range(4):
        assert p.get().status == 200
    assert p.counter("origin_failures") == 0


def test_an_origin_by_ipv6(simple):
    import http.server
    import socket
    import threading

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with Server(("::1", 0), http.server.BaseHTTPRequestHandler) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        assert simple("[::1]:%d" % s.server_address[1]).get().status == 501, "as that server answers"
        s.shutdown()


# --- origins that fail ---


def test_a_refused_connection_goes_to_the_next(simple, servers):
    (a,) = servers(1)
    p = simple(dead(), a.address)
    assert count(p, 10) == {"a": 10}
    with p.client() as c:
        assert c.request("POST", "/", body=b"data").text == "a", "nothing was sent, so even a POST may go on"
    assert p.counter("origin_retries") >= 1


def test_a_failing_server_is_left_out_and_tried_again(simple, servers):
    (a,) = servers(1)
    back = dead_port()
    p = simple(
        "127.0.0.1:%d" % back, a.address, threads=1,
        upstreams={"origin": {"eject": {"failures": 2, "time": "1s"}}},
    )  # fmt: skip
    assert count(p, 8) == {"a": 8}
    p.wait_log(r"127\.0\.0\.1:%d.*left out|eject" % back)
    failures = p.counter("origin_failures")
    b = Recorder(named("b"), port=back)
    try:
        wait.until(lambda: p.get().text == "b", "the server to be tried again")
        assert wait.until(lambda: count(p, 10), "an answer") == {"a": 5, "b": 5}
    finally:
        b.stop()
    assert failures <= 3


def test_the_log_tells_when_a_server_goes_and_comes_back(simple):
    """Each once, however many requests fail meanwhile."""
    back = dead_port()
    address = "127.0.0.1:%d" % back
    p = simple(address, upstreams={"origin": {"eject": {"failures": 2, "time": "1s"}}})
    said = r'warning .*origin %s of upstream "origin" ' % re.escape(address)

    def fails_until(pattern):
        wait.until(lambda: p.get().status == 502 and re.search(said + pattern, p.log), pattern)

    fails_until(r"failed 2 times in a row and is left out for 1s")
    for _ in range(20):
        assert p.get().status == 502
    fails_until(r"still fails and is left out for another 1s: .*refused")
    b = Recorder(named("b"), port=back)
    try:
        assert p.get().status == 200
        p.wait_log(r'notice .*origin %s of upstream "origin" answers again after \d.* left out' % re.escape(address))
        assert p.get().status == 200
    finally:
        b.stop()
    assert len(re.findall("in a row and is left out", p.log)) == 1
    assert len(re.findall("answers again", p.log)) == 1
    assert len(re.findall(said.strip() + ": ", p.log)) == 2, "a line for each failure before that"


def test_all_servers_gone(simple):
    address = dead()
    p = simple(address)
    for _ in range(8):
        answer = p.get()
        assert answer.status in (502, 503)
    p.wait_log(re.escape(address) + r".*[Rr]efused")


def test_it_comes_back_when_all_were_left_out(simple, servers):
    back = dead_port()
    p = simple("127.0.0.1:%d" % back, upstreams={"origin": {"eject": {"failures": 1, "time": "1h"}}})
    assert p.get().status in (502, 503)
    b = Recorder(named("b"), port=back)
    try:
        wait.until(lambda: p.get().status == 200, "the only server to be tried again")
    finally:
        b.stop()


def closing(c):
    c.request()
    c.reset()


def test_reset_before_a_byte_goes_to_the_next(simple, recorder, servers):
    """An idle origin connection that the origin has closed meanwhile is no failure of the request."""
    origin = recorder()
    p = simple(origin.address, threads=1)
    with p.client() as c:
        for _ in range(5):
            assert c.request().status == 200
            origin.drop_connections()
            wait.until(lambda: all(o.closed.is_set() for o in origin.connections), "the origin to close")


def test_a_get_is_tried_again_elsewhere(simple, recorder, servers):
    """It is idempotent, so it may reach two servers; each only once."""
    (a,) = servers(1)
    bad = recorder(closing)
    p = simple(bad.address, a.address, upstreams={"origin": {"eject": {"failures": 0}}})
    assert [p.get("/%d" % i).text for i in range(6)] == ["a"] * 6
    for origin in (a, bad):
        assert len(set(origin.targets)) == len(origin.targets)


@pytest.mark.parametrize("method", ["POST", "PATCH", "BUY"])
@pytest.mark.parametrize("body", [None, b"", b"once"])
def test_what_may_have_had_an_effect_is_never_sent_twice(simple, recorder, method, body):
    bad = [recorder(closing) for _ in range(3)]
    p = simple(*[b.address for b in bad], upstreams={"origin": {"tries": 3, "eject": {"failures": 0}}})
    for i in range(6):
        with p.client() as c:
            assert c.request(method, "/%d" % i, body=body).status == 502
    targets = [t for b in bad for t in b.targets]
    assert sorted(targets) == ["/%d" % i for i in range(6)]


def test_a_post_does_not_go_out_on_a_connection_that_has_ended(simple, recorder):
    origin = recorder()
    p = simple(origin.address, threads=1)
    with p.client() as c:
        for i in range(5):
            assert c.request("POST", "/%d" % i, body=b"once").json()["body"] == "once"
            origin.drop_connections()
            wait.until(lambda: all(o.closed.is_set() for o in origin.connections), "the origin to close")
    assert origin.targets == ["/%d" % i for i in range(5)]


def test_a_post_on_a_reused_connection_is_never_sent_twice(simple, recorder):
    """The origin closes its idle connection as the POST arrives on it."""

    def once(c):
        c.request()
        c.answer(body="first")
        c.request()
        c.reset()

    origin = recorder(once)
    p = simple(origin.address, threads=1, upstreams={"origin": {"eject": {"failures": 0}}})
    for i in range(4):
        with p.client() as c:
            c.request("GET", "/warm")
            c.request("POST", "/%d" % i, body=b"once")
    posts = [r.target for r in origin.requests if r.method == "POST"]
    assert len(posts) == len(set(posts)), "sent twice: %r" % posts


def test_an_answer_that_breaks_off_is_not_begun_anew(simple, recorder, servers):
    def half(c):
        c.request()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
        c.reset()

    (a,) = servers(1)
    broken = recorder(half)
    p = simple(broken.address, a.address, upstreams={"origin": {"eject": {"failures": 0}}})
    for _ in range(4):
        with p.client() as c:
            c.send_request()
            try:
                answer = c.response()
                assert (answer.status, answer.body) in [(200, b"a")] or answer.status == 502
            except (wire.Ended, ConnectionError):
                pass


def test_504_when_the_origin_is_silent(simple, recorder):
    origin = recorder(Gate())
    p = simple(origin.address, timeouts={"response": "200ms"})
    assert p.get().status == 504
    p.wait_log(re.escape(origin.address) + r".*(tim|within|no answer)")
    assert len(origin.requests) == 1


def test_503_or_502_when_no_server_can_be_resolved(simple):
    p = simple("no-such-host.invalid:80")
    assert p.get().status in (502, 503)
    p.wait_log("no-such-host.invalid")


def test_an_origin_that_stalls_in_its_body(simple, recorder):
    def stall(c):
        c.request()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        c.wait_for_end()

    p = simple(recorder(stall).address, timeouts={"response_body": "200ms"})
    with p.client() as c:
        c.send_request()
        with pytest.raises((wire.Ended, ConnectionError)):
            c.response()


def test_client_that_goes_away_frees_the_origin(simple, recorder):
    gate = Gate()
    origin = recorder(gate)
    p = simple(origin.address)
    c = p.client()
    c.send_request()
    gate.wait_arrived()
    c.close()
    wait.until(lambda: p.counter("requests_in_flight") == 0, "the request to be given up")
    gate.release(10)
    wait.until(lambda: all(o.closed.is_set() for o in origin.connections), "the origin's connection to be closed")


def test_idle_origin_connections_are_kept_up_to_a_number(simple, recorder):
    gate = Gate()
    origin = recorder(gate)
    p = simple(origin.address, threads=1, upstreams={"origin": {"idle_connections": 2}})
    clients = [p.client() for _ in range(6)]
    for c in clients:
        c.send_request()
    for _ in clients:
        gate.wait_arrived()
    gate.release(6)
    for c in clients:
        assert c.response().status == 200
    wait.until(lambda: sum(not o.closed.is_set() for o in origin.connections) == 2, "all but two to be closed")
    wait.until(lambda: p.counter("origin_connections_idle") == 2, "the gauge to say so")
    for c in clients:
        c.close()


# --- the sticky cookie ---

STICKY = {"origin": {"sticky": {"cookie": "NODE"}}}


def cookie_of(response):
    """The sticky cookie that a response sets: its value and its attributes; None: it sets none."""
    for line in response.all("set-cookie"):
        pair, *attributes = [part.strip() for part in line.split(";")]
        if pair.startswith("NODE="):
            return pair[5:], attributes
    return None


def sticks(p, cookie, n=12):
    answers = [p.get(fields={"Cookie": "x=1; NODE=%s" % cookie}) for _ in range(n)]
    assert not any(cookie_of(a) for a in answers), "the cookie was good, yet it is set anew"
    return {a.text for a in answers}


@pytest.fixture
def sticky(simple, servers, directory):
    def start(n=3, **over):
        places = servers(n)
        secret = pki.write(directory / "secret", b"k" * 64)
        p = simple(*[s.address for s in places], upstreams=STICKY, secret_file=secret, **over)
        p.places = dict(zip("abcdefgh", places))
        return p

    return start


def test_sticky_cookie(sticky):
    p = sticky()
    cookies = {}
    for _ in range(6):
        answer = p.get()
        value, attributes = cookie_of(answer)
        cookies[answer.text] = value
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert re.match(r"[A-Za-z0-9_-]{16,}\Z", value), "opaque"
    assert set(cookies) == {"a", "b", "c"} and len(set(cookies.values())) == 3
    for name, value in cookies.items():
        assert sticks(p, value) == {name}
    with p.client() as c:
        first = c.request()
        name, value = first.text, cookie_of(first)[0]
        assert {c.request(fields={"Cookie": "NODE=" + value}).text for _ in range(5)} == {name}


def test_the_cookie_outlives_reload_restart_and_a_new_worker(sticky):
    p = sticky()
    first = p.get()
    value = cookie_of(first)[0]
    p.reload()
    assert sticks(p, value) == {first.text}
    p.restart()
    assert sticks(p, value) == {first.text}


def test_the_cookie_means_the_same_on_every_node(bascule, sticky, directory):
    from harness.ports import free_port

    one = sticky()
    two = bascule(proxy.merge(one.contents, {"listeners": [proxy.listener(free_port())], "admin": None, "log": None}))
    first = one.get()
    assert sticks(two, cookie_of(first)[0]) == {first.text}


def test_the_cookie_survives_changes_among_the_other_servers(sticky, servers):
    p = sticky(3)
    first = p.get()
    value, name = cookie_of(first)[0], first.text
    others = [s.address for n, s in p.places.items() if n != name]
    p.change(upstreams={"origin": {"servers": [{"address": a} for a in [others[0], p.places[name].address]]}})
    p.reload()
    assert sticks(p, value) == {name}


def test_the_cookie_moves_on_when_its_server_is_gone(sticky):
    p = sticky(3)
    first = p.get()
    value, name = cookie_of(first)[0], first.text
    p.places[name].stop()
    answer = p.get(fields={"Cookie": "NODE=" + value})
    assert answer.status == 200 and answer.text != name
    moved = cookie_of(answer)[0]
    assert moved != value
    assert sticks(p, moved) == {answer.text}


@pytest.mark.parametrize("damage", ["", "x", "A" * 22, "A" * 5000, "../../etc", "\"quoted\"", "%00", "=", "\xe9\xff"])
def test_a_cookie_that_is_none_is_ignored(sticky, damage):
    p = sticky(2)
    answers = [p.get(fields={"Cookie": "NODE=" + damage}) for _ in range(4)]
    assert {a.status for a in answers} == {200}
    assert {a.text for a in answers} == {"a", "b"}
    assert all(cookie_of(a) for a in answers)


def test_a_tampered_cookie_is_ignored(sticky):
    p = sticky(2)
    value = cookie_of(p.get())[0]
    for i in range(len(value)):
        other = value[:i] + ("A" if value[i] != "A" else "B") + value[i + 1 :]
        answer = p.get(fields={"Cookie": "NODE=" + other})
        assert answer.status == 200 and cookie_of(answer), "byte %d does not count" % i


def test_a_cookie_under_another_secret_is_ignored(sticky, directory):
    p = sticky(2)
    value = cookie_of(p.get())[0]
    pki.write(directory / "secret", b"another secret, at least thirty-two bytes of it")
    p.restart()
    assert cookie_of(p.get(fields={"Cookie": "NODE=" + value}))


def test_the_origins_own_cookies_stay(simple, recorder):
    own = b"Set-Cookie: a=b\r\nSet-Cookie: c=d; Path=/\r\n"
    origin = recorder(origins.reply(b"HTTP/1.1 200 OK\r\n" + own + b"Content-Length: 2\r\n\r\nok"))
    answer = simple(origin.address, upstreams=STICKY).get()
    assert answer.all("set-cookie")[:2] == ["a=b", "c=d; Path=/"] and cookie_of(answer)
