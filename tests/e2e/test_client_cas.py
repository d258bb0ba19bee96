"""Two client CAs side by side: who comes with a certificate of which, and when the old pin may be dropped."""

import concurrent.futures
import datetime
import hashlib
import json
import os
import pathlib
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from harness import client, pki, proxy, wait
from test_client_certs import VERSIONS, demand, moment, turned_away
from test_survive import die

OLD, NEW = "CN=Fleet 2025", "CN=Fleet 2026"


@pytest.fixture(scope="session")
def old(pki_directory):
    return pki.Authority("Fleet 2025", directory=pki_directory)


@pytest.fixture(scope="session")
def new(pki_directory):
    return pki.Authority("Fleet 2026", directory=pki_directory)


@pytest.fixture
def place(directory):
    path = directory / "state"
    path.mkdir(mode=0o700)
    return path


class Site:
    """A site that pins some CAs, and what is known of who came."""

    def __init__(self, start, *authorities, over=None, **rule):
        self.rule = dict({"window": "1h"}, **rule)
        self.p = start(sites=self.sites(*authorities), **(over or {}))

    def sites(self, *authorities):
        return [proxy.site("site.test", client_certificate=demand("required", *authorities, **self.rule))]

    def pin(self, *authorities, **rule):
        self.rule.update(rule)
        self.p.reconfigure(sites=self.sites(*authorities))

    def come(self, identity, **options):
        assert self.p.get(identity=identity, **options).status == 200

    def cas(self):
        answer = self.p.admin("GET", "/v1/client-cas/site.test")
        assert answer.status == 200, answer.text
        return {ca["name"]: ca for ca in answer.json()["cas"]}

    def ca(self, name=OLD):
        return self.cas()[name]

    def whose(self, name=OLD):
        """The status of each certificate, by its subject; those of one subject in the order in which they were last seen."""
        out = {}
        for c in reversed(self.ca(name)["certificates"]):
            out.setdefault(c["subject"], []).append(c["status"])
        return {subject: " ".join(all_) for subject, all_ in out.items()}

    def says(self, name=OLD):
        return [(r["says"], r["text"]) for r in self.ca(name)["reasons"]]

    def until_closed(self):
        """What the last connection's end tells has been noted."""
        wait.until(lambda: all(c["connections"] == 0 for ca in self.cas().values() for c in ca["certificates"]), "all to be gone")


@pytest.fixture
def site(simple):
    return lambda *authorities, **more: Site(simple, *authorities, **more)


def device(ca, name, **more):
    return ca.leaf(name, client=True, **more)


# --- who comes with what ---


@pytest.mark.parametrize("version", VERSIONS)
def test_each_certificate_is_told_with_its_ca(site, old, new, version):
    s = site(old, new)
    a, b, c = device(old, "a"), device(old, "b"), device(new, "c")
    for who in (a, b, c, b):
        s.come(who, version=version)
    s.until_closed()
    assert s.whose(OLD) == {"CN=a": "current", "CN=b": "current"} and s.whose(NEW) == {"CN=c": "current"}
    seen = {row["subject"]: row for row in s.ca()["certificates"]}
    assert [row["subject"] for row in s.ca()["certificates"]] == ["CN=b", "CN=a"], "who was seen last first"
    row = seen["CN=b"]
    assert int(row["serial"], 16) == b.serial
    assert row["fingerprint"] == b.sha256 and row["address"] == "127.0.0.1" and row["handshakes"] == 2
    assert row["not_after"].startswith(b.certificate.not_valid_after.strftime("%Y-%m-%dT%H:%M:%S"))
    counts = s.ca()["counts"]
    assert (counts["certificates"], counts["current"], counts["moved"]) == (2, 2, 0)


def test_a_device_that_gets_a_new_certificate_has_moved(site, old, new):
    s = site(old, new)
    a, b, again = device(old, "a"), device(old, "b"), device(new, "a")
    for who in (a, b, again):
        s.come(who)
    s.until_closed()
    assert s.whose() == {"CN=a": "moved", "CN=b": "current"} and s.whose(NEW) == {"CN=a": "current"}
    assert {r["subject"]: r["moved_to"] for r in s.ca()["certificates"]} == {"CN=a": NEW, "CN=b": None}
    assert s.ca()["verdict"] == "no"


