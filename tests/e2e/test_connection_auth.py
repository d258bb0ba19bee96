"""Authentication that holds for a connection (NTLM, Negotiate): no other client ever gets onto it."""

import base64
import collections
import struct
import threading

import pytest

from harness import proxy, proxy_protocol, wait, wire
from harness.client import curl
from harness.h2client import ERRORS, H2Client
from harness.ports import dead_port
from harness.proxy import Stopped


def message(number, more=b""):
    return "NTLM " + base64.b64encode(b"NTLMSSP\0" + struct.pack("<I", number) + more).decode()


CHALLENGE = message(2, struct.pack("<HHIIQQ", 0, 0, 48, 0x00008201, 0x1122334455667788, 0) + struct.pack("<HHI", 0, 0, 48))


def user_of(token):
    """Who a third message is of, as real clients write it; ours just say it."""
    if not token.startswith(b"NTLMSSP\0"):
        return token.decode()
    length, _, offset = struct.unpack_from("<HHI", token, 36)
    return token[offset : offset + length].decode("utf-16-le" if token[60] & 1 else "latin-1")


class Mailboxes:
    """
    A server as Exchange is one: who has authenticated on a connection is whom all requests on it are taken for. Its answers
    name the user and the connection. `scheme` is what it asks for.
    """

    def __init__(self, scheme="NTLM", name="a", before=lambda c, r: None):
        self.scheme = scheme
        self.name = name
        self.before = before
        self.lock = threading.Lock()
        self.owners = []  # of each connection: what X-Client its requests had
        self.users = []

    def __call__(self, c):
        with self.lock:
            number = len(self.owners)
            self.owners.append(set())
            self.users.append(None)
        while True:
            r = c.request()
            self.owners[number].add(r.get("x-client"))
            self.before(c, r)
            given = (r.get("authorization") or "").partition(" ")
            if given[0].lower() in ("ntlm", "negotiate"):
                token = base64.b64decode(given[2])
                if token.startswith(b"NTLMSSP\0\x01"):
                    c.answer("401 Unauthorized", fields=[("WWW-Authenticate", CHALLENGE)])
                    continue
                self.users[number] = user_of(token)
            user = self.users[number]
            close = [("Connection", "close")] if r.target == "/close" else []
            if r.target.startswith("/public"):
                c.answer(body="public %s" % user)
            elif user is None:
                c.answer("401 Unauthorized", fields=[("WWW-Authenticate", self.scheme)] + close)
            else:
                c.answer(body="%s on %s%d" % (user, self.name, number), fields=close)
            if close:
                return


def authenticate(c, user, target="/"):
    """As a client does: asks, is asked, says hello, is challenged, answers. The last response."""
    me = [("X-Client", user)]
    assert c.request("GET", target, me).status == 401
    challenged = c.request("GET", target, me + [("Authorization", message(1))])
    assert challenged.status == 401 and challenged.get("www-authenticate") == CHALLENGE
    return c.request("GET", target, me + [("Authorization", "NTLM " + base64.b64encode(user.encode()).decode())])


@pytest.fixture
def mail(simple, recorder):
    """The proxy before a server of mailboxes, p.mail; one thread, so that all connections share one pool."""

    def start(script=None, **over):
        script = script or Mailboxes()
        origin = recorder(script)
        p = simple(origin.address, **{"threads": 1, **over})
        p.mail, p.origin = script, origin
        return p

    return start


def test_a_client_stays_on_its_connection(mail):
    p = mail()
    with p.client() as c:
        first = authenticate(c, "alice")
        assert first.text == "alice on a0"
        for _ in range(5):
            assert c.request(fields=[("X-Client", "alice")]).text == "alice on a0"
        assert p.counter("origin_connections_bound") == 1 and p.counter("origin_connections_idle") == 0
        with p.client() as other:
            assert other.request(fields=[("X-Client", "other")]).status == 401
        assert c.request(fields=[("X-Client", "alice")]).text == "alice on a0"
    assert p.origin.connections[0].closed.wait(wait.DEADLINE), "it ends with its client"
    wait.until(lambda: p.counter("origin_connections_bound") == 0, "all to be closed")
    assert all(len(owners) == 1 for owners in p.mail.owners)


@pytest.mark.parametrize("scheme", ["NTLM", "ntlm", "Negotiate", "NEGOTIATE YII=", 'Basic realm="x", NTLM'])
def test_what_is_asked_for_binds(mail, scheme):
    p = mail(Mailboxes(scheme))
    with p.client() as c:
        assert c.request().status == 401
        assert p.counter("origin_connections_bound") == 1
    with p.client() as c:
        assert c.request("GET", "/public").text == "public None"
    assert len(p.mail.owners) == 2


