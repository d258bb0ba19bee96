"""Handshakes: versions, which certificate for which name, tickets, forms of bundles, listeners."""

import re
import signal
import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness import client, pki, proxy, wait, wire
from harness.client import TLS12, TLS13
from harness.ports import free_port


def new_tickets(output):
    return len(re.findall(r"NewSessionTicket", output))


def resumes(p, session, context, name="site.test", **options):
    """Does this session resume? A request is made on it, so that a new ticket has been read too."""
    with p.client(name, context=context, session=session, **options) as c:
        assert c.request().status == 200
        return c.resumed


def session_of(p, context, name="site.test", **options):
    with p.client(name, context=context, **options) as c:
        assert c.request().status == 200
        return c.session


# --- versions ---


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_version(simple, ca, version):
    with simple().client(ca=ca, version=version) as c:
        assert c.version == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
        assert c.request().status == 200


def test_tls_11_is_refused(simple):
    p = simple()
    done = client.s_client(p.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert re.search(r"alert protocol version|alert number 70", done.stdout + done.stderr)
    assert p.get().status == 200


def test_min_version_13(simple):
    p = simple(tls={"min_version": "1.3"})
    assert p.get(version=TLS13).status == 200
    with pytest.raises(ssl.SSLError):
        p.get(version=TLS12)


def test_garbage_in_place_of_a_handshake(simple):
    p = simple()
    for garbage in (b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n", b"\0" * 600, b"\x16\x03\x01\xff\xff" + b"\xff" * 300):
        with p.client(tls=False) as c:
            c.send(garbage)
            c.rest()
    assert p.get().status == 200


# --- names ---


@pytest.fixture
def many(bascule, directory, ca, echo, port):
    """Sites a.b.c, *.b.c, *.c, with a certificate each."""
    leaves = {"exact": ca.leaf("a.b.c"), "near": ca.leaf("*.b.c"), "far": ca.leaf("*.c"), "any": ca.leaf("default.test")}

    def start(default):
        sites = [
            proxy.site("*.c", bundle="far"),
            proxy.site("a.b.c", bundle="exact"),
            proxy.site("*.b.c", bundle="near"),
        ]
        if default:
            sites.append(proxy.site("default.test", bundle="any", default=True))
        p = bascule(
            {
                "listeners": [proxy.listener(port)],
                "bundles": {n: leaf.files(directory, n) for n, leaf in leaves.items()},
                "sites": sites,
                "upstreams": {"origin": proxy.upstream(echo.address)},
            }
        )
        p.leaves = leaves
        return p

    return start


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a.b.c", "exact"),
        ("A.B.C", "exact"),
        ("x.b.c", "near"),
        ("x.a.b.c", "near"),
        ("b.c", "far"),
        ("y.c", "far"),
        ("deep.down.y.c", "far"),
        ("default.test", "any"),
        ("nobody.example", "any"),
        (None, "any"),
    ],
)
def test_the_most_specific_name_wins(many, name, expected):
    p = many(default=True)
    with p.client(name) as c:
        assert c.serial == p.leaves[expected].serial
        assert c.request(host=name or "default.test").status == 200


def test_unknown_names_are_unrecognized(many):
    p = many(default=False)
    assert p.get(name="a.b.c").status == 200
    for options in (["-tls1_2"], ["-tls1_3"]):
        done = client.s_client(p.port, *options, name="nobody.example")
        assert re.search(r"unrecognized name|alert number 112", done.stdout + done.stderr)
    with pytest.raises(ssl.SSLError):
        p.client("c")
    with pytest.raises(ssl.SSLError):
        p.client(None)
    assert p.counter("handshakes_unrecognized") >= 4


def test_host_of_a_name_nobody_serves(simple):
    with simple().client() as c:
        assert c.request(host="nobody.example").status in (404, 421)


# --- certificates ---


def key_kind(c):
    return {rsa.RSAPublicKey: "rsa", ec.EllipticCurvePublicKey: "ec"}[
        next(k for k in (rsa.RSAPublicKey, ec.EllipticCurvePublicKey) if isinstance(c.certificate.public_key(), k))
    ]


