"""HTTP/2's windows for uploads: they follow what the line and the origin take, and slow ones leave room for others."""

import contextlib
import socket
import threading

import pytest

from harness import origins, proxy, wait, wire
from harness.h2client import H2Client
from harness.listener import server_context

FIRST = 64 << 10
BODY = bytes(8 << 20)


class Uploads(H2Client):
    """Requests whose bodies are sent as far as the windows go, and no further."""

    def upload(self, path="/"):
        return self.request("POST", path, end=False)

    def room(self, stream):
        return self.h2.local_flow_control_window(stream)

    def round_trip(self):
        """What the proxy has had to say of what was sent before has come. (A PING's answer may overtake what is said of data.)"""
        for _ in range(2):
            self.acked = False
            self.h2.ping(bytes(8))
            self.flush()
            while not self.acked:
                assert self.receive()

    def _note(self, e):
        if type(e).__name__ == "PingAckReceived":
            self.acked = True
        super()._note(e)

    def fill(self, stream, most):
        """All that may be sent now, up to `most`; how much that was."""
        sent = 0
        while (room := min(self.room(stream), self.h2.max_outbound_frame_size, most - sent)) > 0:
            self.h2.send_data(stream, bytes(room))
            sent += room
            self.flush()
        return sent

    def until_full(self, stream, most=1 << 30):
        """Until nothing more is let in, and how much was."""
        total = 0
        while True:
            self.round_trip()
            sent = self.fill(stream, most - total)
            total += sent
            if not sent:
                return total

    def end(self, stream):
        self.h2.end_stream(stream)
        self.flush()
        return self.wait(stream)


@pytest.fixture
def served(served):
    def start(script=origins.echo, http2=None, **over):
        return served(script, http2=dict(http2 or {}, flood_burst=100000), **over)  # there are PINGs

    return start


class Deaf:
    """An origin that connections are made to, and that says no word: TLS to it is not agreed on, and nothing taken."""

    def __init__(self, s):
        self.socket, self.address = s, "127.0.0.1:%d" % s.getsockname()[1]

    def wake(self, identity):
        """The first of them is served after all."""
        context = server_context(identity)

        def serve():
            with contextlib.suppress(OSError, wire.Ended), context.wrap_socket(self.socket.accept()[0], server_side=True) as s:
                origins.echo(origins.Connection(s))

        threading.Thread(target=serve, daemon=True).start()


@pytest.fixture
def deaf():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(512)
        yield Deaf(s)


@pytest.fixture
def beside(served, deaf, ca):
    """A proxy whose origin for /deaf takes nothing."""

    def start(**http2):
        routes = [{"path": "^/deaf", "upstream": "deaf"}]
        p, _ = served(sites=[proxy.site("site.test", routes=routes)], http2=http2, timeouts={"connect": "1m"},
                      upstreams={"deaf": proxy.upstream(deaf.address, tls={"ca": ca.file})})  # fmt: skip
        return p

    return start


def rounds(c, stream, body=len(BODY)):
    """How many round trips an upload takes, and the most that was on its way in one."""
    n, most, left = 0, 0, body
    while left > 0:
        c.round_trip()
        sent = c.fill(stream, left)
        n, most, left = n + 1, max(most, sent), left - sent
        assert n < 1000
    return n, most


def test_a_window_grows_with_what_is_taken(served):
    """On a long line each round trip brings one window: 8 MB would need 128 of those that it begins with."""
    p, origin = served()
    with Uploads(p.port) as c:
        c.round_trip()
        stream = c.upload()
        assert c.room(stream) == FIRST
        n, most = rounds(c, stream)
        assert n < 60 and most > 512 << 10, (n, most)
        assert c.end(stream).status == 200
    assert len(origin.last.body) == len(BODY)


def test_up_to_the_limit(served):
    p, _ = served(http2={"stream_window": "256k"})
    with Uploads(p.port) as c:
        stream = c.upload()
        _, most = rounds(c, stream)
        assert FIRST < most <= 256 << 10
        assert c.end(stream).status == 200


def test_all_of_a_connection_together(served):
    """They grow by half of connection_window; what one has had is another's when it has ended."""
    p, _ = served(http2={"connection_window": "1m"})
    with Uploads(p.port) as c:
        streams = [c.upload() for _ in range(3)]
        for s in streams:
            rounds(c, s, 3 << 20)
        c.round_trip()
        assert sum(c.h2._get_stream_by_id(s).outbound_flow_control_window for s in streams) <= (512 << 10) + 3 * FIRST
        for s in streams:
            assert c.end(s).status == 200
        stream = c.upload()
        assert rounds(c, stream, 4 << 20)[1] > 256 << 10
        assert c.end(stream).status == 200


def test_no_origin_no_growth(beside):
    """Nothing has taken anything: what the window lets in at first is all that comes."""
    p = beside()
    with Uploads(p.port) as c:
        c.round_trip()
        stream = c.upload("/deaf")
        assert c.until_full(stream) == FIRST


def test_who_has_waited_does_not_grow(beside, deaf, ca):
    """All of the first window waited for the origin, which was what held it up; the second goes at once."""
    p = beside()
    with Uploads(p.port) as c:
        c.round_trip()
        stream = c.upload("/deaf")
        assert c.until_full(stream) == FIRST
        deaf.wake(ca.leaf("127.0.0.1"))
        while c.room(stream) == 0:
            c.round_trip()
        assert c.fill(stream, 1 << 20) == FIRST
        while c.room(stream) <= FIRST:
            c.round_trip()
        assert c.end(stream).status == 200


def test_a_slow_origin(served):
    """It takes some, and then no more: the window that has grown stays, and nothing is let in beyond."""
    gate = threading.Event()

    def script(c):
        request = c.request_head()
        c.reader.body_of(request) if gate.wait(wait.DEADLINE) else None
        c.answer(body=b"late")

    p, _ = served(script)
    with Uploads(p.port) as c:
        stream = c.upload()
        total = c.until_full(stream, 64 << 20)
        assert total < 16 << 20, "some in the kernel's buffers, and a window"
        c.round_trip()
        assert c.room(stream) == 0
        gate.set()
        assert c.end(stream).status == 200


def test_slow_uploads_do_not_stop_another(beside):
    p = beside(connection_window="1m")
    with Uploads(p.port) as c:
        c.round_trip()
        for _ in range(12):
            stream = c.upload("/deaf")
            assert c.until_full(stream) == FIRST
        stream = c.upload()
        rounds(c, stream)
        assert c.end(stream).status == 200


def test_what_is_kept_of_a_connection_is_bounded(beside):
    p = beside(connection_window="1m")
    with Uploads(p.port) as c:
        c.round_trip()
        assert sum(c.until_full(c.upload("/deaf")) for _ in range(20)) == 1 << 20
        other = c.upload()
        assert c.until_full(other) == 0
        assert c.get("/").status == 200, "requests without a body go on"
    with Uploads(p.port) as c:
        stream = c.upload()
        rounds(c, stream, 1 << 20)
        assert c.end(stream).status == 200, "so do other connections"