def test_who_uses_both_in_turns_has_not_moved(site, old, new):
    s = site(old, new)
    first, second = device(old, "a"), device(new, "a")
    for who in (first, second, first):
        s.come(who)
    s.until_closed()
    assert s.whose() == {"CN=a": "current"}
    s.come(second)
    s.until_closed()
    assert s.whose() == {"CN=a": "both"} and s.ca()["verdict"] == "no"


def test_devices_with_one_subject_are_not_taken_for_one(site, old, new):
    s = site(old, new)
    one, two = device(old, "device"), device(old, "device")
    for who in (one, two, one, device(new, "device")):
        s.come(who)
    s.until_closed()
    assert s.whose() == {"CN=device": "shared shared"} and s.ca()["verdict"] == "no"


def test_a_connection_counts_as_long_as_it_is_open(site, old, new):
    s = site(old, new)
    with s.p.client(identity=device(old, "a")) as c:
        assert c.request().status == 200
        s.come(device(new, "a"))
        row = s.ca()["certificates"][0]
        assert row["connections"] == 1 and row["status"] == "both"
        assert s.ca()["counts"]["connected"] == 1
    s.until_closed()
    assert s.whose() == {"CN=a": "moved"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumption_counts_as_seen(site, old, new, pki_directory, version):
    """Also of a certificate that an intermediate of the pinned CA issued: there is no chain to see that by."""
    s = site(old, new)
    for who, ca in ((device(old, "a"), OLD), (device(new.intermediate("Below"), "b"), NEW)):
        context = client.tls_context(identity=who, version=version)
        with s.p.client(context=context) as c:
            assert c.request().status == 200
            session = c.session
        with s.p.client(context=context, session=session) as c:
            assert c.request().status == 200 and c.resumed
        [row] = s.ca(ca)["certificates"]
        assert (row["handshakes"], row["resumed"]) == (1, 1)
        assert s.ca(ca)["counts"]["not_remembered"] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumption_after_all_was_forgotten(site, old, new, version, place):
    """What it is of is told by its issuer; where that is none of the pins, nobody can tell and so it says."""
    s = site(old, new, over={"secret_file": str(place / "secret")})
    direct, below = device(old, "a"), device(new.intermediate("Between"), "b")
    sessions = {}
    for who in (direct, below):
        context = client.tls_context(identity=who, version=version)
        with s.p.client(context=context) as c:
            assert c.request().status == 200
            sessions[who] = context, c.session
    s.p.restart()
    for who, expected in ((direct, 0), (below, 1)):
        context, session = sessions[who]
        with s.p.client(context=context, session=session) as c:
            assert c.request().status == 200 and c.resumed
        assert s.ca(OLD)["counts"]["not_remembered"] == s.ca(NEW)["counts"]["not_remembered"] == expected
    s.until_closed()
    assert s.whose(OLD) == {"CN=a": "current"} and s.whose(NEW) == {}
    assert "unknown" in [says for says, _ in s.says(OLD)]


def test_a_ca_whose_certificate_was_renewed_is_the_same(site, old, new, directory):
    """The same name and key: dropping the old one of the two certificates locks nobody out."""
    renewed = pki.Authority.__new__(pki.Authority)
    renewed.__dict__.update(old.__dict__, directory=directory)
    c = old.certificate
    builder = x509.CertificateBuilder().subject_name(c.subject).issuer_name(c.subject).public_key(c.public_key())
    builder = builder.serial_number(7).not_valid_before(c.not_valid_before).not_valid_after(c.not_valid_after + pki.DAY)
    for extension in c.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    renewed.certificate = builder.sign(old.key, hashes.SHA256())
    s = site(old, renewed, new)
    s.come(device(old, "a"))
    s.until_closed()
    assert sorted(s.cas()) == [OLD, NEW] and s.whose() == {"CN=a": "current"}
    s.pin(renewed, new)
    assert s.ca()["pinned"] and s.ca()["fingerprint"] == renewed.certificate.fingerprint(hashes.SHA256()).hex()
    s.come(device(old, "b"))
    s.until_closed()
    assert s.whose() == {"CN=a": "current", "CN=b": "current"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ca_that_got_a_new_key_is_another(simple, old, new, directory, version):
    """Of the same name: what it is called by is its fingerprint."""
    for place in ("one", "two"):
        (directory / place).mkdir()
    before, after = (pki.Authority("Of One Name", directory=directory / place) for place in ("one", "two"))
    p = simple(sites=[proxy.site("site.test", client_certificate=demand("required", before, after))])
    for who in (device(before, "a"), device(before, "b"), device(after, "a")):
        context = client.tls_context(identity=who, version=version)
        with p.client(context=context) as c:
            assert c.request().status == 200
            session = c.session
        with p.client(context=context, session=session) as c:
            assert c.request().status == 200 and c.resumed
    assert p.admin("GET", "/v1/client-cas/site.test/Of%20One%20Name").status == 409
    for ca, known in ((before, 2), (after, 1)):
        answer = p.admin("GET", "/v1/client-cas/site.test/" + ca.certificate.fingerprint(hashes.SHA256()).hex()[:12])
        [found] = answer.json()["cas"]
        assert [row["resumed"] for row in found["certificates"]] == [1] * known


def test_who_is_let_in_without_a_certificate_is_not_noted(simple, old, device_count=3):
    p = simple(sites=[proxy.site("site.test", client_certificate=demand("optional", old))])
    for _ in range(device_count):
        assert p.get().status == 200
    [ca] = p.admin("GET", "/v1/client-cas/site.test").json()["cas"]
    assert ca["certificates"] == [] and ca["counts"]["not_remembered"] == 0


def test_a_site_without_pins_is_not_among_them(simple):
    p = simple()
    assert p.get().status == 200
    assert p.admin("GET", "/v1/client-cas").json() == {"sites": []}
    assert p.admin("GET", "/v1/client-cas/site.test").status == 404
    assert "No site asks for client certificates" in p.command("client-ca", "status").stdout


@pytest.mark.threads
@pytest.mark.parametrize("threads", [1, 4])
def test_many_at_once_are_counted_to_the_last_one(site, old, new, threads):
    s = site(old, new, over={"threads": threads})
    key = pki.make_key("ec")
    fleet = [device(ca, "d%d" % n, key=key) for n in range(30) for ca in ((old, new) if n % 3 == 0 else (old,))]
    by_ca = [[d for d in fleet if d.certificate.issuer == ca.certificate.subject] for ca in (old, new)]
    for generation in by_ca:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(s.come, generation * 2))
    s.until_closed()
    counts = s.ca()["counts"]
    assert (counts["certificates"], counts["current"], counts["moved"]) == (30, 20, 10)
    assert s.ca(NEW)["counts"]["current"] == 10
    rows = s.ca()["certificates"] + s.ca(NEW)["certificates"]
    assert [row["handshakes"] for row in rows] == [2] * 40


def test_openssl_and_curl(site, old, new):
    """Tools that people have: each is told by the certificate it shows, whatever speaks for it."""
    s = site(old, new)
    openssl, curl = device(old, "openssl"), device(new, "curl")
    subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % s.p.port, "-servername", "site.test", "-cert", openssl.file,
                    "-key", openssl.file, "-quiet", "-no_ign_eof"], input=b"GET / HTTP/1.0\r\nHost: site.test\r\n\r\n",
                   check=True, capture_output=True, timeout=wait.DEADLINE)  # fmt: skip
    subprocess.run(["curl", "-sSk", "--fail", "--cert", curl.file, "--resolve", "site.test:%d:127.0.0.1" % s.p.port,
                    "https://site.test:%d/" % s.p.port], check=True, capture_output=True, timeout=wait.DEADLINE)  # fmt: skip
    s.until_closed()
    assert s.whose(OLD) == {"CN=openssl": "current"} and s.whose(NEW) == {"CN=curl": "current"}