def test_rsa_and_ecdsa_by_what_the_client_offers(bascule, directory, ca, echo, port):
    p = bascule(
        proxy.config(
            port, ca.leaf("site.test", key="ec").files(directory, "ec"), echo.address,
            bundles={"rsa": ca.leaf("site.test", key="rsa").files(directory, "rsa")},
            sites=[{"names": ["site.test"], "bundle": ["main", "rsa"], "upstream": "origin"}],
        )
    )  # fmt: skip
    with p.client(ca=ca, version=TLS12, ciphers="ECDHE-RSA-AES128-GCM-SHA256") as c:
        assert key_kind(c) == "rsa" and c.request().status == 200
    with p.client(ca=ca, version=TLS12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256") as c:
        assert key_kind(c) == "ec" and c.request().status == 200
    with p.client(ca=ca) as c:
        assert key_kind(c) == "ec", "the cheaper one where both will do"
    for offered, expected in (("rsa_pss_rsae_sha256", "rsaEncryption"), ("ecdsa_secp256r1_sha256", "id-ecPublicKey")):
        done = client.s_client(p.port, "-tls1_3", "-sigalgs", offered)
        shown = client.run("openssl", "x509", "-noout", "-text", data=done.stdout)
        assert expected in shown.stdout


def test_the_intermediates_are_sent(simple, ca, identity):
    p = simple()
    done = client.s_client(p.port, "-showcerts", "-CAfile", ca.file, "-verify_return_error")
    assert done.stdout.count("-----BEGIN CERTIFICATE-----") == 2
    assert "Verify return code: 0 (ok)" in done.stdout


def test_a_separate_chain_file(bascule, directory, ca, identity, echo, port):
    bundle = {
        "certificate": pki.write(directory / "leaf.crt", pki.cert_pem(identity.certificate)),
        "chain": pki.write(directory / "chain.crt", b"".join(pki.cert_pem(c) for c in identity.chain)),
        "key": pki.write(directory / "leaf.key", identity.key_pem),
    }
    assert bascule(proxy.config(port, bundle, echo.address)).get(ca=ca).status == 200


@pytest.mark.parametrize("form", ["files", "combined", "pkcs12"])
def test_form_of_bundle(bascule, directory, ca, identity, echo, port, form):
    p = bascule(proxy.config(port, getattr(identity, form)(directory), echo.address))
    with p.client(ca=ca) as c:
        assert c.serial == identity.serial and c.request().status == 200


def test_a_directory_of_bundles(bascule, directory, ca, echo, port):
    bundles = directory / "bundles"
    one, two, three, wild = (ca.leaf(n) for n in ("one.test", "two.test", "three.test", "*.wild.test"))
    one.combined(bundles, "one")
    two.pkcs12(bundles, "two")
    three.files(bundles / "three", "tls")
    wild.files(bundles, "wild")
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {"*": {"directory": str(bundles)}},
            "sites": [{"names": ["*.test"], "upstream": "origin"}],
            "upstreams": {"origin": proxy.upstream(echo.address)},
        }
    )
    for name, leaf in (("one.test", one), ("two.test", two), ("three.test", three), ("a.wild.test", wild)):
        with p.client(name, ca=ca) as c:
            assert c.serial == leaf.serial and c.request().status == 200


