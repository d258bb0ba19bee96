"""A certificate changes: who is shown which one, what is learned from how clients take it, and what an administrator sees."""

import functools
import json
import os
import re
import signal
import socket
import ssl

import pytest
from cryptography import x509

from harness import client, pki, proxy, wait

NAME = "site.test"
REQUEST = b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
VERSIONS = {"1.2": client.TLS12, "1.3": client.TLS13}


@pytest.fixture
def authorities(directory):
    return [pki.Authority(n, directory=directory) for n in ("Old Root", "New Root", "Third Root")]


@pytest.fixture
def leaves(authorities):
    """Certificates of one site that follow each other, each of another authority."""
    return [a.leaf(NAME) for a in authorities]


class Rotation:
    """A proxy with the first of the certificates, and the clients that come to it."""

    def __init__(self, p, authorities, leaves):
        self.proxy = p
        self.authorities = authorities
        self.leaves = leaves
        self._contexts = {}

    def swap(self, which=1):
        """Put the certificate of this index in service."""
        self.leaves[which].files(self.proxy.directory)
        self.proxy.reload()

    def context(self, trusts, version=None, ciphers=None, identity=None):
        """Of a client that trusts the authorities of these indexes; None: it looks at none."""
        key = (trusts, version, ciphers, identity)
        if key not in self._contexts:
            c = client.tls_context(version=VERSIONS.get(version), ciphers=ciphers, identity=identity)
            if trusts is not None:
                c.verify_mode = ssl.CERT_REQUIRED
                c.check_hostname = True
                c.load_verify_locations(cadata="".join(self.authorities[i].pem.decode() for i in trusts))
            self._contexts[key] = c
        return self._contexts[key]

    def visit(self, trusts, source="127.0.0.1", *, session=None, name=NAME, **make):
        """
        A client that trusts the authorities of these indexes asks for something. The index of the certificate that it was
        served with; None when it refused what it was shown. Waits until the proxy has noticed.
        """
        with self._connect(self.context(trusts, **make), source, name, session) as s:
            try:
                s.do_handshake()
            except ssl.SSLCertVerificationError:
                self._wait_end(s)
                return None
            s.sendall(REQUEST.replace(NAME.encode(), name.encode()))
            answer = b""
            while data := s.recv(65536):
                answer += data
            assert answer.startswith(b"HTTP/1.1 404 "), answer
            self.session = s.session
            return self.index_of(s.getpeercert(binary_form=True))

    def look_and_leave(self, source="127.0.0.1", **make):
        """A client that closes after the handshake without a word, as some do that do not like what they see. The index."""
        with self._connect(self.context(None, **make), source) as s:
            s.do_handshake()
            shown = self.index_of(s.getpeercert(binary_form=True))
            with s.unwrap() as plain:
                self._wait_end(plain)
            return shown

    def _connect(self, context, source, name=NAME, session=None):
        raw = socket.create_connection(("127.0.0.1", self.proxy.port), wait.DEADLINE, (source, 0))
        return context.wrap_socket(raw, server_hostname=name, session=session, do_handshake_on_connect=False)

    @staticmethod
    def _wait_end(s):
        """The proxy closes when it has noted what this client did."""
        try:
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass

    def index_of(self, der):
        serial = x509.load_der_x509_certificate(der).serial_number
        return [leaf.serial for leaf in self.leaves].index(serial)

    def status(self, name="main"):
        return self.proxy.rotation("status", name)[1]

    def orphans(self, name="main"):
        return {c["address"]: c for c in self.status(name)["orphan_list"]}

    def tell(self, *words):
        """`bascule rotation …`, for people: exit status, output, errors."""
        done = self.proxy.command("rotation", *words)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def rotate(bascule, directory, authorities, leaves, port):
    """A function that starts a proxy whose bundle has these settings of a rotation."""

    def start(bundle=None, site=None, threads=2, bundles=None, **rotation):
        rotation = dict({"accept": proxy.CHANGES}, **rotation)
        bundle = dict(bundle or leaves[0].files(directory), rotation=rotation)
        nowhere = [{"path": "^/nowhere$", "upstream": "origin"}]  # all get 404
        sites = [proxy.merge({"names": [NAME], "bundle": "main", "routes": nowhere}, site or {})]
        p = bascule(proxy.config(port, bundle, "127.0.0.1:9", sites=sites, threads=threads, bundles=bundles or {}))
        return Rotation(p, authorities, leaves)

    return start


def handshakes(report, which):
    h = report[which]["handshakes"]
    return h["accepted"], h["rejected"], h["silent"]


# --- rescue ---


