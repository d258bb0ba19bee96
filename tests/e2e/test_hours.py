"""What lasts for hours: requests whose answers are long in coming, and WebSockets. Nothing that changes meanwhile cuts them."""

import contextlib
import signal
import threading

import pytest

from harness import fronts, h2origin, proxy, wait
from harness.h2client import ERRORS
from harness.listener import server_context
from harness.load import WebSocketServer
from harness.pair import BACKS, FRONTS
from harness.ports import free_port
from harness.process import resident_kib
from harness.websocket import CLOSE, H1WebSocket, H2WebSocket, echoes, unmasked

STREAMS = 10  # of a client's connection


class Hold:
    """A script that answers "/now" at once, and all else when it is let go, with the target."""

    def __init__(self):
        self._lock = threading.Lock()
        self.again()

    def __call__(self, x):
        x.rest()
        if x.target.startswith("/now"):
            x.answer(200, b"now")
            return
        go = self._go
        with self._lock:
            self.holds += 1
        assert go.wait(20 * wait.DEADLINE), "never let go"
        x.answer(200, x.target.encode())

    def wait_holds(self, n):
        wait.until(lambda: self.holds >= n, lambda: "%d requests to hang, %d do" % (n, self.holds))

    def let_go(self):
        self._go.set()

    def again(self):
        self.holds = 0
        self._go = threading.Event()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def origin(stack, ca):
    """A function that starts an origin of a kind, h1 or h2, with TLS or without."""
    started = []

    def start(kind, script, tls=False):
        o = BACKS[kind + "-origin"](script, identity=ca.leaf("127.0.0.1") if tls else None)
        stack.callback(o.stop)
        started.append(o)
        return o

    yield start
    failures = [f for o in started for f in o.failures]
    assert not failures, "%d failures of origins, the first: %r" % (len(failures), failures[0])


# --- 200 requests and 200 WebSockets through 100 reloads ---

WEIGHT = {"X-Weight-%d" % i: "x" * 4000 for i in range(60)}  # so that a snapshot that is not let go shows


class Hours:
    """
    Configs, each with another certificate, other sites and other upstreams than the one before. What hangs came by the first;
    in every second one all that it came by leads elsewhere, with the other version of HTTP, and in every third it is gone.
    """

    KINDS = [("h1", False), ("h1", True), ("h2", False), ("h2", True)]

    def __init__(self, directory, leaves, ca, origin, stack):
        self.directory, self.leaves, self.ca = directory, leaves, ca
        self.port, self.plain_port = free_port(), free_port()
        self.hold, others = Hold(), lambda x: (x.rest(), x.answer(200, b"elsewhere"))
        self.origins = {self.name(*k): origin(k[0], self.hold, tls=k[1]) for k in self.KINDS}
        self.others = {self.name(*k): origin("h1" if k[0] == "h2" else "h2", others, tls=k[1]) for k in self.KINDS}
        self.sockets = {"ws": WebSocketServer(), "wss": WebSocketServer(ssl=server_context(ca.leaf("127.0.0.1")))}
        for s in self.sockets.values():
            stack.callback(s.stop)

    @staticmethod
    def name(version, tls):
        return version + ("s" if tls else "")

    def upstream(self, name, address, http2):
        tls = {"tls": {"ca": self.ca.file}} if name.endswith("s") and name != "ws" else {}
        return proxy.upstream(address, http2=http2, **tls)

    def upstreams(self, n):
        if n % 3 == 0:
            found = {k: self.upstream(k, o.address, k.startswith("h2")) for k, o in self.origins.items()}
            found.update({k: self.upstream(k, s.address, k == "wss") for k, s in self.sockets.items()})
        else:
            found = {k: self.upstream(k, o.address, k.startswith("h1")) for k, o in self.others.items()}
        return found

    def sites(self, n):
        more = [proxy.site("site-%d.test" % n, upstream="h1")]
        if n % 3 == 2:
            return more
        names = ["h1", "h1s", "h2", "h2s"] + (["ws", "wss"] if n % 3 == 0 else [])
        routes = [{"path": "^/[a-z]+/%s/" % k, "upstream": k} for k in names]
        routes += [{"path": "^/weight$", "response_headers": {"set": WEIGHT}}]
        return [proxy.site("site.test", upstream="h1", routes=routes, response_headers={"set": {"X-Config": str(n)}})] + more

    def contents(self, n):
        """The n-th config; its certificate is written, too."""
        bundle = dict(self.leaves[n % 2].combined(self.directory), rotation={"accept": proxy.CHANGES})
        listeners = [proxy.listener(self.port), proxy.listener(self.plain_port, tls=False)]
        return {"listeners": listeners, "bundles": {"main": bundle}, "sites": self.sites(n), "upstreams": self.upstreams(n),
                "timeouts": {"idle": "200ms", "response": "1h", "tunnel": "1h"}, "log": {"level": "notice"}}  # fmt: skip

    def check(self, p, n):
        """Is it in service?"""
        with p.client("site-%d.test" % n) as c:
            assert c.serial == self.leaves[n % 2].serial
            assert c.request(target="/now").body == (b"now" if n % 3 == 0 else b"elsewhere")
        with p.client(port=self.plain_port, tls=False) as c:
            answer = c.request(target="/now/%s/" % self.name(*self.KINDS[n % 4]))
        assert (answer.status, answer.body) == {0: (200, b"now"), 1: (200, b"elsewhere"), 2: (421, answer.body)}[n % 3]
        assert answer.get("X-Config") == (str(n) if n % 3 != 2 else None)


