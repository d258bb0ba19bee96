"""HTTP/1.1 through the proxy: what goes in at one side comes out at the other, and nothing else."""

import hashlib
import json
import socket
import threading

import pytest

from harness import client, origins, proxy, wait
from harness.origins import by_target
from harness.process import resident_kib


def fields_of(response):
    """The fields that the echo origin saw, lower-case names, as a list of pairs."""
    return [(n.lower(), v) for n, v in response.json()["fields"]]


def values(response, name):
    return [v for n, v in fields_of(response) if n == name]


# --- methods and bodies ---


def test_get_through_a_real_origin(simple, nginx):
    origin = nginx()
    origin.file("page.txt", b"a page\n")
    p = simple(origin.address)
    with p.client() as c:
        answer = c.request(target="/page.txt")
        assert (answer.status, answer.body) == (200, b"a page\n")
        assert answer.get("X-Origin") == origin.name
        assert answer.get("Content-Length") == "7"
        assert answer.get("Date")
        assert c.request(target="/missing").status == 404
        moved = c.request(target="/moved")
        assert moved.status == 302 and moved.get("Location").endswith("/elsewhere")
        assert c.request(target="/empty").status == 204
        assert c.request(target="/page.txt").body == b"a page\n"
    wait.until(lambda: len(origin.served()) == 5, "five requests in the log of nginx")


def test_put_and_delete_reach_a_real_origin(simple, nginx):
    origin = nginx()
    p = simple(origin.address)
    with p.client() as c:
        assert c.request("PUT", "/put/thing", body=b"x" * 100000).status == 201
        assert (origin.files / "put" / "thing").read_bytes() == b"x" * 100000
        assert c.request("DELETE", "/put/thing").status == 204
    assert not (origin.files / "put" / "thing").exists()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH"])
def test_any_method_goes_through_with_its_body(simple, method):
    with simple().client() as c:
        answer = c.request(method, "/x?y=1", body=b"some body")
        assert answer.json()["method"] == method
        assert answer.json()["target"] == "/x?y=1"
        assert answer.json()["body"] == "some body"


def test_connect_is_no_way_through(simple, echo):
    p = simple()
    with p.client() as c:
        c.send("CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n")
        assert c.response().status in (400, 405, 501)
    assert not echo.requests


@pytest.mark.memory
def test_head_has_the_length_and_no_body(simple, nginx):
    origin = nginx()
    origin.file("page.txt", b"a page\n")
    with simple(origin.address).client() as c:
        answer = c.request("HEAD", "/page.txt")
        assert (answer.status, answer.get("Content-Length"), answer.body) == (200, "7", b"")
        assert c.request("GET", "/page.txt").body == b"a page\n"


def test_204_and_304_have_no_body(simple, recorder):
    origin = recorder(
        by_target(
            {
                "/204": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
                "/304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 1234\r\n\r\n',
                "/200": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            }
        )
    )
    with simple(origin.address).client() as c:
        for _ in range(3):
            none = c.request(target="/204")
            assert none.status == 204 and none.get("Content-Length") is None and none.get("X-A") == "1"
            unchanged = c.request(target="/304")
            assert unchanged.status == 304 and unchanged.get("ETag") == '"x"'
            assert c.request(target="/200").body == b"ok"