@pytest.mark.threads
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_who_refuses_is_rescued_from_the_very_next_connection(rotate, version, threads):
    r = rotate(threads=threads)
    visit = functools.partial(r.visit, (0,), "127.0.0.2", version=version)
    assert visit() == 0
    r.swap()
    assert visit() is None
    assert [visit() for _ in range(12)] == [0] * 12, "on any thread"
    assert r.visit((0, 1), "127.0.0.3", version=version) == 1, "and nobody else is"
    assert list(r.orphans()) == ["127.0.0.2"]
    report = r.status()
    assert handshakes(report, "previous") == (13, 0, 0)
    assert handshakes(report, "current") == (1, 1, 0)
    assert report["current"]["handshakes"]["alerts"] == {"unknown_ca": 1}


def test_a_stranger_is_rescued_as_well(rotate):
    r = rotate()
    r.swap()
    assert r.visit((0,)) is None
    assert r.visit((0,)) == 0


def test_silence_is_believed_the_second_time_of_one_who_was_served(rotate):
    r = rotate()
    assert r.visit((0,), "127.0.0.2") == 0
    r.swap()
    assert [r.look_and_leave("127.0.0.2") for _ in range(2)] == [1, 1]
    assert r.status()["untested"] == 0 and r.orphans()["127.0.0.2"]["suspected"]
    assert r.visit((0,), "127.0.0.2") == 0
    assert [r.look_and_leave("127.0.0.3") for _ in range(5)] == [1] * 5, "of a stranger it proves nothing"
    assert list(r.orphans()) == ["127.0.0.2"]


def test_one_silent_end_is_neither_yes_nor_no(rotate):
    r = rotate()
    assert r.visit((0,), "127.0.0.2") == r.visit((0,), "127.0.0.3") == 0
    r.swap()
    assert r.visit((0, 1), "127.0.0.3") == 1
    assert r.look_and_leave("127.0.0.2") == 1
    status, report = r.proxy.rotation()
    assert status == 3 and not report["orphan_list"]
    assert [c["address"] for c in report["untested_list"]] == ["127.0.0.2"]


def test_spare_connections_of_a_good_client_prove_nothing(rotate):
    r = rotate()
    assert r.visit((0, 1)) == 0
    r.swap()
    assert r.visit((0, 1)) == 1
    assert [r.look_and_leave() for _ in range(4)] == [1] * 4
    assert r.visit((0, 1)) == 1
    assert r.status()["orphans"] == 0


def test_silence_counts_for_nothing_when_it_is_told_so(rotate):
    r = rotate(silent_limit=0)
    assert r.visit((0,)) == 0
    r.swap()
    assert [r.look_and_leave() for _ in range(5)] == [1] * 5


def test_two_kinds_of_clients_behind_one_address(rotate):
    """What their hellos look like tells them apart."""
    r = rotate()
    assert r.visit((0,), version="1.2") == r.visit((0, 1), version="1.3") == 0
    r.swap()
    assert r.visit((0,), version="1.2") is None
    assert r.visit((0, 1), version="1.3") == 1
    for _ in range(4):
        assert r.visit((0,), version="1.2") == 0
        assert r.visit((0, 1), version="1.3") == 1
    (orphan,) = r.status()["orphan_list"]
    assert not orphan["mixed"]


@pytest.mark.threads
def test_two_clients_of_one_kind_behind_one_address(rotate):
    """They can not be told apart: both get in, if not each time."""
    r = rotate()
    assert r.visit((0,)) == 0
    r.swap()
    served = {0: 0, 1: 0}
    for _ in range(40):
        for trusts in (0, 1):
            served[trusts] += r.visit((trusts,)) == trusts
    assert served[0] >= 8 and served[1] >= 8, served
    (orphan,) = r.status()["orphan_list"] or [None]
    assert orphan is None or orphan["address"] == "127.0.0.1"


# --- and its end ---


@pytest.mark.threads
def test_who_has_moved_is_found_out_by_and_by(rotate):
    r = rotate(retry="1s", retry_max="2s")
    assert r.visit((0,)) == 0
    r.swap()
    assert r.visit((0,)) is None
    wait.until(lambda: r.visit((0,)) is None, "another offer of the new one")
    assert r.visit((0,)) == 0, "for one connection"
    wait.until(lambda: r.visit((0, 1)) == 1, "another offer")
    assert r.status()["orphans"] == 0
    assert r.proxy.rotation()[0] == 0
    assert [r.visit((0, 1)) for _ in range(5)] == [1] * 5