@pytest.mark.parametrize("scheme", ["NTLM", "nTlM", "Negotiate", "negotiate"])
def test_what_is_given_binds(mail, scheme):
    """Without being asked, on a connection that is open already."""
    p = mail()
    with p.client() as c:
        assert c.request("GET", "/public").text == "public None"
    token = base64.b64encode(b"alice").decode()
    with p.client() as c:
        assert c.request("GET", "/public", [("Authorization", scheme + " " + token)]).text == "public alice"
        assert p.counter("origin_connections_bound") == 1
        with p.client() as other:
            assert other.request("GET", "/public").text == "public None"
        assert c.request("GET", "/public").text == "public alice"
    with p.client() as c:
        assert c.request("GET", "/public").text == "public None"


@pytest.mark.parametrize("authorization", ["Basic TlRMTQ==", "Bearer NTLM", "Digest username=NTLM"])
def test_what_holds_for_a_request_binds_nothing(mail, authorization):
    p = mail(Mailboxes("Basic realm=NTLM"))
    with p.client() as c:
        assert c.request(fields=[("Authorization", authorization)]).status == 401
        assert p.counter("origin_connections_bound") == 0
        assert c.request("GET", "/public", [("Proxy-Authorization", "NTLM x")]).status == 200
        assert p.counter("origin_connections_bound") == 0
    assert len(p.mail.owners) == 1