class Hanging:
    """Requests and WebSockets that hang, of one kind of client."""

    def __init__(self, stack, front, **options):
        self.stack, self.front, self.options = stack, FRONTS[front], options
        self.asked, self.sockets, self._connections = [], [], []

    def _connection(self, i):
        """Of HTTP/1.1 one for each request."""
        if self.front is fronts.H1Front or i % STREAMS == 0:
            self._connections.append(self.stack.enter_context(self.front(**self.options)))
        return self._connections[-1]

    def begin(self, n, kinds):
        for i in range(n):
            path = "/%s/%s/%d" % ("hang", kinds[i % len(kinds)], i)
            self.asked.append((path, self._connection(i).open("GET", path)))

    def begin_sockets(self, n):
        for i in range(n):
            path = "/chat/%s/%d" % (("ws", "wss")[i % 2], i)
            if self.front is fronts.H1Front:
                s = H1WebSocket(path=path, **self.options)
                self.stack.callback(s.close)
            else:
                s = H2WebSocket(self._connection(i).client, path)
            self.sockets.append(s)

    def check(self):
        """None has been cut: each socket echoes, and each answer comes, on a connection that none of it was told of."""
        for i, s in enumerate(self.sockets):
            assert echoes(s, b"message %d" % i), "socket %d" % i
        for path, asked in self.asked:
            r = asked.rest()
            assert (r.status, r.body, r.whole) == (200, path.encode(), True), path
        for c in self._connections:
            assert self.front is fronts.H1Front or c.client.goaway is None