def test_who_refuses_the_old_one_gets_the_new_one_at_once(rotate):
    r = rotate()
    assert r.visit((0,)) == 0
    r.swap()
    assert r.visit((0,)) is None and r.visit((0,)) == 0
    assert r.visit((1,)) is None
    assert [r.visit((1,)) for _ in range(5)] == [1] * 5
    assert r.status()["orphans"] == 0


def test_a_quiet_one_that_has_moved_is_not_kept_waiting(rotate):
    r = rotate()
    assert r.visit((0,)) == 0
    r.swap()
    assert [r.look_and_leave() for _ in range(2)] == [1, 1]
    assert r.visit((0,)) == 0
    assert [r.look_and_leave() for _ in range(2)] == [0, 0]
    assert [r.visit((1,)) for _ in range(5)] == [1] * 5
    assert r.status()["orphans"] == 0


def test_shorter_intervals_hold_at_once(rotate):
    r = rotate(retry="10d", retry_max="20d")
    assert r.visit((0,)) == 0
    r.swap()
    assert r.visit((0,)) is None and r.visit((0, 1)) == 0
    r.proxy.reconfigure(bundles={"main": {"rotation": {"retry": "1s"}}})
    wait.until(lambda: r.visit((0, 1)) == 1, "another offer")


def test_the_previous_one_is_kept_for_so_long(rotate):
    r = rotate(keep_previous="1s")
    assert r.visit((0,)) == 0
    r.swap()
    r.proxy.wait_log('bundle "main": the previous generation has had its time')
    assert [r.visit((0,)) for _ in range(3)] == [None] * 3
    assert r.visit((1,)) == 1
    report = r.status()
    assert report["phase"] == "settled" and report["previous"] is None and report["previous_ends_by"] is None


def test_nobody_is_rescued_when_it_is_not_kept(rotate):
    r = rotate(keep_previous=0)
    assert r.visit((0,)) == 0
    r.swap()
    assert [r.visit((0,)) for _ in range(3)] == [None] * 3


def test_nobody_is_rescued_by_what_has_expired(rotate, authorities, directory):
    soon = authorities[0].leaf(NAME, ends=8 * wait.SLOW / 86400)
    r = rotate(bundle=soon.files(directory))
    r.leaves.append(soon)
    assert r.visit((0,)) == 3
    r.swap()
    assert r.visit((0,)) is None and r.visit((0,)) == 3
    r.proxy.wait_log("the previous generation has had its time")
    assert [r.visit((0,)) for _ in range(2)] == [None] * 2


# --- evidence ---


def offered(r, *authorities_named):
    """openssl's client, which names the authorities of these indexes: the index of the certificate it is shown."""
    named = r.proxy.directory / "named.pem"
    named.write_bytes(b"".join(r.authorities[i].pem for i in authorities_named))
    done = client.s_client(r.proxy.port, "-tls1_3", "-requestCAfile", named, data=REQUEST.decode())
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.S)
    return r.index_of(ssl.PEM_cert_to_DER_cert(pem.group()))


def test_the_authorities_that_a_client_names_decide(rotate):
    r = rotate()
    r.swap()
    assert offered(r, 0) == 0, "without a refusal before it"
    assert offered(r, 1) == 1
    assert offered(r, 0, 1) == 1, "the plan's, when it trusts both"
    assert offered(r, 2) == 1, "and when it trusts neither"
    assert r.status()["orphans"] == 0


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_resumed_session_is_no_evidence(rotate, version):
    r = rotate()
    assert r.visit((0,), version=version) == 0
    r.swap()
    assert r.visit((0,), version=version, session=r.session) == 0, "it knows the certificate from before"
    report = r.status()
    assert report["resumed"] == 1
    assert handshakes(report, "current") == (0, 0, 0) and handshakes(report, "previous") == (1, 0, 0)
    (c,) = report["untested_list"]
    assert c["last_resumed"] is not None
    status, report = r.proxy.rotation()
    assert status == 3 and "resumed" in json.dumps(report["reasons"])


@pytest.mark.threads
def test_a_handshake_that_a_reload_overtakes(rotate):
    """It goes on with what it was shown, and that is what its answer is about."""
    r = rotate()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = r.context((0,), version="1.3").wrap_bio(incoming, outgoing, server_hostname=NAME)
    with socket.create_connection(("127.0.0.1", r.proxy.port), wait.DEADLINE) as s:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        s.sendall(outgoing.read())
        flight = s.recv(16384)  # the certificate is in it
        r.swap()
        while True:
            incoming.write(flight)
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flight = s.recv(16384)
        tls.write(REQUEST)
        s.sendall(outgoing.read())
        while s.recv(65536):
            pass
    report = r.status()
    assert handshakes(report, "previous") == (1, 0, 0) and handshakes(report, "current") == (0, 0, 0)