# --- may it go ---


def status(s, *words):
    return s.p.command("client-ca", "status", *words)


def test_no_until_the_last_one_has_moved(site, old, new):
    s = site(old, new, window="1s")
    a, b = device(old, "a"), device(old, "b")
    wait.until(lambda: s.ca()["verdict"] == "yes", "the watch to be as long as the window")
    with s.p.client(identity=a) as one, s.p.client(identity=b) as two:
        assert one.request().status == two.request().status == 200
        s.come(device(new, "a"))
        done = status(s, "site.test", "Fleet 2025")
        assert done.returncode == 3 and "The pin may be dropped: not yet" in done.stdout
        assert "current (1): came within the window, and nothing of another CA with the same subject since" in done.stdout
    s.come(device(new, "b"))
    s.until_closed()
    assert s.whose() == {"CN=a": "moved", "CN=b": "moved"}
    for name in ("Fleet 2025", OLD, s.ca()["fingerprint"][:8], s.ca()["fingerprint"].upper()):
        done = status(s, "site.test", name)
        assert done.returncode == 0 and "The pin may be dropped: yes" in done.stdout, done
    s.pin(new)
    assert turned_away(s.p, identity=a) and s.p.get(identity=device(new, "b")).status == 200


def test_nobody_can_tell_before_the_window_is_over(site, old, new):
    s = site(old, new)
    s.come(device(new, "a"))
    assert s.ca()["verdict"] == "unknown" and s.ca()["may_drop"] is False
    done = status(s, "site.test", OLD)
    assert done.returncode == 3 and "The pin may be dropped: nobody can tell yet" in done.stdout
    assert "not known: it has been watched for" in done.stdout


