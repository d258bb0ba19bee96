"""Client certificates: who is let in, what the origin is told, and that no other way leads around the rule."""

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from harness import client, pki, proxy, wait
from harness.client import TLS12, TLS13
from harness.origins import Gate
from harness.ports import free_port

VERSIONS = [TLS12, TLS13]
TOLD = ["X-Client-Cert-Verify", "X-Client-Cert-Subject", "X-Client-Cert-Issuer", "X-Client-Cert-Serial",
        "X-Client-Cert-Fingerprint"]  # fmt: skip

# What a client sees that is turned away: an alert, in TLS 1.3 only when it reads; or the connection's end.
TURNED_AWAY = (ssl.SSLError, ConnectionError)


@pytest.fixture(scope="session")
def devices(pki_directory):
    return pki.Authority("Devices 2025", directory=pki_directory)


@pytest.fixture(scope="session")
def next_devices(pki_directory):
    return pki.Authority("Devices 2026", directory=pki_directory)


@pytest.fixture(scope="session")
def device(devices):
    return devices.leaf("device-1", client=True, subject=pki.subject(O="Bridge, Inc.", CN="device 1"), serial=0xC0FFEE)


def demand(mode, *authorities, **more):
    return dict({"mode": mode, "pins": [{"ca": a.file} for a in authorities]}, **more)


@pytest.fixture
def guarded(simple):
    """The proxy whose site demands what is given."""

    def start(mode, *authorities, sites=(), origins=(), **more):
        site = proxy.site("site.test", client_certificate=demand(mode, *authorities, **more))
        return simple(*origins, sites=[site, *sites])

    return start


def told(response):
    """The fields about the client certificate that reached the origin, by name."""
    fields = response.json()["fields"]
    return {n.title(): v for n, v in fields if n.lower().replace("_", "-").startswith("x-client-cert")}


def turned_away(p, **options):
    try:
        with p.client(**options) as c:
            return c.request().status in (400, 403, 495, 496)
    except TURNED_AWAY:
        return True
    except Exception as e:
        # The reader's Ended: the connection was closed without an answer.
        return type(e).__name__ == "Ended"


# --- the rule ---


def test_none_asks_for_nothing(simple, device):
    assert told(simple().get(identity=device)).get("X-Client-Cert-Verify") in (None, "NONE")


def many_units(n):
    """A subject of `n` organizational units, as text some 64 bytes each."""
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "%060d" % i) for i in range(n)])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_long_subject_is_told_whole_and_a_monstrous_one_refused(guarded, devices, version):
    p = guarded("required", devices)
    answer = told(p.get(identity=devices.leaf("long", client=True, subject=many_units(60)), version=version))
    assert answer["X-Client-Cert-Verify"] == "SUCCESS"
    assert [("%060d" % i) in answer["X-Client-Cert-Subject"] for i in range(60)] == [True] * 60
    assert turned_away(p, identity=devices.leaf("monster", client=True, subject=many_units(70)), version=version)
    p.wait_log("its subject or issuer has more than 4096 bytes")


@pytest.mark.parametrize("version", VERSIONS)
def test_required(guarded, echo, devices, device, other_ca, version):
    p = guarded("required", devices)
    assert p.get(identity=device, version=version).status == 200
    before = len(echo.requests)
    stranger = other_ca.leaf("device-1", client=True, subject=pki.subject(O="Bridge, Inc.", CN="device 1"))
    expired = devices.leaf("old", client=True, begins=-9, ends=-2)
    future = devices.leaf("young", client=True, begins=2, ends=9)
    server = devices.leaf("server.test")
    for who, identity in (("nobody", None), ("wrong CA", stranger), ("expired", expired), ("not yet valid", future),
                          ("a server's certificate", server)):  # fmt: skip
        assert turned_away(p, identity=identity, version=version), who
    assert len(echo.requests) == before
    assert p.get(identity=device, version=version).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_optional(guarded, echo, devices, device, other_ca, version):
    p = guarded("optional", devices)
    assert told(p.get(version=version))["X-Client-Cert-Verify"] == "NONE"
    assert told(p.get(identity=device, version=version))["X-Client-Cert-Verify"] == "SUCCESS"
    stranger = other_ca.leaf("device-1", client=True)
    try:
        answer = p.get(identity=stranger, version=version)
    except TURNED_AWAY:
        return
    assert told(answer)["X-Client-Cert-Verify"] != "SUCCESS"
    assert "X-Client-Cert-Subject" not in told(answer)