def test_the_evidence_goes_to_the_bundle_that_was_shown(rotate, authorities, directory):
    """RSA and ECDSA for one name: a client that takes only RSA says nothing of the other."""
    old, new = ({k: a.leaf(NAME, key=k) for k in ("ec", "rsa")} for a in authorities[:2])
    r = rotate(site={"bundle": ["main", "rsa"]}, bundle=old["ec"].files(directory), 
               bundles={"rsa": dict(old["rsa"].files(directory, "rsa"), rotation={"accept": proxy.CHANGES})})  # fmt: skip
    r.leaves[:] = [old["ec"], old["rsa"], new["ec"], new["rsa"]]
    rsa = {"version": "1.2", "ciphers": "ECDHE-RSA-AES128-GCM-SHA256"}
    ec = {"version": "1.2", "ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"}
    assert r.visit((0,), "127.0.0.2", **rsa) == 1 and r.visit((0,), "127.0.0.3", **ec) == 0
    new["ec"].files(directory)
    new["rsa"].files(directory, "rsa")
    r.proxy.reload()
    assert r.visit((0,), "127.0.0.2", **rsa) is None
    assert r.visit((0,), "127.0.0.2", **rsa) == 1
    assert r.visit((0, 1), "127.0.0.3", **ec) == 2
    assert list(r.orphans("rsa")) == ["127.0.0.2"] and not r.orphans("main")
    assert handshakes(r.status("main"), "current") == (1, 0, 0)
    assert handshakes(r.status("rsa"), "current") == (0, 1, 0)
    assert r.proxy.rotation("status", "main")[0] == 0 and r.proxy.rotation("status", "rsa")[0] == 3


def test_bundles_of_a_directory(rotate, authorities, directory):
    place = directory / "many"
    place.mkdir()
    names = ["a.test", "b.test"]
    old, new = ([a.leaf(n) for n in names] for a in authorities[:2])
    for leaf, name in zip(old, names):
        leaf.combined(place, name)
    r = rotate(site={"names": names, "bundle": None}, bundle={"directory": str(place)}, retry="3d")
    r.leaves[:] = old + new
    assert [r.visit((0,), name=n) for n in names] == [0, 1]
    new[0].combined(place, names[0])
    r.proxy.reload()
    assert r.visit((0,), name="a.test") is None and r.visit((0,), name="a.test") == 0
    assert r.visit((0,), name="b.test") == 1
    assert list(r.orphans("a.test")) == ["127.0.0.1"]
    assert r.status("b.test")["phase"] == "settled"
    assert r.proxy.rotation("retire", "a.test", "--force")[0] == 0
    assert r.visit((0,), name="a.test") is None


def test_without_knowing_clients_beforehand(rotate):
    r = rotate(track=False)
    assert r.visit((0,), "127.0.0.2") == r.visit((0,), "127.0.0.3") == 0
    r.swap()
    assert r.status()["untested"] == 0, "nobody is known"
    assert r.visit((0,), "127.0.0.2") is None and r.visit((0,), "127.0.0.2") == 0
    assert [r.look_and_leave("127.0.0.3") for _ in range(4)] == [1] * 4


# --- the plan, and who tells it what ---


@pytest.mark.threads
def test_stages_go_on_by_themselves(rotate):
    r = rotate(stages=[{"share": 10, "for": "1s"}, {"share": 60, "for": "1s"}])
    r.swap()
    r.proxy.wait_log('bundle "main": a rotation begins: generation 2 for 10.00 % of the clients at first')
    r.proxy.wait_log('bundle "main": the next stage: 60.00 % of the clients')
    r.proxy.wait_log('bundle "main": all clients get the new generation')
    assert r.status()["phase"] == "complete" and r.visit((0, 1)) == 1


def test_a_stage_is_held_and_goes_on(rotate):
    sources = ["127.0.%d.9" % i for i in range(40)]
    r = rotate(stages=[{"share": 30, "for": "1d"}])
    r.swap()
    report = r.status()
    assert (report["phase"], report["share_percent"], report["stage"], report["stages"]) == ("staged", 30, 1, 2)
    assert 86300 <= report["stage_left_seconds"] <= 86400
    shown = {s: r.visit((0, 1), s) for s in sources}
    assert 0 < list(shown.values()).count(1) < 30
    assert r.tell("hold", "main")[0] == 0
    assert r.status()["phase"] == "held"
    assert "the rotation is held already" in r.tell("hold", "main")[2]
    assert "stage 1 of 2" in r.tell("status", "main")[1]
    assert r.proxy.status()["bundles"][0]["rotation"] == "held"
    assert "  (rotation: held)" in r.proxy.command("status").stdout
    assert {s: r.visit((0, 1), s) for s in sources} == shown, "each sees what it saw before"
    assert r.tell("resume", "main")[0] == 0
    assert r.status()["phase"] == "staged"
    assert r.tell("commit", "main")[0] == 0
    assert {r.visit((0, 1), s) for s in sources} == {1}
    assert "stage" not in r.tell("status", "main")[1], "it is over with them"
    assert r.tell("retire", "main", "--force")[0] == 0
    assert r.proxy.status()["bundles"][0]["rotation"] is None
    assert "(rotation" not in r.proxy.command("status").stdout