def test_the_only_pin_is_never_dropped(site, old):
    s = site(old, window="1s")
    wait.until(lambda: s.ca()["watched_seconds"] >= 1, "the window to pass")
    assert s.says()[0] == ("no", "it is the only CA that is pinned: without it no client gets in")


def test_one_too_many(site, old, new):
    s = site(old, new, remember=2, window="1s")
    one, two, three = (device(old, name) for name in "abc")
    with s.p.client(identity=one) as x, s.p.client(identity=two) as y:
        assert x.request().status == y.request().status == 200
        s.come(three)
        assert sorted(s.whose()) == ["CN=a", "CN=b"] and s.ca()["counts"]["not_remembered"] == 1
        assert ("unknown", '1 handshakes with certificates that found no room: raise "remember" (now 2)') in s.says()
    wait.until(lambda: s.whose() == {"CN=a": "absent", "CN=b": "absent"}, "the window to pass")
    s.come(three)
    assert "CN=c" in s.whose() and len(s.whose()) == 2, "one that nobody waits for has made room"


def test_nothing_is_remembered_when_told_so(site, old, new):
    s = site(old, new, remember=0)
    s.come(device(old, "a"))
    assert s.whose() == {} and s.ca()["verdict"] == "unknown"


def test_a_revoked_one_is_not_waited_for(site, old, new, directory):
    crls = [pki.write(directory / "old.crl", old.crl()), pki.write(directory / "new.crl", new.crl())]
    s = site(old, new, crls=crls)
    a = device(old, "a")
    s.come(a)
    pki.write(directory / "old.crl", old.crl(a))
    s.p.reload()
    assert turned_away(s.p, identity=a)
    wait.until(lambda: s.whose() == {"CN=a": "revoked"}, "the refusal to be noted")
    assert s.ca()["certificates"][0]["refused"] == 1


# --- after it was dropped ---


@pytest.mark.parametrize("version", VERSIONS)
def test_who_is_refused_afterwards_is_told(site, old, new, version):
    s = site(old, new)
    a, b, c = device(old, "a"), device(old, "b"), device(old, "c")
    context = client.tls_context(identity=b, version=version)
    with s.p.client(context=context) as connection:
        assert connection.request().status == 200
        session = connection.session
    s.come(a)
    s.come(device(new, "a"))
    s.until_closed()
    s.pin(new)
    assert s.ca()["pinned"] is False and s.ca()["dropped"]
    assert status(s, "site.test", OLD).returncode == 0, "nobody is missing it"
    assert turned_away(s.p, identity=a, version=version), "it has another one: it is not missing the old one"
    wait.until(lambda: sum(row["refused"] for row in s.ca()["certificates"]) == 1, "the refusal to be noted")
    assert s.ca()["verdict"] == "yes"
    assert turned_away(s.p, context=context, session=session), "its ticket has ended as well"
    wait.until(lambda: s.ca()["verdict"] == "no", "the refusal to be noted")
    assert {row["subject"]: (row["status"], row["refused"]) for row in s.ca()["certificates"]} == {"CN=a": ("moved", 1), "CN=b": ("current", 1)}
    assert turned_away(s.p, identity=c, version=version)
    wait.until(lambda: s.ca()["counts"]["strangers_refused"] == 1, "the one that was never seen to be counted")
    done = status(s, "site.test", OLD)
    assert done.returncode == 3 and "Nobody is missing it: no" in done.stdout
    assert "refused 1 times" in done.stdout and "CN=b (serial" in done.stdout and "CN=c" not in done.stdout
    s.pin(old, new)
    s.come(b)
    s.until_closed()
    assert s.ca()["pinned"] and s.ca()["counts"]["refused"] == 0


