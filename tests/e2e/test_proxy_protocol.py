"""The PROXY protocol, from proxies in front and to the servers behind."""

import re
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from harness import client as clients
from harness import origins, proxy, proxy_protocol, wait, wire
from harness.client import curl, tls_context
from harness.haproxy import HAProxy
from harness.proxy import listener
from harness.proxy_protocol import LOCAL, Header, v1, v2

FROM = {"from": ["127.0.0.1"]}


def closed(p, reason):
    """How many connections of clients were closed for that reason."""
    return p.metrics()['bascule_connections_closed{reason="%s"}' % reason]


class Told(clients.Client):
    """A connection that begins with `header`, from `source`; then, with `tls`, a handshake."""

    def __init__(self, port, header, *, tls=False, source="127.0.0.1", name="site.test", pieces=None, context=None):
        self.name = name
        self.raw = self.socket = socket.create_connection(("127.0.0.1", port), wait.DEADLINE, (source, 0))
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces or [header]:
                self.raw.sendall(piece)
            if tls:
                self.socket = self.raw = (context or tls_context()).wrap_socket(self.raw, server_hostname=name)
        except BaseException:
            self.raw.close()
            raise
        self.reader = wire.Reader(self.socket.recv)


@pytest.fixture
def front(simple, echo):
    """The proxy with listeners that take the header, with TLS (first) and without (.plain)."""

    def start(*addresses, proxy_protocol=FROM, plain=None, **over):
        with_tls = listener(proxy_protocol=proxy_protocol)
        without = listener(tls=False, proxy_protocol=proxy_protocol, **(plain or {}))
        p = simple(*addresses, listeners=[with_tls, without], **over)
        p.plain = int(without["address"].rsplit(":", 1)[1])
        p.echo = echo
        return p

    return start


@pytest.fixture
def haproxy(directory):
    started = []

    def start(body, **values):
        started.append(HAProxy(directory, body, **values))
        return started[-1]

    yield start
    for h in started:
        h.stop()


def seen(response):
    """What the echoing origin was told, by the names of fields in lower case."""
    return {n.lower(): v for n, v in response.json()["fields"]}


# --- in: who the client is ---