def test_who_is_among_the_first_and_refuses_is_rescued(rotate):
    sources = ["127.0.%d.9" % i for i in range(30)]
    r = rotate(stages=[{"share": 50, "for": "1d"}], rollback_clients=0)
    assert {r.visit((0,), s) for s in sources} == {0}
    r.swap()
    first = [s for s in sources if r.visit((0,), s) is None]
    assert 0 < len(first) < 30
    assert {r.visit((0,), s) for s in sources} == {0}
    assert sorted(r.orphans()) == sorted(first)
    assert r.status()["untested"] == 30 - len(first)


def test_what_makes_no_sense_is_refused(rotate):
    r = rotate()
    for word in ("hold", "resume", "commit", "rollback", "retire"):
        status, out, err = r.tell(word, "main")
        assert status == 1 and 'bundle "main"' in err and "no rotation goes on" in err, (word, out, err)
    r.swap()
    for word in ("hold", "resume"):
        status, out, err = r.tell(word, "main")
        assert status == 1 and "the rotation is complete" in err, (word, err)
    status, _, err = r.tell("rollback", "main", "--to", "7")
    assert status == 1 and "generation 7 is not kept" in err
    assert r.tell("rollback", "main", "--to", "x")[0] == 2
    assert r.tell("status", "other")[::2] == (1, "bascule rotation: the proxy answers: no bundle has this name; `bascule status` lists them\n")
    assert r.tell("status", "main", "--compromised")[0] == 2
    assert r.tell("dance", "main")[0] == r.tell("hold")[0] == r.tell()[0] == 2
    assert r.tell("hold", "main", "--force")[0] == r.tell("retire", "main", "--force", "--compromised")[0] == 2
    for query in ("hold?force=1", "commit?force", "retire?to=1", "rollback?to=1&to=2", "retire?force=1&", "resume?"):
        assert r.proxy.admin("POST", "/v1/rotations/main/" + query).status == 409, query


def test_rolled_back_and_on_again(rotate):
    r = rotate()
    assert r.visit((0, 1), "127.0.0.2") == 0
    r.swap()
    assert r.visit((1,), "127.0.0.3") == 1
    assert r.tell("rollback", "main")[0] == 0
    assert r.visit((0, 1), "127.0.0.2") == 0
    assert r.visit((1,), "127.0.0.3") is None and r.visit((1,), "127.0.0.3") == 1, "rescued by the newer one"
    status, out, _ = r.tell("status", "main")
    assert status == 3 and "it was rolled back" in out
    assert r.tell("retire", "main")[0] == 1, "the previous one is what clients get"
    assert r.tell("resume", "main")[0] == 0
    assert r.visit((0, 1), "127.0.0.2") == 1


def test_back_to_one_before_the_last(rotate):
    r = rotate()
    assert r.visit((0,), "127.0.0.2") == 0
    r.swap(1)
    assert r.visit((0, 1), "127.0.0.3") == 1
    assert r.tell("retire", "main", "--force")[0] == 0
    r.swap(2)
    assert r.visit((2,), "127.0.0.4") == 2
    status, _, err = r.tell("rollback", "main", "--to", "1")
    assert status == 1 and "clients need the previous generation" in err and "perhaps: 127.0.0.3" in err
    assert r.status()["phase"] == "complete"
    assert r.tell("rollback", "main", "--to", "1", "--force")[0] == 0
    assert r.visit((0,), "127.0.0.2") == 0
    assert r.status()["previous"]["generation"] == 1