def test_a_pin_that_ends_by_its_date(simple, old, new):
    def sites(until):
        pins = [{"ca": old.file, "until": until}, {"ca": new.file}]
        return [proxy.site("site.test", client_certificate={"mode": "required", "pins": pins})]

    p = simple(sites=sites(moment(3600)))
    a = device(old, "a")
    assert p.get(identity=a).status == 200

    def ca():
        return next(ca for ca in p.admin("GET", "/v1/client-cas/site.test").json()["cas"] if ca["name"] == OLD)

    for until in (moment(7200), moment(3)):
        p.reconfigure(sites=sites(until))
        assert ca()["pinned_until"].startswith(until[:19])
    wait.until(lambda: not ca()["pinned"], "the pin to end")
    assert turned_away(p, identity=a)
    wait.until(lambda: ca()["counts"]["refused"] == 1, "the refusal to be noted")


def test_a_pin_whose_day_has_not_come(simple, old, new):
    pins = [{"ca": old.file}, {"ca": new.file, "from": "2099-07-01T12:00:00Z"}]
    p = simple(sites=[proxy.site("site.test", client_certificate={"mode": "required", "pins": pins})])
    answer = p.admin("GET", "/v1/client-cas/site.test").json()
    assert [ca["name"] for ca in answer["cas"]] == [OLD]
    assert [(pin["ca"], pin["from"][:16]) for pin in answer["coming"]] == [(new.file, "2099-07-01T12:00")]
    assert "From 2099-07-01 12:00 on: " + new.file in p.command("client-ca", "status", "site.test").stdout


# --- it lasts ---


def lasting(s):
    """What must be the same afterwards; and how long it has been watched, which only grows."""
    keep = ["status", "subject", "serial", "fingerprint", "address", "first_seen", "last_seen", "handshakes", "resumed", "moved_to", "refused"]
    return {name: (ca["pinned"], ca["pinned_since"], ca["counts"], [[row[k] for k in keep] for row in ca["certificates"]])
            for name, ca in s.cas().items()}  # fmt: skip


@pytest.mark.memory
@pytest.mark.parametrize("on_disk", [False, True])
def test_the_worker_dies(site, old, new, place, on_disk):
    s = site(old, new, over={"state_dir": str(place)} if on_disk else {})
    for who in (device(old, "a"), device(old, "b"), device(new, "a")):
        s.come(who)
    s.until_closed()
    before = lasting(s)
    wait.until(lambda: all(bytes.fromhex(row["fingerprint"]) in kept(s, place if on_disk else None) for ca in s.cas().values()
                           for row in ca["certificates"]), "them to be handed over", deadline=4 * wait.DEADLINE)  # fmt: skip
    die(s.p)
    assert lasting(s) == before
    s.come(device(new, "b"))
    s.until_closed()
    assert s.whose() == {"CN=a": "moved", "CN=b": "moved"}


FILE = "site.test.client-ca"


def kept(s, place):
    """What the supervisor has of it, on the disk or in memory."""
    held = pathlib.Path("/proc/%d/fd" % s.p.process.pid).iterdir() if place is None else [place / FILE]
    states = []
    for path in held:
        try:
            if place is not None or "bascule-state" in os.readlink(path):
                states.append(path.read_bytes())
        except OSError:
            pass
    return b"".join(state for state in states if state.startswith(b"bascule clientca"))


@pytest.mark.memory
def test_a_restart(site, old, new, place):
    s = site(old, new, over={"state_dir": str(place)})
    for who in (device(old, "a"), device(old, "b"), device(new, "a")):
        s.come(who)
    s.until_closed()
    wait.until(lambda: s.ca()["watched_seconds"] >= 1, "some time to pass")
    before = lasting(s)
    s.p.restart()
    assert stat.S_IMODE((place / FILE).stat().st_mode) == 0o600
    assert lasting(s) == before and s.ca()["watched_seconds"] >= 1
    assert s.p.stop() == 0
    s.p.change(sites=s.sites(new))
    s.p.start()
    assert s.ca()["pinned"] is False, "dropped while nobody looked"
    assert [r[:2] for r in lasting(s)[OLD][3]] == [r[:2] for r in before[OLD][3]]