def test_two_pins(guarded, devices, next_devices, device, other_ca):
    p = guarded("required", devices, next_devices)
    assert p.get(identity=device).status == 200
    assert p.get(identity=next_devices.leaf("new", client=True)).status == 200
    assert turned_away(p, identity=other_ca.leaf("x", client=True))


def test_a_pin_may_be_an_intermediate(guarded, pki_directory):
    root = pki.Authority("Big Root", directory=pki_directory)
    ours, theirs = root.intermediate("Ours"), root.intermediate("Theirs")
    p = guarded("required", ours)
    assert p.get(identity=ours.leaf("a", client=True)).status == 200
    assert turned_away(p, identity=theirs.leaf("b", client=True)), "the same root, another CA"


def test_the_depth_is_kept(guarded, pki_directory):
    root = pki.Authority("Deep Root", directory=pki_directory)
    one = root.intermediate("Deep One")
    two = one.intermediate("Deep Two")
    p = guarded("required", root, depth=1)
    assert p.get(identity=one.leaf("near", client=True)).status == 200
    assert turned_away(p, identity=two.leaf("far", client=True))


def test_the_names_of_the_pins_are_sent(guarded, devices):
    done = client.s_client(guarded("optional", devices).port, "-tls1_2")
    assert "CN = Devices 2025" in done.stdout


# --- revocation ---


def test_a_revoked_certificate(guarded, devices, device, directory):
    lost = devices.leaf("lost", client=True)
    crl = pki.write(directory / "devices.crl", devices.crl(lost))
    p = guarded("required", devices, crls=[crl])
    assert p.get(identity=device).status == 200
    assert turned_away(p, identity=lost)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revocation_takes_effect_with_the_reload_and_for_tickets_too(guarded, devices, device, directory, version):
    lost = devices.leaf("lost", client=True)
    crl = directory / "devices.crl"
    pki.write(crl, devices.crl())
    p = guarded("required", devices, crls=[str(crl)])
    context = client.tls_context(identity=lost, version=version)
    with p.client(context=context) as c:
        assert c.request().status == 200
        session = c.session
    pki.write(crl, devices.crl(lost))
    p.reload()
    assert turned_away(p, context=context, session=session), "the ticket outlived the revocation"
    assert turned_away(p, identity=lost, version=version)
    assert p.get(identity=device, version=version).status == 200