def test_retire_is_refused_while_somebody_needs_the_old_one(rotate):
    """They were rescued, and nobody had noticed that they would not be any more."""
    r = rotate()
    assert r.visit((0,), "127.0.0.2") == r.visit((0, 1), "127.0.0.3") == r.visit((0, 1), "127.0.0.4") == 0
    r.swap()
    assert r.visit((0,), "127.0.0.2") is None and r.visit((0, 1), "127.0.0.3") == 1
    status, out, err = r.tell("retire", "main")
    assert status == 1 and out == ""
    assert err.splitlines() == [
        'bascule rotation: bundle "main": the previous generation is not given up yet:',
        "  1 client refuses the current generation",
        "  1 client known from before has neither accepted nor refused the current generation",
        "  locked out for certain: 127.0.0.2",
        "  perhaps: 127.0.0.4",
        "`bascule rotation status` with its name lists all; --force does it all the same",
    ]
    answer = r.proxy.admin("POST", "/v1/rotations/main/retire")
    assert answer.status == 409 and "locked out for certain: 127.0.0.2" in answer.text
    assert r.visit((0,), "127.0.0.2") == 0, "it is served as before"
    assert r.tell("retire", "main", "--force")[0] == 0
    assert [r.visit((0,), "127.0.0.2") for _ in range(2)] == [None] * 2


def test_what_was_compromised_is_never_served_again(rotate):
    r = rotate()
    assert r.visit((0,)) == 0
    r.swap()
    assert r.visit((0,)) is None and r.visit((0,)) == 0
    assert r.tell("retire", "main", "--compromised")[0] == 0
    assert [r.visit((0,)) for _ in range(3)] == [None] * 3
    status, _, err = r.tell("rollback", "main", "--to", "1")
    assert status == 1 and "not kept" in err


def test_files_put_back_change_places(rotate):
    r = rotate()
    assert r.visit((0,)) == 0
    r.swap()
    assert r.visit((0,)) is None
    r.swap(0)
    assert r.visit((0,)) == 0
    assert r.status()["orphans"] == 0
    r.swap(1)
    assert r.visit((0,)) == 0, "what it refuses is still known"


def test_a_third_one_leaves_the_rescued_where_they_are(rotate):
    r = rotate()
    assert r.visit((0,)) == r.visit((0, 1, 2), "127.0.0.2") == 0
    r.swap(1)
    assert r.visit((0,)) is None and r.visit((0,)) == 0
    r.swap(2)
    assert r.visit((0, 1, 2), "127.0.0.2") == 2
    r.visit((0,))  # it has to say so of the third as well
    assert r.visit((0,)) == 0


# --- without asking ---


@pytest.mark.threads
def test_rolled_back_without_asking_when_known_clients_refuse(rotate):
    sources = ["127.0.%d.%d" % (i % 3 + 1, i + 1) for i in range(12)]
    away = ["127.1.%d.1" % i for i in range(4)]
    r = rotate(rollback_clients=10, rollback_networks=3, rollback_share=50)
    assert {r.visit((0,), s) for s in sources + away} == {0}
    r.swap()
    for s in sources[:9]:
        assert r.visit((0,), s) is None
    assert r.status()["phase"] == "complete"
    assert r.visit((0,), sources[9]) is None
    line = r.proxy.wait_log('bundle "main": rolled back: 10 of 10 clients')
    assert "bascule rotation status main" in line.string
    assert r.status()["phase"] == "rolled back"
    assert {r.visit((0,), s) for s in sources} == {0}, "those who had not come yet never notice"


def test_a_small_fleet_is_rolled_back_when_most_of_it_refuses(rotate):
    r = rotate()
    sources = ["127.0.%d.1" % i for i in range(4)]
    assert {r.visit((0,), s) for s in sources} == {0}
    r.swap()
    for s in sources[:2]:
        assert r.visit((0,), s) is None and r.visit((0,), s) == 0
    assert r.status()["phase"] == "complete"
    assert r.visit((0,), sources[2]) is None
    r.proxy.wait_log("rolled back: 3 of 3 clients that had accepted the previous generation refuse the new one, from 3 networks")
    assert r.visit((0,), sources[3]) == 0, "it never notices"


@pytest.mark.parametrize("why, networks, good", [("they come from one network", 1, 4), ("they are too few of all", 3, 15)])
def test_not_rolled_back_when(rotate, why, networks, good):
    refusing = ["127.0.%d.%d" % (i % networks + 1, i + 1) for i in range(6)]
    content = ["127.1.%d.1" % i for i in range(good)]
    r = rotate(rollback_clients=5, rollback_networks=3, rollback_share=20)
    assert {r.visit((0,), s) for s in refusing + content} == {0}
    r.swap()
    for s in content:
        assert r.visit((0, 1), s) == 1
    for s in refusing:
        assert r.visit((0,), s) is None
        assert r.visit((0,), s) == 0
    assert r.status()["phase"] == "complete", why


# --- what is told ---