def test_without_a_state_dir_a_restart_forgets(site, old, new):
    s = site(old, new)
    s.come(device(old, "a"))
    s.p.restart()
    assert s.whose() == {} and s.ca()["verdict"] == "unknown"


def newer(data):
    content = bytes([data[48] + 1]) + data[49:]
    return data[:16] + hashlib.sha256(content).digest() + content


DAMAGES = {
    "cut": (lambda data: data[:-1], "it is damaged: its checksum is another"),
    "flipped": (lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:], "it is damaged: its checksum is another"),
    "empty": (lambda data: b"", "it is empty"),
    "newer": (newer, "a newer version of bascule wrote it"),
    "another's": (lambda data: b"bascule rotation" + data[16:], "it is no state of client CAs"),
}


@pytest.mark.memory
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_state_that_is_refused(site, old, new, place, damage):
    s = site(old, new, over={"state_dir": str(place)})
    s.come(device(old, "a"))
    assert s.p.stop() == 0
    change, why = DAMAGES[damage]
    good = (place / FILE).read_bytes()
    bad = change(good)
    (place / FILE).write_bytes(bad)
    assert why in s.p.command("check").stderr
    s.p.start()
    assert (place / (FILE + ".refused")).read_bytes() == bad, "and is not touched"
    s.p.wait_log("which client certificates come to this site begins to be noted anew")
    assert why in s.p.status()["state"]["problems"] and FILE + ".refused" in s.p.command("check").stderr
    assert s.whose() == {} and s.ca()["verdict"] == "unknown"
    s.come(device(old, "b"))
    assert s.p.stop() == 0
    (place / FILE).write_bytes(good)
    s.p.start()
    assert s.whose() == {"CN=a": "current"}, "a good one put back"


def test_the_state_of_another_site(site, old, new, place):
    s = site(old, new, over={"state_dir": str(place)})
    assert s.p.stop() == 0
    os.rename(place / FILE, place / "other.test.client-ca")
    s.p.start()
    s.p.wait_log('it is the state of site "site.test", whose file is called site.test.client-ca')


# --- for people, and for machines ---


def test_what_a_person_sees(site, old, new):
    s = site(old, new)
    assert status(s).returncode == 0
    s.come(device(old, "a", subject=pki.subject(O="Bridge, Inc.", CN="a")))
    s.come(device(new, "b"))
    s.until_closed()
    all_ = status(s).stdout
    assert "site.test" in all_ and OLD in all_ and NEW in all_
    one = status(s, "site.test").stdout
    assert "Site site.test: who has not come for 1 h 0 min is not waited for" in one
    assert "Certificates that need it (1)" in one and "CN=a,O=Bridge\\, Inc. (serial" in one and "127.0.0.1" in one
    assert OLD + ": pinned since" in one and NEW + ": pinned since" in one
    assert NEW not in status(s, "site.test", OLD).stdout
    assert json.loads(status(s, "site.test", OLD, "--json").stdout)["cas"][0]["name"] == OLD


def test_what_is_asked_wrongly(site, old, new, pki_directory):
    s = site(old, new)
    for words, text in ((("nowhere.test",), "no site of this name"), (("site.test", "Nobody"), "no client CA of this name"),
                        (("site.test", "CN=Fleet"), "no client CA of this name")):  # fmt: skip
        done = status(s, *words)
        assert done.returncode == 1 and text in done.stderr, done
    assert s.p.command("client-ca").returncode == 2 and s.p.command("client-ca", "drop", "site.test").returncode == 2
    assert s.p.admin("POST", "/v1/client-cas/site.test").status == 405
    assert s.p.admin("GET", "/v1/client-cas/site.test?x=1").status == 400
    assert s.p.admin("GET", "/v1/client-cas/site.test/%zz").status == 400


def test_the_metrics(site, old, new):
    s = site(old, new)
    for who in (device(old, "a"), device(old, "b"), device(new, "a")):
        s.come(who)
    s.until_closed()
    label = '{site="site.test",ca="%s",fingerprint="%s"}' % (OLD, s.ca()["fingerprint"][:8])
    m = s.p.metrics()
    assert (m["bascule_client_ca_current" + label], m["bascule_client_ca_moved" + label]) == (1, 1)
    assert (m["bascule_client_ca_pinned" + label], m["bascule_client_ca_may_drop" + label]) == (1, 0)