def test_a_damaged_crl_keeps_what_is_in_service(guarded, devices, device, directory):
    lost = devices.leaf("lost", client=True)
    crl = directory / "devices.crl"
    pki.write(crl, devices.crl(lost))
    p = guarded("required", devices, crls=[str(crl)])
    pki.write(crl, b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    done = p.command("reload")
    assert done.returncode != 0
    assert "devices.crl" in done.stdout + done.stderr
    assert p.get(identity=device).status == 200
    assert turned_away(p, identity=lost)


# --- what the origin is told ---


@pytest.mark.memory
@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_origin_is_told(guarded, devices, device, version):
    seen = told(guarded("required", devices).get(identity=device, version=version))
    assert set(seen) == set(TOLD)
    assert seen["X-Client-Cert-Verify"] == "SUCCESS"
    assert "CN=device 1" in seen["X-Client-Cert-Subject"] and "Bridge\\, Inc." in seen["X-Client-Cert-Subject"]
    assert seen["X-Client-Cert-Issuer"] == "CN=Devices 2025"
    assert seen["X-Client-Cert-Serial"] == "C0FFEE"
    assert seen["X-Client-Cert-Fingerprint"] == device.sha256


@pytest.mark.parametrize("version", VERSIONS)
def test_the_origin_is_told_the_same_after_a_resumption(guarded, devices, device, version):
    p = guarded("required", devices)
    context = client.tls_context(identity=device, version=version)
    with p.client(context=context) as c:
        first = told(c.request())
        session = c.session
    with p.client(context=context, session=session) as c:
        assert c.resumed
        assert told(c.request()) == first


def test_a_subject_can_not_inject_a_field(guarded, devices):
    name = pki.subject(CN="a\r\nX-Admin: yes\r\n\r\nGET /evil HTTP/1.1", O="\x00\x7f")
    sly = devices.leaf("sly", client=True, subject=name)
    answer = guarded("required", devices).get(identity=sly)
    assert "x-admin" not in [n.lower() for n, _ in answer.json()["fields"]]
    assert answer.json()["target"] == "/"


FORGED = [
    variant
    for n in TOLD
    for variant in (n, n.lower(), n.replace("-", "_"), n.upper().replace("-", "_"), n.replace("Cert-", "Cert_"))
]


@pytest.mark.parametrize("mode", ["none", "optional", "required"])
def test_what_a_client_says_of_itself_is_removed(guarded, devices, device, mode):
    p = guarded(mode, *([] if mode == "none" else [devices]))
    answer = p.get(identity=device if mode == "required" else None, fields=[(n, "forged") for n in FORGED])
    assert answer.status == 200
    assert "forged" not in str(answer.json()["fields"])


# --- no way around ---


@pytest.fixture
def two_sites(guarded, devices):
    """site.test demands a certificate; open.site.test does not; other.site.test demands the same one."""
    rule = demand("required", devices)
    return guarded(
        "required", devices,
        sites=[proxy.site("open.site.test"), proxy.site("other.site.test", client_certificate=rule)],
    )  # fmt: skip


def test_host_of_another_policy_is_misdirected(two_sites, echo):
    with two_sites.client("open.site.test") as c:
        assert c.request().status == 200
        echo.forget()
        answer = c.request(host="site.test")
        assert answer.status == 421
    assert not echo.requests
    assert two_sites.counter("requests_misdirected") == 1


def test_the_case_and_form_of_host_make_no_difference(two_sites, echo):
    for host in ("SITE.TEST", "site.test.", "site.test:443", "Site.Test:%d" % two_sites.port):
        with two_sites.client("open.site.test") as c:
            assert c.request(host=host).status in (400, 421), host
    with two_sites.client("open.site.test") as c:
        c.send("GET https://site.test/ HTTP/1.1\r\nHost: open.site.test\r\n\r\n")
        assert c.response().status in (400, 421)
    assert not echo.requests


def test_host_of_the_same_policy_may_share_the_connection(two_sites, device):
    with two_sites.client("site.test", identity=device) as c:
        assert c.request().status == 200
        assert c.request(host="other.site.test").status == 200


def test_an_authenticated_connection_is_no_pass_for_other_policies(two_sites, device, echo):
    with two_sites.client("site.test", identity=device) as c:
        assert c.request(host="open.site.test").status == 421


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_of_one_policy_does_not_resume_under_another(two_sites, echo, version):
    context = client.tls_context(version=version)
    with two_sites.client("open.site.test", context=context) as c:
        assert c.request().status == 200
        session = c.session
    echo.forget()
    assert turned_away(two_sites, name="site.test", context=context, session=session)
    assert not echo.requests


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_resumes_only_under_its_own_policy(two_sites, device, version):
    """A ticket got with a certificate resumes at its own site, and is a full handshake at the open one."""
    context = client.tls_context(identity=device, version=version)
    with two_sites.client("site.test", context=context) as c:
        assert c.request().status == 200
        session = c.session
    with two_sites.client("site.test", context=context, session=session) as c:
        assert c.resumed and c.request().status == 200
    with two_sites.client("open.site.test", context=context, session=session) as c:
        assert not c.resumed
        assert c.request().status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ca_dropped_while_tickets_of_it_exist(guarded, devices, next_devices, device, version):
    p = guarded("required", devices, next_devices)
    context = client.tls_context(identity=device, version=version)
    successor = next_devices.leaf("device-1", client=True)
    with p.client(context=context) as c:
        assert c.request().status == 200
        session = c.session
    with p.client(context=context, session=session) as c:
        assert c.resumed and c.request().status == 200

    p.reconfigure(sites=[proxy.site("site.test", client_certificate=demand("required", next_devices))])
    assert turned_away(p, context=context, session=session), "the ticket outlived its CA"
    assert p.get(identity=successor, version=version).status == 200

    p.reconfigure(sites=[proxy.site("site.test", client_certificate=demand("required", devices, next_devices))])
    assert p.get(identity=device, version=version).status == 200


def test_a_rule_that_comes_with_a_reload_holds_for_open_connections(simple, echo, devices):
    """A connection opened before the site demanded a certificate does not go on as if nothing had happened."""
    p = simple()
    with p.client() as c:
        assert c.request().status == 200
        p.reconfigure(sites=[proxy.site("site.test", client_certificate=demand("required", devices))])
        echo.forget()
        assert c.request().status == 421
    assert not echo.requests


def moment(seconds):
    """So far from now, as a config has it."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("watch", [True, False])
def test_a_pin_has_its_time(simple, devices, next_devices, device, watch):
    """The old CA goes and the new one comes by the clock, without a reload; an open connection does not outlive it."""
    successor = next_devices.leaf("device-1", client=True)
    rule = {"mode": "required", "pins": [{"ca": devices.file, "until": moment(4)}, {"ca": next_devices.file, "from": moment(4)}]}
    p = simple(sites=[proxy.site("site.test", client_certificate=rule)], reload={"watch": watch})
    assert turned_away(p, identity=successor)
    with p.client(identity=device) as c:
        assert c.request().status == 200
        wait.until(lambda: not turned_away(p, identity=successor), "the new CA to come into force")
        assert c.request().status == 421
    assert turned_away(p, identity=device)


def test_when_a_pin_ends_by_its_date_connections_do_as_the_site_says(simple, devices, next_devices, device):
    pins = [{"ca": devices.file, "until": moment(3)}, {"ca": next_devices.file}]
    rule = {"mode": "required", "pins": pins, "when_refused": "close"}
    p = simple(sites=[proxy.site("site.test", client_certificate=rule)])
    with p.client(identity=device) as old, p.client(identity=next_devices.leaf("d", client=True)) as new:
        assert old.request().status == new.request().status == 200
        p.wait_log("its client certificate is no longer accepted")
        assert old.ended()
        assert new.request().status == 200


def test_a_date_that_was_moved_holds_from_the_reload_on(simple, devices, next_devices, device):
    """The files are the same: only the day on which a pin begins or ends has changed."""

    def rule(until, begins):
        pins = [{"ca": devices.file, "until": moment(until)}, {"ca": next_devices.file, "from": moment(begins)}]
        return [proxy.site("site.test", client_certificate={"mode": "required", "pins": pins})]

    successor = next_devices.leaf("device-1", client=True)
    p = simple(sites=rule(3600, 3600))
    assert p.get(identity=device).status == 200 and turned_away(p, identity=successor)
    p.reconfigure(sites=rule(-1, -1))
    assert turned_away(p, identity=device) and p.get(identity=successor).status == 200


def test_two_sites_with_the_same_pins_and_other_dates(simple, devices, device):
    def site(name, until):
        pins = [{"ca": devices.file, "until": moment(until)}]
        return proxy.site(name, client_certificate={"mode": "required", "pins": pins})

    p = simple(sites=[site("site.test", 3600), site("b.site.test", -1)])
    assert p.get(identity=device).status == 200
    assert turned_away(p, identity=device, name="b.site.test")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("when", ["close", "keep", "next_request"])
def test_what_becomes_of_the_connections_of_a_ca_that_is_dropped(guarded, devices, next_devices, device, when, version):
    successor = next_devices.leaf("device-1", client=True)
    p = guarded("required", devices, next_devices, when_refused=when)
    with p.client(identity=device, version=version) as old, p.client(identity=successor, version=version) as new:
        assert old.request().status == 200 and new.request().status == 200
        p.reconfigure(sites=[proxy.site("site.test", client_certificate=demand("required", next_devices, when_refused=when))])
        if when == "close":
            assert old.ended()
        else:
            assert old.request().status == (200 if when == "keep" else 421)
        assert new.request().status == 200
    assert turned_away(p, identity=device, version=version)


def test_dates_of_pins_that_make_no_sense(simple, devices):
    for dates, told in (({"until": "2026-02-30"}, "is no date"), ({"from": "soon"}, "is no date"),
                        ({"from": "2027-01-02", "until": "2027-01-01"}, "ends before")):  # fmt: skip
        rule = {"mode": "required", "pins": [dict({"ca": devices.file}, **dates)]}
        with pytest.raises(proxy.StartFailed) as failed:
            simple(sites=[proxy.site("site.test", client_certificate=rule)])
        assert told in failed.value.log


@pytest.mark.parametrize("version", VERSIONS)
def test_an_open_connection_goes_on_under_a_changed_rule_that_lets_it_in(guarded, devices, next_devices, device, directory, version):
    """A CRL that is renewed each day must not cost each device its connection; one that revokes it must."""
    crl = directory / "devices.crl"
    pki.write(crl, devices.crl())
    p = guarded("required", devices, crls=str(crl))
    with p.client(identity=device, version=version) as c:
        assert c.request().status == 200
        pki.write(crl, devices.crl(devices.leaf("another", client=True)))
        p.reload()
        assert c.request().status == 200
        rule = demand("required", devices, next_devices, crls=[str(crl), pki.write(directory / "next.crl", next_devices.crl())])
        p.reconfigure(sites=[proxy.site("site.test", client_certificate=rule)])
        assert c.request().status == 200
        assert c.request().status == 200
        pki.write(crl, devices.crl(device))
        p.reload()
        assert c.request().status == 421
        assert c.ended()


@pytest.mark.parametrize("when", ["close", "keep", "next_request"])
def test_what_becomes_of_the_connections_of_a_certificate_that_is_revoked(guarded, recorder, devices, device, directory, when):
    crl, gate = directory / "devices.crl", Gate()
    pki.write(crl, devices.crl())
    other = devices.leaf("other", client=True)
    p = guarded("required", devices, crls=str(crl), when_refused=when, origins=[recorder(gate).address])
    with p.client(identity=device) as busy, p.client(identity=device) as idle, p.client(identity=other) as good:
        assert idle.request(target="/free").status == 200 and good.request(target="/free").status == 200
        busy.send_request("GET", "/held")
        gate.wait_arrived()
        pki.write(crl, devices.crl(device))
        p.reload()
        if when == "close":
            assert idle.ended() and busy.ended()
            p.wait_log("its client certificate is no longer accepted")
        gate.release()
        if when != "close":
            assert busy.response().body == b"released"
            assert idle.request(target="/free").status == (200 if when == "keep" else 421)
        assert good.request(target="/free").status == 200
    assert turned_away(p, identity=device)


def test_a_connection_that_resumed_goes_on_as_well(guarded, devices, device, directory):
    crl = directory / "devices.crl"
    pki.write(crl, devices.crl())
    p = guarded("required", devices, crls=str(crl))
    with p.client(identity=device, version=TLS12) as c:
        assert c.request().status == 200
        session = c.session
    with p.client(identity=device, version=TLS12, session=session, context=c.socket.context) as c:
        assert c.request().status == 200 and c.resumed
        pki.write(crl, devices.crl(devices.leaf("another", client=True)))
        p.reload()
        assert c.request().status == 200


def test_a_pin_file_that_is_none(simple, directory):
    pki.write(directory / "nothing.pem", b"no certificate here\n")
    rule = {"mode": "required", "pins": [{"ca": str(directory / "nothing.pem")}]}
    with pytest.raises(proxy.StartFailed) as failed:
        simple(sites=[proxy.site("site.test", client_certificate=rule)])
    assert "nothing.pem" in failed.value.log


def test_plain_listeners_never_serve_a_site_that_demands_a_certificate(simple, echo, devices):
    plain = free_port()
    p = simple(
        listeners=[proxy.listener(), proxy.listener(plain, tls=False)],
        sites=[proxy.site("site.test", client_certificate=demand("required", devices))],
    )
    with p.client(port=plain, tls=False) as c:
        assert c.request().status in (403, 421)
    assert not echo.requests