def test_the_verdict_and_its_exit_status(rotate):
    r = rotate()
    status, out, _ = r.tell("status", "main")
    assert status == 0 and "no rotation goes on" in out
    status, out, _ = r.tell("status")
    assert status == 0 and "No rotation goes on" in out
    assert r.visit((0,), "127.0.0.2") == r.visit((0, 1), "127.0.0.3") == 0
    r.swap()
    status, out, _ = r.tell("status", "main")
    assert status == 3 and "may go: not yet" in out and "2 clients known from before" in out
    assert r.visit((0,), "127.0.0.2") is None and r.visit((0, 1), "127.0.0.3") == 1
    status, out, _ = r.tell("status", "main")
    assert status == 3 and "no: 1 client refuses the current generation" in out
    assert re.search(r"^  127\.0\.0\.2 .* 1  -  +unknown_ca$", out, re.M), out
    status, out, _ = r.tell("status")
    assert status == 0 and re.search(r"^  main +complete +100 % +1 +0  no$", out, re.M), out
    assert r.visit((1,), "127.0.0.2") is None and r.visit((1,), "127.0.0.2") == 1
    status, out, _ = r.tell("status", "main")
    assert status == 0 and "may go: yes" in out and "all 2 clients" in out
    assert r.proxy.rotation("status", "main")[0] == 0, "the same for JSON"
    status, out, _ = r.tell("retire", "main")
    assert status == 0 and r.status()["phase"] == "settled"
    r.proxy.wait_log('bundle "main": told to retire')


def test_a_scanner_is_not_waited_for(rotate):
    r = rotate()
    assert r.visit((0, 1)) == 0
    r.swap()
    assert r.visit((0, 1)) == 1
    assert [r.visit((2,), "127.0.0.66") for _ in range(4)] == [None] * 4
    status, report = r.proxy.rotation()
    assert status == 0 and not report["orphan_list"], report["reasons"]


def test_orphans_have_the_names_that_they_gave(rotate, authorities, ca):
    """What a client certificate said of a client while it was served stands beside its address when it no longer is."""
    policy = {"mode": "optional", "pins": [{"ca": ca.file}]}
    r = rotate(site={"client_certificate": policy})
    device = ca.leaf("pump 7", subject=pki.subject(CN="pump 7", O="Works \x1b[31mNorth"), client=True)
    assert r.visit((0,), identity=device) == 0
    r.swap()
    assert r.visit((0,), identity=device) is None
    (orphan,) = r.status()["orphan_list"]
    assert "CN=pump 7" in orphan["name"]
    _, out, _ = r.tell("status", "main")
    assert "CN=pump 7" in out and "\x1b" not in out


def test_two_generations_are_described(rotate, leaves):
    r = rotate()
    r.swap()
    report = r.status()
    for which, leaf in (("previous", leaves[0]), ("current", leaves[1])):
        assert int(report[which]["serial"], 16) == leaf.serial
        assert report[which]["fingerprint"] == leaf.sha256, "what openssl says of the file"
        assert 88 <= report[which]["days_left"] <= 90
    assert (report["previous"]["generation"], report["current"]["generation"]) == (1, 2)
    assert report["begun"] and report["previous_ends_by"] and report["tickets_end"]


def test_metrics_tell_of_a_rotation(rotate):
    r = rotate()
    assert r.visit((0,), "127.0.0.2") == r.visit((0,), "127.0.0.3") == 0
    r.swap()
    assert r.visit((0,), "127.0.0.2") is None
    m = r.proxy.metrics()
    assert m['bascule_rotation_orphans{bundle="main"}'] == 1
    assert m['bascule_rotation_untested{bundle="main"}'] == 1


def test_the_rotation_outlives_the_worker(rotate):
    r = rotate()
    assert r.visit((0,)) == 0
    r.swap()
    assert r.visit((0,)) is None and r.visit((0,)) == 0
    r.proxy.wait_handed_over()
    worker = r.proxy.worker
    os.kill(worker, signal.SIGKILL)
    wait.until(lambda: r.proxy.workers() not in ([], [worker]) and r.proxy.is_ready(), "the next worker")
    assert r.visit((0,)) == 0
    assert list(r.orphans()) == ["127.0.0.1"]


# --- started by name ---


def test_start_when_there_is_nothing_to_start(rotate):
    r = rotate(stages=[{"share": 50, "for": "1d"}])
    status, _, err = r.tell("start", "main")
    assert status == 1 and 'bundle "main": nothing has changed: generation 1 is served to all' in err
    r.swap()
    status, _, err = r.tell("start", "main")
    assert status == 1 and "nothing has changed: the rotation to generation 2 goes on, and is staged" in err
    assert r.tell("start", "main", "--accept", "no-such-loss")[0] == r.tell("hold", "main", "--accept", "lost-names")[0] == 2
    assert r.tell("start", "other")[0] == 1