HEADERS = {
    "v1": (v1(), "192.0.2.7"),
    "v1-v6": (v1("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v1-mapped": (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 1 2\r\n", "192.0.2.7"),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1-unknown-more": (b"PROXY UNKNOWN 192.0.2.7 192.0.2.1 1 2\r\n", "127.0.0.1"),
    "v2": (v2(), "192.0.2.7"),
    "v2-v6": (v2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v2-local": (LOCAL, "127.0.0.1"),
    "v2-local-with-addresses": (v2(command=0x20), "127.0.0.1"),
    "v2-large": (v2(tlvs=proxy_protocol.tlv(proxy_protocol.NOOP, b"\0" * 4000)), "192.0.2.7"),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_address_told_is_the_clients(front, kind, tls):
    p = front()
    header, address = HEADERS[kind]
    with Told(p.port if tls else p.plain, header, tls=tls) as c:
        for _ in range(2):
            fields = seen(c.request())
    assert fields["x-forwarded-for"] == address
    quoted = '"[%s]"' % address if ":" in address else address
    assert fields["forwarded"] == 'for=%s;proto=%s;host="site.test"' % (quoted, "https" if tls else "http")
    assert [line["client"] for line in p.access(2)] == [address] * 2


def test_what_is_told_in_pieces(front):
    p = front()
    for header in (v1(), v2(tlvs=proxy_protocol.ssl())):
        with Told(p.plain, b"", pieces=[header[i : i + 1] for i in range(len(header))]) as c:
            assert seen(c.request())["x-forwarded-for"] == "192.0.2.7"
        with Told(p.port, b"", tls=True, pieces=[header[:7], header[7:]]) as c:
            assert seen(c.request())["x-forwarded-for"] == "192.0.2.7"


def test_a_request_in_the_same_segment(front):
    p = front()
    request = b"GET /%d HTTP/1.1\r\nHost: site.test\r\n\r\n"
    for header in (v1(), v2()):
        with Told(p.plain, header + request % 1 + request % 2) as c:
            assert [c.response().json()["target"] for _ in range(2)] == ["/1", "/2"]


def test_a_handshake_in_the_same_segment(front):
    """The ClientHello comes with the header: OpenSSL writes it into memory first."""
    p = front()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tls_context().wrap_bio(incoming, outgoing, server_hostname="site.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with Told(p.port, v2() + outgoing.read()) as c:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                c.raw.sendall(outgoing.read())
                incoming.write(c.raw.recv(65536))
        assert tls.version() == "TLSv1.3"


def test_from_elsewhere_nobody_tells_anything(front):
    p = front()
    for tls in (False, True):
        with Told(p.port if tls else p.plain, b"", tls=tls, source="127.0.0.2") as c:
            assert seen(c.request())["x-forwarded-for"] == "127.0.0.2"
    with Told(p.plain, v1() + b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n", source="127.0.0.2") as c:
        assert c.response().status == 400
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Told(p.port, v1(), tls=True, source="127.0.0.2")
    assert [line["client"] for line in p.access(3)] == ["127.0.0.2"] * 3


MALFORMED = {
    "http": (b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n", "there is none"),
    "tls": (b"\x16\x03\x01\x02\x00\x01", "there is none"),
    "no-crlf": (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", "its line does not end with CR LF"),
    "endless": (b"PROXY UNKNOWN " + b"x" * 200, "its line has no end within 107 bytes"),
    "leading-zero": (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", "its line does not hold two addresses"),
    "version-3": (proxy_protocol.SIGNATURE + b"\x31\x11\0\0", "its version is not 2"),
    "command": (proxy_protocol.SIGNATURE + b"\x22\x11\0\0", "its command is neither"),
    "family": (proxy_protocol.SIGNATURE + b"\x21\x41\0\0", "its family or transport is unknown"),
    "short": (proxy_protocol.SIGNATURE + b"\x21\x11\0\x04abcd", "it is too short for its addresses"),
    "huge": (proxy_protocol.SIGNATURE + b"\x21\x11\xff\xff", "it is longer than 4096 bytes"),
    "cut-off": (v2(tlvs=b"\x02\0\x09abc"), "a value in it is cut off"),
    "checksum": (v2(tlvs=proxy_protocol.tlv(proxy_protocol.CRC32C, b"abcd")), "its checksum is wrong"),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_malformed_headers_end_the_connection(front, tls):
    p = front()
    for n, (kind, (header, why)) in enumerate(MALFORMED.items(), 1):
        mark = len(p.log)
        with Told(p.port if tls else p.plain, header) as c:
            assert c.ended(), kind
        p.wait_log(re.escape("client 127.0.0.1: no good header of the PROXY protocol came: " + why), mark)
        assert closed(p, "proxy_header") == n
    assert p.echo.requests == []
    with Told(p.plain, v1()) as c:
        assert c.request().status == 200


def test_a_header_that_does_not_come(front):
    p = front(timeouts={"handshake": "100ms"})
    for start in (b"", b"PROXY TCP4", v2()[:20]):
        with Told(p.port, start) as c:
            assert c.ended()
        p.wait_log("no good header of the PROXY protocol came: it took longer than timeouts.handshake")
    assert closed(p, "proxy_header") == 3


def test_the_end_in_place_of_a_header(front):
    """Whoever only looks whether the port is open is no error; a half of a header is."""
    p = front()
    with Told(p.plain, b""):
        pass
    wait.until(lambda: closed(p, "client") == 1, "the end to be seen")
    with Told(p.plain, v1()[:10]):
        pass
    p.wait_log("no good header of the PROXY protocol came: it is cut off")


def test_a_part_of_a_header_is_taken_at_once(front):
    """Left in the socket it would wake the loop for nothing, turn after turn."""
    p = front()
    with Told(p.plain, v1()[:10]) as c:
        wait.until(lambda: wait.unread(p.plain, c.socket.getsockname()[1]) == 0, "the part to be read")
        c.send(v1()[10:])
        assert c.request().status == 200


def test_unix_socket(front, directory):
    path = directory / "front.sock"
    p = front(plain={}, proxy_protocol={"from": ["unix:"]})
    p.reconfigure(listeners=[listener(p.port), {"address": "unix:%s" % path, "proxy_protocol": ["unix:"]}])
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(wait.DEADLINE)
        s.connect(str(path))
        s.sendall(v1() + b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
        assert seen(wire.Reader(s.recv).response())["x-forwarded-for"] == "192.0.2.7"


def test_trusted_proxies_are_told_apart_by_the_address_told(front):
    p = front(trusted_proxies=["192.0.2.0/24"])
    spoof = [("X-Forwarded-For", "203.0.113.9")]
    with Told(p.plain, v1("192.0.2.7")) as c:
        assert seen(c.request(fields=spoof))["x-forwarded-for"] == "192.0.2.7"
    with Told(p.plain, v1("198.51.100.9")) as c:
        assert seen(c.request(fields=spoof))["x-forwarded-for"] == "198.51.100.9"
    assert {line["client"] for line in p.access(2)} == {"203.0.113.9", "198.51.100.9"}


def test_listeners_change_with_a_reload(front):
    p = front()
    without = [listener(p.port), listener(p.plain, tls=False)]
    with Told(p.plain, v1()) as old:
        assert seen(old.request())["x-forwarded-for"] == "192.0.2.7"
        p.reconfigure(listeners=without)
        with Told(p.plain, b"") as c:
            assert seen(c.request())["x-forwarded-for"] == "127.0.0.1"
        assert seen(old.request())["x-forwarded-for"] == "192.0.2.7"
        p.reconfigure(listeners=[dict(one, proxy_protocol=FROM) for one in without])
        with Told(p.plain, b"GET / HTTP/1.1\r\n") as c:
            assert c.ended()


def test_a_rotation_tells_clients_apart_by_the_address_told(front, directory, ca, other_ca):
    p = front(bundles={"main": {"rotation": {"accept": proxy.CHANGES}}})

    def visit(source):
        try:
            with Told(p.port, v2(source), tls=True, context=tls_context(ca)) as c:
                return c.request("GET", "/").status
        except ssl.SSLCertVerificationError:
            return None

    assert visit("192.0.2.7") == visit("192.0.2.8") == 200
    other_ca.leaf("site.test").files(directory)
    p.reload()
    assert visit("192.0.2.7") is None
    wait.until(lambda: p.rotation()[1]["orphan_list"], "the refusal to be noted")
    assert visit("192.0.2.7") == 200, "it is shown the certificate before"
    assert visit("192.0.2.8") is None, "and nobody else is"
    wait.until(lambda: len(p.rotation()[1]["orphan_list"]) == 2, "the other's refusal to be noted")
    assert {c["address"] for c in p.rotation()[1]["orphan_list"]} == {"192.0.2.7", "192.0.2.8"}


# --- in: by what TLS ---

SHOP = proxy_protocol.tlv(proxy_protocol.AUTHORITY, b"shop.test")
TOLD_TLS = v2(tlvs=proxy_protocol.ssl() + SHOP + proxy_protocol.tlv(proxy_protocol.UNIQUE_ID, b"c-17"))


def test_tls_that_ended_in_front(front):
    edits = {"set": {"X-Version": "${tls_version}", "X-Name": "${server_name}", "X-Scheme": "${scheme}"}}
    p = front(upstreams={"origin": {"sticky": {}}})
    p.reconfigure(sites=[proxy.site("site.test", request_headers=edits)])
    with Told(p.plain, TOLD_TLS) as c:
        response = c.request()
    fields = seen(response)
    assert fields["x-forwarded-proto"] == fields["x-scheme"] == "https" and ";proto=https;" in fields["forwarded"]
    assert fields["x-version"] == "TLSv1.3" and fields["x-name"] == "shop.test"
    assert "; Secure" in response.get("set-cookie")
    line = p.access(1)[0]
    assert (line["tls"], line["server_name"], line["connection"]) == ("TLSv1.3", "shop.test", "c-17")
    with Told(p.plain, v2(tlvs=proxy_protocol.ssl(client=0))) as c:
        assert seen(c.request())["x-forwarded-proto"] == "http"


def test_tls_of_who_has_no_address(front):
    """The balancer's client came over a Unix socket: the peer's address stays, and what is told of TLS counts."""
    p = front()
    block = b"\0" * 216 + proxy_protocol.ssl()
    with Told(p.plain, proxy_protocol.SIGNATURE + b"\x21\x31" + len(block).to_bytes(2, "big") + block) as c:
        fields = seen(c.request())
    assert fields["x-forwarded-for"] == "127.0.0.1" and fields["x-forwarded-proto"] == "https"


def test_a_certificate_that_was_shown_in_front_opens_no_site(front, ca):
    """A site that demands certificates demands them of the connection itself."""
    p = front()
    p.reconfigure(sites=[proxy.site("site.test", client_certificate={"mode": "required", "pins": [{"ca": ca.file}]})])
    told = proxy_protocol.ssl(client=7, verify=0, more=proxy_protocol.tlv(proxy_protocol.SSL_CN, b"alice"))
    with Told(p.plain, v2(tlvs=told)) as c:
        assert c.request().status == 421


def test_a_redirect_is_for_those_without_tls(front):
    p = front(plain={"redirect": "https"})
    with Told(p.plain, v2()) as c:
        assert c.request().status == 301
    with Told(p.plain, TOLD_TLS) as c:
        assert c.request().status == 200


# --- in: real proxies in front ---

IN_FRONT = """
frontend in
    bind 127.0.0.1:{port} {bind}
    mode tcp
    unique-id-format id-%[rand]
    default_backend out
backend out
    mode tcp
    server bascule 127.0.0.1:{to} {send}
"""


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_haproxy_in_front(front, haproxy, send, tls, ca):
    p = front()
    h = haproxy(IN_FRONT, bind="", to=p.port if tls else p.plain, send=send)
    options = ["--interface", "127.0.0.3"]
    done = curl(h.port, "/", *options, ca=ca, scheme="https" if tls else "http")
    assert done.returncode == 0, done.stderr
    line = p.access(1)[0]
    assert line["client"] == "127.0.0.3"
    assert ("unique-id" in send) == line.get("connection", "").startswith("id-")


def test_haproxy_ends_tls_in_front(front, haproxy, identity, ca, directory):
    p = front()
    me = ca.leaf("alice", client=True)
    h = haproxy(IN_FRONT, bind="ssl crt %s ca-file %s verify optional" % (identity.file, ca.file), to=p.plain,
                send="send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c")  # fmt: skip
    done = curl(h.port, "/", "--cert", me.file, ca=ca)
    assert done.returncode == 0, done.stderr
    assert '"X-Forwarded-Proto", "https"' in done.stdout.replace("x-forwarded-proto", "X-Forwarded-Proto")
    line = p.access(1)[0]
    assert line["tls"].startswith("TLSv1.") and line["server_name"] == "site.test"


def test_haproxy_checks_our_health(front, haproxy):
    """It sends LOCAL."""
    p = front()
    haproxy(IN_FRONT, bind="", to=p.plain, send="send-proxy-v2 check inter 50ms")
    wait.until(lambda: p.counter("connections_accepted") >= 5, "some checks")
    assert "PROXY protocol" not in p.log


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_curl_in_front(front, scheme, ca):
    p = front()
    port = p.port if scheme == "https" else p.plain
    done = curl(port, "/", "--haproxy-protocol", ca=ca, scheme=scheme)
    assert done.returncode == 0, done.stderr
    assert p.access(1)[0]["client"] == "127.0.0.1"


# --- out ---


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_servers_are_told(simple, recorder, version):
    script = Header(origins.echo)
    p = simple(recorder(script).address, upstreams={"origin": {"proxy_protocol": version}})
    with p.client() as c:
        port = c.socket.getsockname()[1]
        for _ in range(3):
            assert c.request().status == 200
    (told,) = script.told
    assert told["version"] == int(version[1])
    assert told["from"] == ("127.0.0.1", port) and told["to"] == ("127.0.0.1", p.port)
    assert ("ssl" in told) == (version == "v2")


@pytest.mark.parametrize("shown", [False, True], ids=["no-certificate", "certificate"])
def test_servers_are_told_of_tls(simple, recorder, ca, shown):
    script = Header(origins.echo)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ö"), x509.NameAttribute(NameOID.COMMON_NAME, "Jörg")])
    me = ca.leaf("j", subject=subject, client=True)
    site = proxy.site("site.test", client_certificate={"mode": "optional", "pins": [{"ca": ca.file}]})
    p = simple(recorder(script).address, upstreams={"origin": {"proxy_protocol": "v2"}}, sites=[site])
    context = tls_context(ca, me if shown else None)
    with p.client(context=context) as c:
        cipher = c.socket.cipher()[0]
        assert c.request().status == 200
        session = c.socket.session
    with p.client(context=context, session=session) as c:
        assert c.socket.session_reused and c.request().status == 200
    told, resumed = script.told
    assert told["authority"] == b"site.test"
    assert resumed["ssl"]["client"] == (5 if shown else 1), "the session has a certificate, this connection has not shown it"
    expected = {"client": 1, "verify": 1, proxy_protocol.SSL_VERSION: "TLSv1.3", proxy_protocol.SSL_CIPHER: cipher}
    if shown:
        expected.update({"client": 7, "verify": 0, proxy_protocol.SSL_CN: "Jörg"})
    assert told["ssl"] == expected


def test_servers_with_tls_are_told_before_the_handshake(simple, recorder, ca, identity):
    script = Header(origins.echo, identity)
    tls = {"ca": ca.file, "name": "site.test"}
    p = simple(recorder(script).address, upstreams={"origin": {"proxy_protocol": "v2", "tls": tls}})
    with p.client() as c:
        assert c.request("POST", body=b"x" * 100000).json()["length"] == 100000
        assert c.request().status == 200
    assert len(script.told) == 1


def test_without_tls_nothing_is_told_of_it(front, recorder):
    script = Header(origins.echo)
    p = front(recorder(script).address, upstreams={"origin": {"proxy_protocol": "v2"}})
    with Told(p.plain, v1()) as c:
        assert c.request().status == 200
    told = script.told[0]
    assert "ssl" not in told and "authority" not in told
    assert told["from"] == ("192.0.2.7", 4711) and told["to"] == ("198.51.100.1", 443)


def test_what_was_told_is_passed_on(front, recorder):
    script = Header(origins.echo)
    p = front(recorder(script).address, upstreams={"origin": {"proxy_protocol": "v2"}})
    cn = proxy_protocol.tlv(proxy_protocol.SSL_CN, b"alice") + proxy_protocol.tlv(proxy_protocol.SSL_CIPHER, b"X")
    tlvs = proxy_protocol.ssl(client=3, verify=0, more=cn) + SHOP + proxy_protocol.tlv(proxy_protocol.UNIQUE_ID, b"\1\2")
    with Told(p.plain, v2("2001:db8::7", "2001:db8::1", 7, 8, tlvs=tlvs)) as c:
        assert c.request().status == 200
    told = script.told[0]
    assert told["from"] == ("2001:db8::7", 7) and told["to"] == ("2001:db8::1", 8)
    assert told["authority"] == b"shop.test" and told["unique_id"] == b"\1\2"
    assert told["ssl"] == {"client": 7, "verify": 0, proxy_protocol.SSL_VERSION: "TLSv1.3", proxy_protocol.SSL_CN: "alice",
                           proxy_protocol.SSL_CIPHER: "X"}  # fmt: skip


def test_a_client_of_a_unix_socket_has_no_address_to_tell(simple, recorder, directory, port):
    script = Header(origins.echo)
    path = directory / "front.sock"
    p = simple(recorder(script).address, upstreams={"origin": {"proxy_protocol": "v1"}},
               listeners=[listener(port), {"address": "unix:%s" % path}])  # fmt: skip
    for version in ("v1", "v2"):
        p.reconfigure(upstreams={"origin": {"proxy_protocol": version}})
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(wait.DEADLINE)
            s.connect(str(path))
            s.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
            assert wire.Reader(s.recv).response().status == 200
    assert script.told == [{"version": 1}, {"version": 2}]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_behind(simple, nginx, version):
    body = 'location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port $remote_addr"; }'
    n = nginx(body=body, proxy_protocol=True)
    p = simple(n.address, upstreams={"origin": {"proxy_protocol": version}})
    with p.client() as c:
        port = c.socket.getsockname()[1]
        for _ in range(3):
            assert c.request().text == "127.0.0.1 %d %d 127.0.0.1" % (port, p.port)


BEHIND = """
frontend in
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string "{what}"
"""
SEEN = "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]"


def test_haproxy_in_front_and_behind(front, haproxy, ca):
    behind = haproxy(BEHIND, what=SEEN)
    p = front(behind.address, upstreams={"origin": {"proxy_protocol": "v2"}})
    h = haproxy(IN_FRONT, bind="", to=p.port, send="send-proxy-v2 proxy-v2-options crc32c,unique-id")
    done = curl(h.port, "/", "--interface", "127.0.0.4", ca=ca)
    words = done.stdout.split()
    assert words[0] == "127.0.0.4" and words[2:5] == ["127.0.0.1", str(h.port), "site.test"]
    assert words[5].startswith("id-")


def test_connections_are_not_shared(simple, recorder):
    script = Header(origins.echo)
    origin = recorder(script)
    p = simple(origin.address, upstreams={"origin": {"proxy_protocol": "v2"}}, threads=1)
    with p.client() as one, p.client() as two:
        for _ in range(3):
            assert one.request("GET", "/one").status == two.request("GET", "/two").status == 200
        assert p.counter("origin_connections_bound") == 2 and p.counter("origin_connections_idle") == 0
    for c in list(origin.connections):
        assert c.closed.wait(wait.DEADLINE), "it ends with its client"
        assert len({r.target for r in c.requests}) == 1
    assert len(origin.connections) == 2 and p.counter("origin_connections_bound") == 0


def test_an_end_of_the_servers_does_not_end_the_client(simple, recorder):
    def once(c):
        c.request()
        c.answer(body="x")

    script = Header(once)
    origin = recorder(script)
    p = simple(origin.address, upstreams={"origin": {"proxy_protocol": "v2"}})
    with p.client() as c:
        for n in range(3):
            response = c.request()
            assert response.status == 200 and response.get("connection") is None
            assert origin.connections[n].closed.wait(wait.DEADLINE)
    assert len(script.told) == 3


def test_each_server_is_told(simple, recorder):
    scripts = [Header(origins.echo), Header(origins.echo)]
    p = simple(*[recorder(s).address for s in scripts], upstreams={"origin": {"proxy_protocol": "v1"}})
    with p.client() as c:
        for _ in range(6):
            assert c.request().status == 200
    assert [len(s.told) for s in scripts] == [1, 1]


def test_an_idle_one_is_kept_as_long_as_others(simple, recorder):
    origin = recorder(Header(origins.echo))
    p = simple(origin.address, upstreams={"origin": {"proxy_protocol": "v1", "idle_time": "100ms"}})
    with p.client() as c:
        assert c.request().status == 200
        assert origin.connections[0].closed.wait(wait.DEADLINE)
        assert c.request().status == 200
    assert len(origin.connections) == 2


def test_no_idle_ones(simple, recorder):
    origin = recorder(Header(origins.echo))
    p = simple(origin.address, upstreams={"origin": {"proxy_protocol": "v1", "idle_connections": 0}})
    with p.client() as c:
        for _ in range(2):
            assert c.request().status == 200
    assert len(origin.connections) == 2


def test_a_reload_changes_what_servers_are_told(simple, recorder):
    """Connections that are open when it changes, and of a pool, are not taken for one that has begun with a header."""

    def either(c):
        first = c.socket.recv(1, socket.MSG_PEEK)
        (header if first in (b"P", b"\r") else origins.echo)(c)

    header = Header(origins.echo)
    origin = recorder(either)
    p = simple(origin.address, threads=1)
    with p.client() as c:
        assert c.request("FIRST").status == 200
        for version, n in (("v2", 1), ("v1", 2), ("none", 2), ("v2", 2)):
            p.reconfigure(upstreams={"origin": {"proxy_protocol": version}})
            assert c.request("GET").status == 200
            assert len(header.told) == n, version
    assert [t["version"] for t in header.told] == [2, 1]