def test_clients_never_share(mail):
    """Many at once, over and over, with others between them who have authenticated nowhere."""
    p = mail(threads=2)
    wrong, done = [], []

    def user(name):
        for _ in range(wait.fewer(15)):
            with p.client() as c:
                me = [("X-Client", name)]
                answers = [authenticate(c, name).text] + [c.request(fields=me).text for _ in range(4)]
                if not (answers[0].startswith(name + " on") and len(set(answers)) == 1):
                    wrong.append((name, answers))
        done.append(name)

    def passer_by(name):
        for _ in range(wait.fewer(25)):
            with p.client() as c:
                for _ in range(4):
                    answer = c.request("GET", "/public", [("X-Client", name)]).text
                    if answer != "public None":
                        wrong.append((name, answer))
                if c.request("GET", "/", [("X-Client", name)]).status != 401:
                    wrong.append((name, "let in"))
        done.append(name)

    threads = [threading.Thread(target=user, args=("user%d" % i,)) for i in range(8)]
    threads += [threading.Thread(target=passer_by, args=("passer%d" % i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and len(done) == len(threads)
    for owners, user in zip(p.mail.owners, p.mail.users):
        assert user is None or owners - {user} <= {o for o in owners if o and o.startswith("passer")}, (owners, user)


def test_curl(mail):
    p = mail(threads=2)
    answers = collections.Counter()

    def run(name):
        for _ in range(wait.fewer(5)):
            done = curl(p.port, "/", "--ntlm", "--user", name + ":secret", "--http1.1")
            answers[name, done.stdout.partition(" ")[0]] += 1

    threads = [threading.Thread(target=run, args=("user%d" % i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == {("user%d" % i, "user%d" % i): wait.fewer(5) for i in range(4)}


def test_the_servers_end_is_the_clients(mail):
    p = mail()
    with p.client() as c:
        authenticate(c, "alice")
        response = c.request("GET", "/close")
        assert response.text == "alice on a0" and response.get("connection") == "close"
        assert c.ended()
    with p.client() as c:
        authenticate(c, "alice")
        p.origin.connections[1].close()
        assert c.ended()
    # Counted when the client's own end has come, which it sends behind seeing ours.
    wait.until(lambda: p.metrics()['bascule_connections_closed{reason="origin_left"}'] == 1, "the close to be counted")


def test_the_servers_end_before_anybody_has_authenticated(mail):
    """There is no connection to be bound then, and the client can go on."""
    p = mail()
    with p.client() as c:
        response = c.request("GET", "/close")
        assert response.status == 401 and response.get("connection") is None
        assert authenticate(c, "alice").text == "alice on a1"


def test_the_servers_end_in_mid_request(mail):
    """The request goes on a new connection, where nobody has authenticated, and the client hears that it has to begin anew."""
    cut = threading.Event()

    def before(c, r):
        if r.target == "/cut" and not cut.is_set():
            cut.set()
            raise wire.Ended("as a server that ends")

    p = mail(Mailboxes(before=before))
    with p.client() as c:
        authenticate(c, "alice")
        response = c.request("GET", "/cut")
        assert response.status == 401 and response.get("connection") == "close"
        assert c.ended()


@pytest.mark.parametrize("begun", [False, True], ids=["before-its-response", "within-its-response"])
def test_the_servers_end_while_another_server_answers(bascule, directory, identity, recorder, port, begun):
    gate = threading.Event()
    arrived = threading.Event()

    def slow(c):
        while True:
            c.request()
            if begun:
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")
            arrived.set()
            gate.wait(wait.DEADLINE)
            if begun:
                c.send("ow")
            else:
                c.answer(body="slow")

    script = Mailboxes()
    origin = recorder(script)
    contents = proxy.config(port, identity.files(directory), origin.address, threads=1)
    contents["upstreams"]["slow"] = proxy.upstream(recorder(slow).address)
    contents["sites"] = [proxy.site("site.test", routes=[{"path": "^/slow", "upstream": "slow"}])]
    p = bascule(contents)
    with p.client() as c:
        authenticate(c, "alice")
        c.send_request("GET", "/slow")
        assert arrived.wait(wait.DEADLINE)
        head = c.reader.response_head() if begun else None
        origin.connections[0].close()
        wait.until(lambda: p.counter("origin_connections_bound") == 0, "the end to be seen")
        gate.set()
        response = c.reader.body_of(head) if begun else c.response()
        assert response.text == "slow" and response.get("connection") == (None if begun else "close")
        assert c.ended()


def test_what_a_server_says_unasked_answers_nothing(mail):
    """
    It stands in the socket when the next request comes: the connection is looked at before it is used. Which of the two
    sockets the kernel names first is its own affair: where it is the origin's, the client's connection just ends.
    """
    p = mail()
    with p.client() as c:
        authenticate(c, "alice")
        origin, peer = p.origin.port, p.origin.connections[0].socket.getpeername()[1]
        with Stopped(p.worker):
            c.send_request()
            wait.until(lambda: wait.unread(p.port, c.raw.getsockname()[1]), "the request to lie in the socket")
            p.origin.connections[0].answer(body="wrong")
            wait.until(lambda: wait.unread(peer, origin), "the answer to lie in the socket")
        try:
            response = c.response()
        except wire.Ended as e:
            assert "after 0 unread bytes" in str(e)
        else:
            assert response.status == 401 and response.get("connection") == "close"


def test_a_server_that_is_down_ends_no_client(simple, recorder):
    """A connection that never came about has authenticated nobody."""
    script = Mailboxes()
    site = proxy.site("site.test", connection_auth=True)
    never = {"origin": {"eject": {"failures": 0}}}
    p = simple("127.0.0.1:%d" % dead_port(), recorder(script).address, sites=[site], upstreams=never)
    for _ in range(4):
        with p.client() as c:
            assert c.request().get("connection") is None
            assert authenticate(c, "alice").text.startswith("alice on a")
    assert p.counter("origin_retries") > 0


def test_the_clients_end_in_mid_request(mail):
    arrived = threading.Semaphore(0)

    def before(c, r):
        if r.target == "/hang":
            arrived.release()
            c.wait_for_end()
            raise wire.Ended("the proxy has closed it")

    p = mail(Mailboxes(before=before))
    with p.client() as c:
        authenticate(c, "alice")
        c.send_request("GET", "/hang")
        assert arrived.acquire(timeout=wait.DEADLINE)
    assert p.origin.connections[0].closed.wait(wait.DEADLINE)
    wait.until(lambda: p.counter("origin_connections_bound") == 0, "it to be closed")


def test_a_client_stays_on_its_server(simple, recorder):
    scripts = [Mailboxes(name=n) for n in "abc"]
    p = simple(*[recorder(s).address for s in scripts], threads=1)
    with p.client() as one, p.client() as two:
        a, b = authenticate(one, "alice").text, authenticate(two, "bob").text
        for _ in range(6):
            assert one.request(fields=[("X-Client", "alice")]).text == a
            assert two.request(fields=[("X-Client", "bob")]).text == b
    assert sorted(u for s in scripts for u in s.users if u) == ["alice", "bob"]


def test_what_idle_connections_are_allowed_does_not_matter(mail):
    p = mail(upstreams={"origin": {"idle_connections": 0}})
    with p.client() as c:
        assert authenticate(c, "alice").text == "alice on a0"
        assert c.request().text == "alice on a0"


def test_it_is_kept_as_long_as_its_client(mail):
    p = mail(upstreams={"origin": {"idle_time": "100ms"}})
    with p.client() as c, p.client() as other:
        authenticate(c, "alice")
        # One of the pool's ends by idle_time, though it was put there later.
        assert other.request("GET", "/public").status == 200
        assert p.origin.connections[1].closed.wait(wait.DEADLINE)
        assert c.request().text == "alice on a0"


def test_the_key_binds_from_the_first_request_on(mail):
    p = mail(sites=[proxy.site("site.test", connection_auth=True)])
    with p.client() as c:
        assert c.request("GET", "/public").status == 200
        assert p.counter("origin_connections_bound") == 1
        with p.client() as other:
            assert other.request("GET", "/public").status == 200
            assert p.counter("origin_connections_bound") == 2
    wait.until(lambda: p.counter("origin_connections_bound") == 0, "all to be closed")


def test_reload(mail, recorder):
    """A config that changes nothing about the server changes nothing for who has authenticated there."""
    p = mail()
    another = recorder(Mailboxes(name="b"))
    with p.client() as c, p.client() as busy:
        authenticate(c, "alice")
        authenticate(busy, "bob")
        for i in range(5):
            p.reconfigure(drain_timeout="%ds" % (6 + i))
            assert c.request().text == "alice on a0"
        p.reconfigure(upstreams={"origin": {"servers": [another.address]}})
        assert c.ended() and busy.ended()
    with p.client() as c:
        assert authenticate(c, "alice").text == "alice on b0"


def test_reload_in_mid_request(mail, recorder):
    arrived, go = threading.Event(), threading.Event()

    def before(c, r):
        if r.target == "/slow":
            arrived.set()
            go.wait(wait.DEADLINE)

    p = mail(Mailboxes(before=before))
    another = recorder(Mailboxes(name="b"))
    with p.client() as c:
        authenticate(c, "alice")
        c.send_request("GET", "/slow")
        assert arrived.wait(wait.DEADLINE)
        p.reconfigure(upstreams={"origin": {"servers": [another.address]}})
        go.set()
        assert c.response().text == "alice on a0"
        assert c.request().status == 401, "the server that it had authenticated with is not there any more"


def test_drain(mail):
    arrived, go = threading.Event(), threading.Event()

    def before(c, r):
        if r.target == "/slow":
            arrived.set()
            go.wait(wait.DEADLINE)

    p = mail(Mailboxes(before=before))
    with p.client() as c, p.client() as idle:
        authenticate(c, "alice")
        authenticate(idle, "bob")
        c.send_request("GET", "/slow")
        assert arrived.wait(wait.DEADLINE)
        p.send_signal(3)
        assert idle.ended()
        go.set()
        response = c.response()
        assert response.text == "alice on a0" and response.get("connection") == "close"
        assert c.ended()
    assert p.process.wait(wait.DEADLINE) == 0


def test_with_the_proxy_protocol(simple, recorder):
    p = simple(recorder(proxy_protocol.Header(Mailboxes())).address, upstreams={"origin": {"proxy_protocol": "v2"}}, threads=1)
    with p.client() as one, p.client() as two:
        assert one.request("GET", "/public").status == 200
        assert authenticate(one, "alice").text == "alice on a0"
        assert authenticate(two, "bob").text == "bob on a1"
        assert one.request().text == "alice on a0"
        assert one.request("GET", "/close").get("connection") == "close"


# --- over HTTP/2 ---


def test_over_http2_nobody_authenticates(mail):
    """The browser is told to come by HTTP/1.1 (RFC 9113, 7), at the latest when the origin asks."""
    p = mail()
    with H2Client(p.port) as c:
        assert c.get("/public").status == 200
        given = c.request(fields=[("authorization", message(1))])
        assert c.wait(given).reset == ERRORS["HTTP_1_1_REQUIRED"]
        assert [r for r in p.origin.requests if r.get("authorization")] == [], "nothing of it has gone on"
        assert c.get("/private").reset == ERRORS["HTTP_1_1_REQUIRED"]
    wait.until(lambda: p.counter("origin_connections_bound") == 0, "all to be closed")


def test_the_key_keeps_a_site_to_http1(mail, ca):
    sites = [proxy.site("site.test", connection_auth=True), proxy.site("open.site.test")]
    p = mail(sites=sites)
    assert curl(p.port, "/public", "--http2", "-w", "%{http_version}", "-o", "/dev/null", ca=ca).stdout == "1.1"
    with H2Client(p.port, "open.site.test") as c:
        assert c.get("/public").status == 200
        assert c.get("/public", authority="site.test").status == 421, "by a connection that was made for another name"
        assert c.get("/public").status == 200