def test_start_begins_anew_what_was_rolled_back(rotate):
    """A reload does not, nor does the watch: the files are those of the generation that was rolled back."""
    r = rotate(stages=[{"share": 50, "for": "1d"}])
    assert r.visit((0, 1)) == 0
    r.swap()
    assert r.tell("rollback", "main")[0] == 0
    r.proxy.reload()
    assert r.status()["phase"] == "rolled back"
    status, out, err = r.tell("start", "main")
    assert status == 0 and "staged" in out, err
    report = r.status()
    assert (report["phase"], report["stage"], report["current"]["generation"]) == ("staged", 1, 2)


def test_start_takes_what_the_guard_held_back_and_nothing_else(rotate, authorities, directory):
    other = [a.leaf("b.test") for a in authorities[:2]]
    place = directory / "many"
    place.mkdir()
    other[0].combined(place, "b.test")
    r = rotate(accept=[], bundles={"all": {"directory": str(place)}}, site={"names": [NAME, "b.test"], "bundle": "main"})
    r.proxy.reconfigure(reload={"watch": False})
    r.leaves[1].files(directory)
    other[1].combined(place, "b.test")
    assert r.proxy.command("reload").returncode == 3
    assert r.visit((0,)) == 0
    status, _, err = r.tell("start", "main")
    assert status == 1 and "not taken in place of generation 1" in err
    assert "if that is meant: `bascule rotation start main --accept another-root`" in err
    status, out, err = r.tell("start", "main", "--accept", "another-root,earlier-expiry")
    assert status == 0 and "generation 2" in out, err
    assert r.visit((1,)) == 1
    assert r.status("b.test")["current"]["generation"] == 1, "only what was named"
    held = [o for o in r.proxy.status()["last_reload"]["outcomes"] if o["outcome"] == "held"]
    assert [o["bundle"] for o in held] == ["b.test"], "and that is still to be seen"
    status, _, err = r.tell("start", "b.test", "--accept", "another-root,earlier-expiry")
    assert status == 0, err
    assert r.status("b.test")["current"]["generation"] == 2


def test_start_looks_at_the_disk(rotate, directory):
    """Where nobody watches, and no reload was asked for; and what is half-written is refused, and changes nothing."""
    r = rotate()
    r.proxy.reconfigure(reload={"watch": False})
    r.leaves[1].files(directory)
    assert r.visit((0,)) == 0
    assert r.tell("start", "main")[0] == 0
    assert r.visit((1,)) == 1
    files = r.leaves[2].files(directory)
    pki.write(files["key"], r.leaves[0].key_pem)
    status, _, err = r.tell("start", "main")
    assert status == 1 and "certificate and key do not match" in err
    assert r.visit((1,)) == 1


def test_what_is_to_be_started_by_hand_waits(rotate):
    r = rotate(start="manual", stages=[{"share": 50, "for": "1d"}])
    r.proxy.reconfigure(reload={"watch": True})
    r.leaves[1].files(r.proxy.directory)
    r.proxy.wait_log('notice .* bundle "main": waiting: .*is fine, and waits, since "start" is "manual": `bascule rotation start main` begins')
    done = r.proxy.command("reload")
    assert done.returncode == 0 and re.search("^  main +waiting  .*bascule rotation start main", done.stdout, re.M), done
    assert r.visit((0,)) == 0 and r.status()["phase"] == "settled"
    worker = r.proxy.worker
    os.kill(worker, signal.SIGKILL)
    wait.until(lambda: r.proxy.workers() not in ([], [worker]) and r.proxy.is_ready(), "the next worker")
    assert r.status()["phase"] == "settled" and r.status()["current"]["generation"] == 1
    status, out, err = r.tell("start", "main")
    assert status == 0 and "staged" in out, err
    assert r.status()["current"]["generation"] == 2
    assert r.tell("commit", "main")[0] == 0 and r.visit((1,)) == 1
    assert r.proxy.status()["last_reload"]["outcomes"][0]["outcome"] == "loaded"


def test_the_guard_stands_before_what_waits(rotate):
    r = rotate(start="manual", accept=[])
    r.leaves[1].files(r.proxy.directory)
    assert r.proxy.command("reload").returncode == 3
    assert r.tell("start", "main")[0] == 1
    assert r.tell("start", "main", "--accept", ",".join(proxy.CHANGES))[0] == 0
    assert r.visit((1,)) == 1
