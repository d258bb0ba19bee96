"""The running proxy with its allocations failing one after the other: what is refused is new work, what served goes on."""

import ctypes
import json
import mmap
import os
import pathlib
import socket
import ssl
import tempfile

import pytest

from harness import client, origins, pki, proxy, proxy_protocol, wait, wire
from harness.h2client import H2Client
from harness.h2raw import RawOrigin
from harness.ports import free_port

# The same program with another allocator: see tests/unit/memory/failing.h. `make bascule-failing` builds it.
PROGRAM = pathlib.Path(proxy.BINARY).with_name("bascule-failing")

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="make bascule-failing builds what this needs")

# Of the program's own allocations each one fails. Of those that libraries make, too, where there are many the first ones,
# and so many spread over the rest.
FIRST, SPREAD = wait.fewer(300), wait.fewer(200)

LOST = (OSError, ssl.SSLError, wire.Ended)


class Failing(ctypes.Structure):
    """struct failing."""

    _fields_ = [(name, ctypes.c_long) for name in ("until", "most", "ours", "seen", "failed", "blocks")]


@pytest.fixture
def failing():
    """What supervisor and worker share: in it allocations are counted, and chosen to fail."""
    with tempfile.NamedTemporaryFile(prefix="bsc-failing-") as f:
        os.fchmod(f.fileno(), 0o666)
        f.truncate(ctypes.sizeof(Failing))
        shared = Failing.from_buffer(mmap.mmap(f.fileno(), ctypes.sizeof(Failing)))
        shared.path = f.name
        yield shared


class Failures:
    """Has `work` done over and over, with one allocation failing each time, and looks each time whether all goes on."""

    def __init__(self, shared, p, check):
        self.shared, self.p, self.check = shared, p, check
        self.worker = p.worker

    def allocations(self, work):
        """How many there are in it, the most of three times."""
        counts = []
        for _ in range(3):
            before = self.shared.seen
            assert work(), "it must work while nothing fails"
            counts.append(self.shared.seen - before)
        return max(counts)

    def one(self, work, n, most=1):
        self.shared.failed, self.shared.until, self.shared.most = 0, n, most
        try:
            return work()
        finally:
            self.shared.most = 0

    def each(self, work, least, libraries=True):
        for ours in (1, 0) if libraries else (1,):
            self.shared.ours = ours
            count = self.allocations(work)
            first = count if ours else FIRST
            step = max(1, (count - first) // SPREAD)
            assert ours or count >= least, "only %d allocations: is this the work that was meant?" % count
            met = 0
            for n in [*range(min(first, count)), *range(first, count, step)]:
                for most in 1, 1 << 30:
                    self.one(work, n, most)
                    met += self.shared.failed > 0
                    self.check("allocation %d%s failed" % (n, " and those after it" if most > 1 else ""))
            assert met > 0
        assert self.p.worker == self.worker, "the worker died"
        assert work(), "it must work as before"


@pytest.fixture
def served(request, bascule, failing, directory, identity, ca, echo, recorder, port):
    """A proxy with one thread and what there is to a config, and a connection to it that must go on through everything."""
    devices = pki.Authority("Devices", directory=directory)
    secure = recorder(identity=ca.leaf("127.0.0.1"))
    h2 = RawOrigin(identity=ca.leaf("127.0.0.1"), alpn=["h2"])
    request.addfinalizer(h2.stop)
    site = proxy.site(
        "site.test",
        routes=[
            {"path": "^/tls", "upstream": "secure", "request_headers": {"set": {"X-Id": "${request_id}"}}},
            {"path": "^/(alone)", "rewrite": "/$1"},
            {"path": "^/told", "upstream": "told"},
            {"path": "^/h2", "upstream": "h2"},
        ],
    )
    device_site = proxy.site(
        "device.test", client_certificate={"mode": "required", "pins": [{"ca": devices.file}]}, bundle=["main", "p12"]
    )
    contents = proxy.config(
        port, identity.files(directory), echo.address, sites=[site, device_site], threads=1,
        bundles={"p12": ca.leaf("device.test", key="rsa").pkcs12(directory)},
        upstreams={
            "origin": {"sticky": {}, "idle_connections": 1},
            "secure": proxy.upstream(secure.address, tls={"ca": ca.file}, idle_connections=0),
            "h2": proxy.upstream(h2.address, tls={"ca": ca.file}, idle_connections=0, http2=True),
            "told": proxy.upstream(recorder(proxy_protocol.Header(origins.echo)).address, proxy_protocol="v2"),
        },
    )  # fmt: skip
    p = bascule(contents, program=str(PROGRAM), environment={"FAILING": failing.path})
    p.device = devices.leaf("device-1", client=True)
    p.identity = identity
    with p.client() as kept:

        def check(when):
            assert kept.request().status == 200, "the connection that was there before: " + when

        check("before anything")
        yield Failures(failing, p, check)


# --- requests ---


def answered(p, name="site.test", expect=200, **options):
    """Did a request on a new connection get its answer? False when the connection was lost."""
    request = {k: options.pop(k) for k in ("method", "target", "fields", "body") if k in options}
    try:
        with p.client(name, **options) as c:
            answer = c.request(**request)
            assert answer.status in (expect, 500, 502, 503), "status %d" % answer.status
            return answer.status == expect
    except LOST as e:
        assert not isinstance(e, TimeoutError), "no answer and no end"
        return False


LARGE = {"X-%d" % i: "v" * 1000 for i in range(20)}
CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    "request_",
    [
        dict(target="/alone"),
        dict(version=client.TLS12),
        dict(fields=LARGE, method="POST", body=b"x" * 200000),
        dict(fields=CHUNKED, method="POST", body=b"5\r\nhello\r\n0\r\nX-T: v\r\n\r\n"),
        dict(target="/tls"),
        dict(target="/told"),
        dict(target="/h2", method="POST", body=b"x" * 1000),
        dict(name="device.test"),
        dict(target="/nowhere", name="unknown.test"),
    ],
    ids=["simple", "TLS 1.2", "large", "chunked", "TLS to the origin", "told to the origin", "HTTP/2 to the origin",
         "client certificate", "unknown"],
)
def test_a_request(served, request_):
    p = served.p
    if request_.get("name") == "device.test":
        request_["identity"] = p.device
    if request_.get("name") == "unknown.test":
        served.each(lambda: not answered(p, **request_), 20)
    else:
        served.each(lambda: answered(p, **request_), 50)