@pytest.mark.memory
def test_chunked_request_with_trailers(simple, echo):
    with simple().client() as c:
        c.send("POST /c HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        c.send("5\r\nhello\r\n")
        c.send("6;name=value\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n")
        answer = c.response()
        assert answer.json()["body"] == "hello world"
        assert ["x-sum", "42"] in [[n.lower(), v] for n, v in answer.json()["trailers"]]
        assert values(answer, "transfer-encoding") == ["chunked"]
        assert c.request(target="/next").json()["target"] == "/next"


@pytest.mark.memory
def test_chunked_response_with_trailers(simple, recorder):
    origin = recorder(
        origins.reply(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n"
        )
    )
    with simple(origin.address).client() as c:
        for _ in range(3):
            answer = c.request(fields={"TE": "trailers"})
            assert answer.body == b"hello world"
            assert (b"X-Sum", b"42") in [(n.title(), v) for n, v in answer.trailers]


def test_a_body_up_to_the_close_is_framed_for_the_client(simple, recorder):
    origin = recorder(origins.reply(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True))
    with simple(origin.address).client() as c:
        for _ in range(3):
            answer = c.request()
            assert answer.body == b"all of it"
            assert not answer.ended_by_close, "the client's connection need not end with the origin's"


def test_empty_bodies(simple):
    with simple().client() as c:
        assert c.request("POST", "/", body=b"").json()["length"] == 0
        c.send("POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert c.response().json()["length"] == 0


# --- connections ---


@pytest.mark.memory
def test_keep_alive_and_origin_connections_are_reused(simple, echo):
    p = simple(threads=1)
    for _ in range(5):
        with p.client() as c:
            for i in range(10):
                assert c.request(target="/%d" % i).json()["target"] == "/%d" % i
    assert len(echo.requests) == 50
    assert len(echo.connections) == 1, "one thread, one request at a time: one origin connection"


def test_connection_close_is_honoured(simple):
    with simple().client() as c:
        answer = c.request(fields={"Connection": "close"})
        assert answer.get("Connection") == "close"
        assert c.ended()


def test_http_10(simple):
    p = simple()
    with p.client() as c:
        c.send("GET /old HTTP/1.0\r\nHost: site.test\r\n\r\n")
        assert c.response().json()["target"] == "/old"
        assert c.ended()
    with p.client() as c:
        for _ in range(2):
            c.send("GET /old HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\n\r\n")
            answer = c.response()
            assert answer.json()["target"] == "/old"
            if answer.get("Connection", "").lower() != "keep-alive":
                assert c.ended()
                break


def test_http_10_client_is_sent_no_chunks(simple, recorder):
    origin = recorder(
        origins.reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    )
    with simple(origin.address).client() as c:
        c.send("GET / HTTP/1.0\r\nHost: site.test\r\n\r\n")
        answer = c.response()
        assert answer.get("Transfer-Encoding") is None
        assert answer.body == b"hello"


@pytest.mark.memory
def test_pipelined_requests_are_answered_in_order(simple, echo):
    n = 40
    with simple().client() as c:
        c.send("".join("GET /%d HTTP/1.1\r\nHost: site.test\r\n\r\n" % i for i in range(n)))
        assert [c.response().json()["target"] for _ in range(n)] == ["/%d" % i for i in range(n)]


@pytest.mark.memory
def test_pipelined_request_behind_a_body(simple, echo):
    with simple().client() as c:
        c.send(
            "POST /a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc"
            "POST /b HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            "GET /c HTTP/1.1\r\nHost: site.test\r\n\r\n"
        )
        assert [c.response().json()["target"] for _ in range(3)] == ["/a", "/b", "/c"]
    assert [r.body for r in echo.requests] == [b"abc", b"abc", b""]


def test_bytes_may_come_one_by_one(simple, echo):
    request = b"POST /slow HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with simple().client() as c:
        for i in range(len(request)):
            c.send(request[i : i + 1])
        assert c.response().json()["body"] == "abc"


# --- interim and early responses ---


def test_a_client_that_only_closed_its_half_gets_the_answer(simple, recorder):
    asked, answer = threading.Event(), threading.Event()

    def slow(c):
        c.request()
        asked.set()
        answer.wait(wait.DEADLINE)
        c.answer(body="late")

    p = simple(recorder(slow).address, listeners=[proxy.listener(tls=False)])
    with p.client(tls=False) as c:
        c.send_request("GET", "/")
        c.raw.shutdown(socket.SHUT_WR)
        assert asked.wait(wait.DEADLINE)
        answer.set()
        assert c.response().body == b"late"


@pytest.mark.parametrize("name", ["X_Forwarded_For", "x-forwarded_for", "X_REAL_IP", "X_Forwarded_Proto",
                                  "X-Forwarded-Ssl", "X-Forwarded-Prefix", "X_Forwarded-Server"])  # fmt: skip
def test_forwarding_fields_in_disguise_are_not_believed(simple, echo, name):
    """Many an origin takes '_' for '-', and knows more of them than we set; in trailers they have no business at all."""
    with simple().client() as c:
        answer = c.request(fields={name: "192.0.2.66"})
        assert "192.0.2.66" not in answer.text
        c.send("POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s: 192.0.2.66\r\nX-Sum: 1\r\n\r\n" % name)
        answer = c.response()
        assert "192.0.2.66" not in answer.text
        assert answer.status == 400 or "X-Sum" in answer.text


@pytest.mark.memory
def test_100_continue(simple, echo):
    with simple().client() as c:
        for _ in range(2):
            c.send_request("POST", "/", {"Expect": "100-continue", "Content-Length": "4"})
            answer = c.reader.line()
            assert answer.startswith(b"HTTP/1.1 100")
            assert c.reader.fields() is not None
            c.send(b"body")
            assert c.response().json()["body"] == "body"


def test_curl_uploads_with_100_continue(simple, ca, directory):
    p = simple()
    (directory / "upload").write_bytes(b"u" * 2_000_000)
    done = client.curl(p.port, "/up", "-H", "Expect: 100-continue", "-T", directory / "upload", ca=ca)
    assert json.loads(done.stdout)["length"] == 2_000_000


def test_final_answer_in_place_of_100(simple, recorder):
    def refuse(c):
        c.request_head()
        c.answer("401 Unauthorized", fields=[("Connection", "close")])

    with simple(recorder(refuse).address).client() as c:
        c.send_request("POST", "/", {"Expect": "100-continue", "Content-Length": "400000"})
        answer = c.response()
        assert answer.status in (401, 200)
        assert answer.status == 401


def test_early_hints_are_passed_on(simple, recorder):
    origin = recorder(
        origins.reply(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    )
    p = simple(origin.address)
    with p.client() as c:
        for _ in range(2):
            answer = c.request()
            assert answer.body == b"ok"
            assert [i.status for i in answer.interim] == [103]
            assert answer.interim[0].get("Link") == "</a.css>"
    with p.client() as c:
        c.send("GET / HTTP/1.0\r\nHost: site.test\r\n\r\n")
        assert [i.status for i in c.response().interim] == [], "HTTP/1.0 knows no interim response"


@pytest.mark.memory
def test_early_response_while_the_body_is_still_coming(simple, recorder):
    def refuse(c):
        c.request_head()
        c.answer("403 Forbidden", b"no", fields=[("Connection", "close")])
        c.wait_for_end()

    with simple(recorder(refuse).address).client() as c:
        c.send_request("POST", "/", {"Content-Length": str(50_000_000)})
        c.send(b"x" * 100_000)
        answer = c.response()
        assert (answer.status, answer.body) == (403, b"no")


def test_what_an_origin_sends_is_not_held_back(simple, recorder):
    """As events are streamed: each part arrives before the next is made."""
    more = threading.Semaphore(0)

    def events(c):
        c.request()
        c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(20):
            c.send("3\r\ne%02d\r\n" % i)
            assert more.acquire(timeout=wait.DEADLINE)
        c.send("0\r\n\r\n")

    with simple(recorder(events).address).client() as c:
        c.send_request()
        c.reader.response_head()
        for i in range(20):
            assert c.reader.line() == b"3"
            assert c.reader.line() == b"e%02d" % i
            more.release()


def test_what_a_client_sends_is_not_held_back(simple, recorder):
    got = threading.Semaphore(0)

    def piecewise(c):
        c.request_head()
        for _ in range(20):
            c.reader.exactly(3)
            got.release()
        c.answer(body="all")

    with simple(recorder(piecewise).address).client() as c:
        c.send_request("POST", "/", {"Content-Length": "60"})
        for _ in range(20):
            c.send("abc")
            assert got.acquire(timeout=wait.DEADLINE), "the origin has not been sent what the client sent"
        assert c.response().body == b"all"


def test_an_upload_that_breaks_off_is_no_request(simple, echo):
    p = simple(threads=1)
    with p.client() as c:
        c.send_request("POST", "/half", {"Content-Length": "1000"})
        c.send("x" * 500)
        wait.until(lambda: echo.connections and b"xxx" in echo.connections[0].received, "the first half at the origin")
    wait.until(lambda: echo.connections[0].closed.is_set(), "the origin's connection to be closed")
    assert p.get("/next").json()["target"] == "/next"
    assert echo.targets == ["/next"]


def test_a_body_in_the_smallest_chunks(simple):
    with simple().client() as c:
        c.send("POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.send("1\r\nx\r\n" * 50000 + "0\r\n\r\n")
        assert c.response().json()["length"] == 50000


def test_many_interim_responses(simple, recorder):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    origin = recorder(origins.reply(hints * 500 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    p = simple(origin.address)
    with p.client() as c:
        assert c.request().status in (200, 502)
    assert p.get().status in (200, 502)


def test_head_of_a_chunked_resource(simple, recorder):
    origin = recorder(origins.reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    with simple(origin.address).client() as c:
        for _ in range(3):
            assert c.request("HEAD").status == 200


# --- large bodies ---


@pytest.mark.threads
def test_large_bodies_both_ways(simple, nginx, ca):
    origin = nginx()
    data = bytes(range(256)) * 65536 * 2  # 32 MiB
    p = simple(origin.address, limits={"body_bytes": 0})
    with p.client() as c:
        assert c.request("PUT", "/put/big", body=data).status == 201
        answer = c.request("GET", "/put/big")
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
    assert (origin.files / "put" / "big").read_bytes() == data


class Flow:
    """Counts what a thread has moved, and waits until nothing moves any more."""

    def __init__(self):
        self.moved = 0

    def wait_stalled(self):
        last, same = -1, 0

        def stalled():
            nonlocal last, same
            same = same + 1 if self.moved == last and last > 0 else 0
            last = self.moved
            return same > 60

        wait.until(stalled, "the flow to stall", 3 * wait.DEADLINE)
        return self.moved


SIZE = 200 * 1024 * 1024
# What two pairs of socket buffers may hold, and far less than SIZE.
IN_TRANSIT = 64 * 1024 * 1024


def test_a_client_that_does_not_read_costs_no_memory(simple, recorder):
    flow = Flow()

    def endless(c):
        c.request()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        block = b"d" * 65536
        for _ in range(SIZE // len(block)):
            c.send(block)
            flow.moved += len(block)

    p = simple(recorder(endless).address)
    before = resident_kib(p.worker)
    with p.client() as c:
        c.send_request()
        assert flow.wait_stalled() < IN_TRANSIT, "the origin was read although the client takes nothing"
        assert resident_kib(p.worker) - before < 8192 * max(1, wait.SLOW)
        assert len(c.response().body) == SIZE


def test_an_origin_that_does_not_read_costs_no_memory(simple, recorder):
    flow, reads = Flow(), threading.Event()
    got = []

    def stubborn(c):
        request = c.request_head()
        reads.wait(6 * wait.DEADLINE)
        got.append(len(c.reader.exactly(int(request.get("Content-Length")))))
        c.answer(body="thanks")

    p = simple(recorder(stubborn).address, limits={"body_bytes": 0})
    before = resident_kib(p.worker)
    with p.client() as c:
        c.socket.settimeout(6 * wait.DEADLINE)

        def send():
            block = b"u" * 65536
            for _ in range(SIZE // len(block)):
                c.send(block)
                flow.moved += len(block)

        c.send_request("POST", "/", {"Content-Length": str(SIZE)})
        sender = threading.Thread(target=send)
        sender.start()
        try:
            assert flow.wait_stalled() < IN_TRANSIT, "the client was read although the origin takes nothing"
            assert resident_kib(p.worker) - before < 8192 * max(1, wait.SLOW)
        finally:
            reads.set()
            sender.join()
        assert c.response().body == b"thanks"
    assert got == [SIZE]


# --- fields on the way ---


def test_hop_by_hop_fields_go_no_further(simple):
    with simple().client() as c:
        answer = c.request(
            fields=[
                ("Connection", "keep-alive, X-Only-Here"),
                ("X-Only-Here", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Connection", "keep-alive"),
                ("TE", "trailers, deflate"),
                ("Upgrade", "h2c"),
                ("X-Stays", "1"),
            ]
        )
        names = [n for n, _ in fields_of(answer)]
        assert "x-stays" in names
        for gone in ("x-only-here", "keep-alive", "proxy-connection", "upgrade"):
            assert gone not in names
        assert all("deflate" not in v for v in values(answer, "te"))


def test_hop_by_hop_fields_of_the_answer_go_no_further(simple, recorder):
    origin = recorder(
        origins.reply(
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=9\r\n"
            b"Proxy-Connection: close\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok"
        )
    )
    with simple(origin.address).client() as c:
        names = c.request().names()
        assert "x-stays" in names
        assert not {"x-private", "keep-alive", "proxy-connection"} & set(names)


def test_end_to_end_fields_are_kept_as_they_are(simple):
    sent = [("X-Twice", "1"), ("X-Twice", "2"), ("Cookie", "a=b; c=d"), ("X-Empty", ""), ("X-Latin", "\xe9\xe8"),
            ("Accept", "*/*"), ("Authorization", "Basic QTpC")]  # fmt: skip
    with simple().client() as c:
        answer = c.request(fields=sent)
        seen = fields_of(answer)
        for name, value in sent:
            assert (name.lower(), value) in seen
        assert values(answer, "x-twice") == ["1", "2"]
        assert values(answer, "host") == ["site.test"]


SPOOFED = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Port", "70"),
    ("X-Real-IP", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7;proto=gopher;host=evil.test"),
]


def test_forwarding_fields_are_ours_alone(simple):
    with simple().client() as c:
        answer = c.request(fields=SPOOFED)
        text = json.dumps(answer.json()["fields"])
        for spoofed in ("203.0.113.7", "gopher", "evil.test"):
            assert spoofed not in text
        assert values(answer, "x-forwarded-for") == ["127.0.0.1"]
        assert values(answer, "x-forwarded-proto") == ["https"]
        assert values(answer, "x-forwarded-host") == ["site.test"]


def test_trusted_proxies_are_believed(simple):
    with simple(trusted_proxies=["127.0.0.0/8"]).client() as c:
        answer = c.request(fields=[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "http")])
        hops = [v.strip() for line in values(answer, "x-forwarded-for") for v in line.split(",")]
        assert hops == ["203.0.113.7", "127.0.0.1"]


# --- well-known clients ---


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_curl(simple, ca, version):
    p = simple()
    told = "%{http_code} %{ssl_verify_result} %{http_version}"
    done = client.curl(p.port, "/x", "--http" + version, "-w", told, "-o", "/dev/null", ca=ca)
    assert (done.stdout, done.stderr) == ("200 0 " + version, "")


def test_gnutls_cli(simple, ca):
    request = "GET /gnutls HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
    output = client.gnutls_cli(simple().port, "--x509cafile", ca.file, data=request)
    assert '"target": "/gnutls"' in output, output


def test_node(simple, ca):
    first, second = client.node_get(simple().port, "/node", ca=ca)
    assert first["status"] == second["status"] == 200
    assert not first["reused"] and second["reused"]


@pytest.mark.threads
def test_wrk(simple, nginx):
    # wrk sends no server name.
    done = client.wrk(simple(nginx().address, sites=[proxy.site("site.test", default=True)]).port)
    assert "Requests/sec" in done.stdout
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