def test_many_bundles_in_a_directory(bascule, directory, ca, echo, port):
    bundles, count = directory / "bundles", wait.fewer(300, 30)
    key = pki.make_key("ec")
    leaves = [ca.leaf("n%d.test" % i, key=key) for i in range(count)]
    for i, leaf in enumerate(leaves):
        leaf.combined(bundles, "n%d" % i)
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {"*": {"directory": str(bundles)}},
            "sites": [{"names": ["*.test"], "upstream": "origin"}],
            "upstreams": {"origin": proxy.upstream(echo.address)},
        }
    )
    for i in (0, 1, count // 2, count - 1):
        with p.client("n%d.test" % i, ca=ca) as c:
            assert c.serial == leaves[i].serial


def test_a_hello_that_comes_byte_by_byte(simple):
    p = simple()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client.tls_context().wrap_bio(incoming, outgoing, server_hostname="site.test")
    with p.client(tls=False) as c:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                hello = outgoing.read()
                for i in range(len(hello)):
                    c.send(hello[i : i + 1])
                incoming.write(c.socket.recv(65536))
        assert tls.version() == "TLSv1.3"


def test_a_client_can_not_renegotiate(simple):
    done = client.s_client(simple().port, "-tls1_2", data="R\nGET / HTTP/1.1\r\n")
    assert re.search("no renegotiation|alert number 100|wrong|RENEGOTIATING", done.stdout + done.stderr)
    assert "HTTP/1.1 200" not in done.stdout


def test_no_early_data(simple, directory):
    """What could be replayed is not taken."""
    p, session = simple(), directory / "session"
    request = "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
    client.s_client(p.port, "-tls1_3", "-sess_out", session, "-ign_eof", data=request)
    pki.write(directory / "early", request.encode())
    done = client.s_client(p.port, "-tls1_3", "-sess_in", session, "-early_data", directory / "early")
    assert "Early data was accepted" not in done.stdout


@pytest.mark.parametrize("name", ["127.0.0.1", "site.test.", "SITE.TEST", "x" * 250, "a..b", "-", "\xe9.test"])
def test_odd_names_in_the_handshake(simple, name):
    p = simple()
    done = client.s_client(p.port, name=name)
    if name.lower().rstrip(".") == "site.test":
        assert "CN = site.test" in done.stdout
    else:
        assert "CN = site.test" not in done.stdout
    assert p.get().status == 200


# --- tickets ---


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_ticket_resumes(simple, version):
    p, context = simple(), client.tls_context(version=version)
    session = session_of(p, context)
    assert resumes(p, session, context)
    assert p.counter("handshakes_resumed") == 1
    assert p.counter("handshakes_full") == 1


def test_one_ticket_per_handshake(simple):
    p = simple()
    request = "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
    for version in ("-tls1_2", "-tls1_3"):
        done = client.s_client(p.port, version, "-msg", "-ign_eof", data=request)
        assert "HTTP/1.1 200" in done.stdout
        assert new_tickets(done.stdout) == 1, version


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_tickets_outlive_what_happens_to_the_proxy(simple, directory, version):
    """With a secret on disk: a reload, a new worker, a restart. Without: the supervisor's life."""
    p = simple(secret_file=pki.write(directory / "secret", b"s" * 64))
    context = client.tls_context(version=version)
    session = session_of(p, context)
    p.reload()
    assert resumes(p, session, context), "after a reload"
    kill_worker(p)
    assert resumes(p, session, context), "after the worker was replaced"
    p.restart()
    assert resumes(p, session, context), "after a restart"


def kill_worker(p):
    import os

    old = p.worker
    os.kill(old, signal.SIGKILL)
    wait.until(lambda: p.workers() and p.workers() != [old] and p.is_ready(), "another worker")


def test_without_a_secret_file_tickets_end_with_the_supervisor(simple):
    p, context = simple(), client.tls_context()
    session = session_of(p, context)
    kill_worker(p)
    assert resumes(p, session, context), "the supervisor keeps the secret for its workers"
    p.restart()
    assert not resumes(p, session, context)


def test_nodes_with_one_secret_resume_each_others_tickets(bascule, directory, identity, echo):
    secret = pki.write(directory / "secret", b"shared by all nodes of the cluster, and by nobody else")
    nodes = [
        bascule(proxy.config(free_port(), identity.files(directory), echo.address, secret_file=secret)) for _ in range(2)
    ]
    context = client.tls_context()
    assert resumes(nodes[1], session_of(nodes[0], context), context)


def test_a_damaged_ticket_is_a_full_handshake(simple, directory):
    p = simple(secret_file=pki.write(directory / "secret", b"1" * 64))
    context = client.tls_context()
    session = session_of(p, context)
    pki.write(directory / "secret", b"2" * 64)
    p.restart()
    assert not resumes(p, session, context), "a ticket under another key"
    assert resumes(p, session_of(p, context), context)


# --- listeners ---


def test_ipv4_and_ipv6_listeners(simple):
    four, six = free_port(), free_port("::1")
    p = simple(listeners=[proxy.listener(four), proxy.listener(six, "::1")])
    assert p.get(port=four).status == 200
    assert p.get(port=six, host="::1").status == 200


def test_a_listener_on_every_address(simple):
    port = free_port("::")
    p = simple(listeners=[{"address": "*:%d" % port, "tls": True}])
    for host, seen in (("127.0.0.1", "127.0.0.1"), ("::1", "::1")):
        answer = p.get(port=port, host=host)
        fields = {n.lower(): v for n, v in answer.json()["fields"]}
        assert fields["x-forwarded-for"].strip('[]"') == seen, "an IPv4 client is told as IPv4"


def test_a_plain_listener(simple):
    port = free_port()
    p = simple(listeners=[proxy.listener(port, tls=False)])
    answer = p.get(port=port, tls=False)
    assert answer.status == 200
    assert ["x-forwarded-proto", "http"] in [[n.lower(), v] for n, v in answer.json()["fields"]]


def test_a_redirecting_listener(simple, echo):
    secure, plain = free_port(), free_port()
    p = simple(
        listeners=[
            proxy.listener(secure),
            {"address": "127.0.0.1:%d" % plain, "redirect": "https", "redirect_port": secure},
        ]
    )
    with p.client(port=plain, tls=False) as c:
        answer = c.request(target="/a/b?c=d")
        assert answer.status in (301, 308)
        assert answer.get("Location") == "https://site.test:%d/a/b?c=d" % secure
        posted = c.request("POST", "/x", body=b"data")
        assert posted.status in (301, 307, 308)
    assert not echo.requests
    there = ["--connect-to", "site.test:%d:127.0.0.1:%d" % (secure, secure)]
    done = client.curl(plain, "/there", "--location", *there, scheme="http")
    assert '"target": "/there"' in done.stdout


def test_two_proxies_do_not_share_a_port(bascule, simple):
    """SO_REUSEPORT would let them, and each would get some of the connections."""
    p = simple()
    with pytest.raises(proxy.StartFailed) as failed:
        bascule(proxy.merge(p.contents, {"admin": None, "log": None}))
    assert str(p.port) in failed.value.log
    assert p.get().status == 200


def test_a_unix_socket(simple, directory):
    import socket

    path = directory / "http.sock"
    p = simple(listeners=[proxy.listener(), {"address": "unix:%s" % path}])
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(wait.DEADLINE)
        s.connect(str(path))
        s.sendall(b"GET /unix HTTP/1.1\r\nHost: site.test\r\n\r\n")
        assert wire.Reader(s.recv).response().json()["target"] == "/unix"
    assert p.get().status == 200


def test_a_taken_port_is_named(simple):
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        with pytest.raises(proxy.StartFailed) as failed:
            simple(listeners=[proxy.listener(taken)])
    assert failed.value.status != 0
    assert str(taken) in failed.value.log and re.search("in use|taken", failed.value.log)