def test_a_request_of_http2(served):
    """With trailers: where there is no memory for them, the origin does not get a request that ends without."""
    p = served.p

    def work():
        try:
            with H2Client(p.port) as c:
                stream = c.request("POST", "/alone", body=b"abc", end=False)
                c.send_trailers(stream, [("x-sum", "17")])
                r = c.wait(stream)
        except LOST as e:
            assert not isinstance(e, TimeoutError), "no answer and no end"
            return False
        assert r.status in (200, 500, 502, 503, None), "status %s" % r.status
        if r.status != 200 or not r.ended:
            return False
        assert json.loads(r.body)["trailers"] == [["x-sum", "17"]]
        return True

    served.each(work, 50)


def test_a_header_of_the_proxy_protocol(served):
    """It comes in two parts, and tells of TLS: what is told is kept."""
    p = served.p
    plain = proxy.listener(tls=False, proxy_protocol=["127.0.0.1"])
    p.reconfigure(listeners=[proxy.listener(p.port), plain])
    header = proxy_protocol.v2(tlvs=proxy_protocol.ssl())

    def work():
        try:
            with p.client(port=int(plain["address"].rsplit(":", 1)[1]), tls=False) as c:
                c.send(header[:20])
                wait.until(lambda: not wait.unread(*[e[1] for e in (c.raw.getpeername(), c.raw.getsockname())]), "it to be read")
                c.send(header[20:])
                return c.request("GET", "/told").status == 200
        except LOST as e:
            assert not isinstance(e, TimeoutError), "no answer and no end"
            return False

    served.each(work, 4)


def test_a_request_on_an_open_connection(served):
    """Whatever becomes of it, the next connection is served."""

    def work():
        try:
            with served.p.client() as c:
                before = served.shared.until, served.shared.most
                served.shared.most = 0
                c.request()
                served.shared.until, served.shared.most = before
                return all(c.request("GET", "/again", LARGE).status == 200 for _ in range(2))
        except LOST as e:
            assert not isinstance(e, TimeoutError), "no answer and no end"
            return False

    served.each(work, 1)


def test_a_request_on_open_connections_allocates_nothing(served):
    """Of our own; what OpenSSL wants for its records is its matter."""
    shared, n = served.shared, 100
    shared.ours = 1
    with served.p.client() as c:
        c.request()
        before = shared.seen
        for _ in range(n):
            assert c.request().status == 200
        assert shared.seen - before < n / 2, "now and then one for a buffer of the log"


# --- reloads ---


def test_a_reload(served, directory):
    """It is done or it is refused; either way what serves is whole."""
    p = served.p

    generation = p.generation

    def work():
        nonlocal generation
        for path in directory.glob("bundle*"):
            os.utime(path)
        try:
            answer = p.admin("POST", "/v1/reload").json()
        except (*LOST, ValueError):
            answer = {}
        served.shared.most = 0
        status = p.status()
        before, generation = generation, status["generation"]
        assert generation in (before, before + 1)
        assert [b["name"] for b in status["bundles"]] == ["main", "p12"], "a bundle was lost"
        return answer.get("ok", False) and generation == before + 1

    def check(when):
        with p.client() as c:
            assert c.serial == p.identity.serial, when
            assert c.request().status == 200, when

    kept, served.check = served.check, lambda when: (kept(when), check(when))
    served.each(work, 500)