@pytest.mark.slow
@pytest.mark.threads
@pytest.mark.timeout(300 * wait.SLOW)
def test_two_hundred_of_each_through_a_hundred_reloads(bascule, directory, leaves, ca, origin, stack):
    reloads, each = wait.fewer(100, 12), wait.fewer(50, 20)
    hours = Hours(directory, leaves, ca, origin, stack)
    p = bascule(hours.contents(0))
    worker = p.worker
    ways = [(hours.port, True), (hours.plain_port, False)]
    groups = [Hanging(stack, f, port=port, tls=tls) for f in FRONTS for port, tls in ways]
    for g in groups:
        g.begin(each, [hours.name(*k) for k in hours.KINDS])
        g.begin_sockets(each)
    hours.hold.wait_holds(len(groups) * each)
    assert p.counter("tunnels_open") == len(groups) * each
    for i, s in enumerate(s for g in groups for s in g.sockets):
        assert echoes(s, b"%d" % i)

    for n in range(1, reloads + 1):
        p.reconfigure(hours.contents(n))
        hours.check(p, n)
        if n % 10 == 0:
            for g in groups:
                assert echoes(g.sockets[n % each], b"still here")
        if n == reloads // 5:
            warm = resident_kib(worker)
    end = resident_kib(worker)
    assert p.counter("tunnels_open") == len(groups) * each and p.worker == worker
    assert wait.SLOW > 1 or end - warm < 4096, "from %d to %d KiB over %d reloads" % (warm, end, reloads * 4 // 5)

    hours.hold.let_go()
    for g in groups:
        g.check()
    assert hours.hold.holds == len(groups) * each, "none was asked for twice"


@pytest.mark.slow
@pytest.mark.timeout(300 * wait.SLOW)
def test_what_hangs_lets_go_of_its_config(bascule, directory, leaves, ca, origin, stack):
    """Each request keeps the config that it came by, and that one goes with it: the second time takes no more memory."""
    hours = Hours(directory, leaves, ca, origin, stack)
    p = bascule(hours.contents(0))
    n, most = 0, []
    for _ in range(2):
        hours.hold.again()
        groups = [Hanging(stack, f, port=hours.port) for f in FRONTS]
        for _ in range(wait.fewer(40, 5)):
            for g in groups:
                g.begin(2, ["h1", "h2"])
            hours.hold.wait_holds(sum(len(g.asked) for g in groups))
            n += 3
            p.reconfigure(hours.contents(n))
        most.append(resident_kib(p.worker))
        hours.hold.let_go()
        for g in groups:
            g.check()
    kept = most[1] - most[0]
    assert wait.SLOW > 1 or kept < 4096, "from %d to %d KiB" % tuple(most)


# --- deadlines ---


@pytest.fixture
def hanging(bascule, directory, identity, port, origin, stack, request):
    """A function that starts the proxy before a new origin that holds; parametrized by front and back."""
    front, _, back = request.param.partition("/")

    def start(**over):
        h = type("Hanging", (), {})()
        h.hold = Hold()
        h.origin = origin(back[:2], h.hold)
        over = proxy.merge({"threads": 1, "upstreams": {"origin": {"http2": back == "h2-origin"}}}, over)
        h.p = bascule(proxy.config(port, identity.files(directory), h.origin.address, **over))
        h.connect = lambda: stack.enter_context(FRONTS[front](h.p.port))
        return h

    return start


each = pytest.mark.parametrize("hanging", ["%s/%s" % (f, b) for f in FRONTS for b in BACKS], indirect=True)


def wait_idle_end(p):
    """Until a connection that has asked for something has been closed for being idle: so much time has passed."""
    with p.client() as c:
        assert c.request(target="/now").status == 200
        assert c.ended()


@each
def test_the_client_is_not_idle_while_its_answer_is_pending(hanging):
    h = hanging(timeouts={"idle": "100ms"})
    c = h.connect()
    asked = c.open("GET", "/hang")
    h.hold.wait_holds(1)
    for _ in range(5):
        wait_idle_end(h.p)
    h.hold.let_go()
    assert asked.rest().body == b"/hang"
    if isinstance(c, fronts.H2Front):
        assert c.client.wait_goaway() == 0, "now it is"
    else:
        assert c.client.ended(), "now it is"


@each
def test_each_route_has_its_own_patience(hanging):
    """Those that wait longer are not harmed by one that does not, on the same connections."""
    routes = [{"path": "^/hour$", "timeouts": {"response": "1h"}}, {"path": "^/moment$", "timeouts": {"response": "100ms"}}]
    h = hanging(sites=[proxy.site("site.test", routes=routes)])
    c = h.connect()
    asked = c.open("GET", "/hour")
    h.hold.wait_holds(1)
    for _ in range(3):
        r = (c if isinstance(c, fronts.H2Front) else h.connect()).open("GET", "/moment").rest()
        assert r.status == 504 and r.whole
    h.hold.let_go()
    assert asked.rest().body == b"/hour"


@each
@pytest.mark.parametrize("how", ["stream", "connection"])
def test_a_client_that_leaves_is_gone_at_once(hanging, how):
    """Also when by now no config leads to where its request went; who came beside it stays."""
    h = hanging(timeouts={"response": "1h"})
    c, beside = h.connect(), h.connect()
    asked = [f.open("GET", "/%d" % i) for i, f in enumerate((c, beside))]
    h.hold.wait_holds(2)
    h.p.reconfigure(upstreams={"origin": proxy.upstream("127.0.0.1:1"), "other": proxy.upstream("127.0.0.1:2")},
                    sites=[proxy.site("site.test", upstream="other")])  # fmt: skip
    gone = next(x for x in h.origin.exchanges if x.target == "/0")
    asked[0].abort() if how == "stream" else c.client.close()
    if isinstance(gone, h2origin.H2Exchange):
        gone.wait_cut()
        assert gone.reset == ERRORS["CANCEL"]
    else:
        gone.wait_cut()
    wait.until(lambda: h.p.counter("requests_in_flight") == 1, "the other one to be left")
    h.hold.let_go()
    assert asked[1].rest().body == b"/1"
    if isinstance(gone, h2origin.H2Exchange):
        wait.until(lambda: h.origin.connections[0].closed, "the connection to end with its last stream")


# --- drains ---


@pytest.fixture
def draining(hanging, stack):
    """A proxy, a request that hangs and a WebSocket, both by each kind of client; by name."""

    def start(drain_timeout):
        echo = WebSocketServer()
        stack.callback(echo.stop)
        routes = [{"path": "^/chat$", "upstream": "chat"}]
        h = hanging(drain_timeout=drain_timeout, upstreams={"chat": proxy.upstream(echo.address)},
                    sites=[proxy.site("site.test", routes=routes)], timeouts={"response": "1h", "tunnel": "1h"})  # fmt: skip
        h.c = h.connect()
        h.asked = h.c.open("GET", "/hang")
        if isinstance(h.c, fronts.H2Front):
            h.socket = H2WebSocket(h.c.client)
        else:
            h.socket = H1WebSocket(h.p.port)
            stack.callback(h.socket.close)
        h.hold.wait_holds(1)
        h.p.send_signal(signal.SIGQUIT)
        return h

    return start


@each
def test_a_drain_ends_with_what_hangs(draining):
    h = draining("1h")
    wait.until(lambda: h.p.status()["draining"], "the drain to begin")
    if isinstance(h.c, fronts.H2Front):
        assert h.c.client.wait_goaway() == 0
    for _ in range(3):
        assert echoes(h.socket, b"still here")
    h.hold.let_go()
    assert h.asked.rest().body == b"/hang"
    assert echoes(h.socket, b"and still")
    assert h.p.process.poll() is None
    h.socket.send(CLOSE, b"\x03\xe8")
    assert h.socket.receive(4) == unmasked(CLOSE, b"\x03\xe8")
    h.socket.close()
    if isinstance(h.c, fronts.H2Front):
        h.c.client.wait_closed()
    assert h.p.process.wait(wait.DEADLINE) == 0


@each
def test_a_drain_has_a_deadline(draining):
    """What hangs then is cut, and who looks can tell: nothing is taken for an answer."""
    h = draining("300ms")
    r = h.asked.rest()
    assert r.cut and r.status is None
    if isinstance(h.c, fronts.H2Front):
        assert h.c.client.goaway == 0
        assert h.socket.receive(1) == b"" and h.c.client.closed
    else:
        assert h.socket.client.rest() == b""
    assert h.p.process.wait(wait.DEADLINE) == 0
    assert "the drain's time is over" in h.p.log