class Swaps:
    """
    A proxy with two threads that is swapped from one config to the next: each has another certificate and other settings of
    TLS, and every other one a further listener and a further bundle.
    """

    def __init__(self, bascule, failing, directory, ca, echo):
        self.shared, self.directory, self.echo = failing, directory, echo
        self.leaves = [ca.leaf("site.test"), ca.leaf("site.test")]
        self.more = ca.leaf("more.test").files(directory, "more")
        self.port, self.plain_port = free_port(), free_port()
        self.p = bascule(self.contents(0), program=str(PROGRAM), environment={"FAILING": failing.path})
        self.kept = self.one_connection_of_each_thread()
        self.n = 0
        self.before = self.what_serves()

    def contents(self, n):
        """The n-th config; writes its certificate, too."""
        bundle = dict(self.leaves[n % 2].files(self.directory), rotation={"accept": proxy.CHANGES})
        contents = proxy.config(
            self.port, bundle, self.echo.address,
            sites=[proxy.site("site.test", response_headers={"set": {"X-Swap": str(n)}})],
            tls={"ticket_lifetime": "%dh" % (1 + n % 2)}, reload={"policy": "all_or_nothing"},
        )  # fmt: skip
        if n % 2:
            contents["listeners"].append(proxy.listener(self.plain_port, tls=False))
            contents["bundles"]["more"] = self.more
        return contents

    def one_connection_of_each_thread(self):
        all_of_them = [self.p.client() for _ in range(24)]
        for i, c in enumerate(all_of_them):
            c.request(target="/%d" % i)
        by_thread = {line["thread"]: all_of_them[int(line["target"][1:])] for line in self.p.access(len(all_of_them))}
        assert len(by_thread) == 2, "all connections came to one thread"
        for c in set(all_of_them) - set(by_thread.values()):
            c.close()
        return list(by_thread.values())

    def swap(self):
        """Try the next config. Is it in service? Nothing fails any more then."""
        self.p.configure(self.contents(self.n + 1))
        try:
            self.p.admin("POST", "/v1/reload")
        except (*LOST, ValueError):
            pass
        self.shared.most = 0
        served = {c.request().get("X-Swap") for c in self.kept}
        assert served in ({str(self.n)}, {str(self.n + 1)}), "the threads serve different configs: %r" % served
        done = served == {str(self.n + 1)}
        self.n += done
        return done

    def what_serves(self):
        status = self.p.status()
        with self.p.client() as c:
            assert c.request().status == 200, "and the proxy knows that this client took the certificate"
            leaf = c.serial
        return dict(
            n=self.n, generation=status["generation"], leaf=leaf, rotations=[self.rotation("main"), self.rotation("more")],
            bundles={b["name"]: b["generation"] for b in status["bundles"]},
        )  # fmt: skip

    def rotation(self, name):
        """Its phase, when it began, and the generations that it is between; None: there is none."""
        answer = self.p.admin("GET", "/v1/rotations/" + name)
        if answer.status == 404:
            return None
        told = answer.json()
        return told["phase"], told["begun"], *(told[k] and told[k]["generation"] for k in ("current", "previous"))

    def check(self, when):
        """After a load: is all as it was, or all as the new config has it?"""
        before, now = self.before, self.what_serves()
        loads = now["n"] - before["n"]
        if loads == 0:
            assert now == before, when
        assert now["generation"] == before["generation"] + loads, when
        assert now["leaf"] == self.leaves[self.n % 2].serial, when
        assert now["bundles"]["main"] == before["bundles"]["main"] + loads, when
        assert now["rotations"][0][2:] == (now["bundles"]["main"], now["bundles"]["main"] - 1) or loads == 0, when
        assert ("more" in now["bundles"]) == (self.n % 2 == 1), when
        self.before = now
        if self.n % 2:
            for _ in range(8):  # so that each thread gets one
                assert self.p.get(port=self.plain_port, tls=False).get("X-Swap") == str(self.n), when
        else:
            wait.until(self.nobody_listens, "the further listener to be closed: " + when)

    def nobody_listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.plain_port)) != 0


@pytest.mark.timeout(400 * wait.SLOW)
def test_a_load_is_taken_by_all_threads_and_rotations_or_by_none(bascule, failing, directory, ca, echo):
    s = Swaps(bascule, failing, directory, ca, echo)
    s.check("before anything")
    # Those of OpenSSL fail in the tests above, with one thread. Here it may be left with something that it crashes on
    # later, about once in thirty runs.
    Failures(failing, s.p, s.check).each(s.swap, 500, libraries=False)
    for c in s.kept:
        assert c.request().status == 200
        c.close()
