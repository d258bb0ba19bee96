"""Which response goes first (RFC 9218), seen on a connection that takes little: by the order of what comes."""

import threading

import pytest

from harness import wait
from harness.h2client import PRIORITY_UPDATE, H2Client, frame

WIDE = {4: (1 << 31) - 1}  # SETTINGS_INITIAL_WINDOW_SIZE
SIZE = 60_000  # of a response: the proxy has it all before any of it can go


class Watching(H2Client):
    """Notes the streams in the order in which their data comes."""

    order = ()

    def _note(self, e):
        if type(e).__name__ == "DataReceived" and e.data:
            self.order = [*self.order, e.stream_id]
        super()._note(e)

    def update(self, stream, value):
        self.raw(frame(PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + value.encode()))


class Jam:
    """A connection that is full to the brim, by a response that nobody is in a hurry for."""

    def __init__(self, served):
        self.stuck = threading.Event()
        self.p, _ = served(self.script, timeouts={"send": "1m"})
        self.client = Watching(self.p.port, settings=WIDE, receive_buffer=1 << 16)
        self.client.h2.increment_flow_control_window(1 << 30)
        self.client.flush()
        self.client.request("GET", "/jam", fields=[("priority", "u=7")])
        assert self.stuck.wait(wait.DEADLINE)
        self.asked = 0

    def script(self, c):
        while True:
            request = c.request()
            if request.target != "/jam":
                word = request.get("x-word")
                c.answer(body=bytes(SIZE), fields=[("Priority", word)] if word else [])
                continue
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (40 << 20))
            c.socket.settimeout(0.5)
            left = 40 << 20
            try:
                while left > 0:
                    left -= c.socket.send(bytes(min(left, 1 << 16)))
            except TimeoutError:
                self.stuck.set()
            c.socket.settimeout(None)
            c.send(bytes(left))

    def ask(self, priority=None, word=None):
        """A request; returns when the proxy has all of the response."""
        fields = [("priority", priority)] if priority is not None else []
        stream = self.client.request("GET", "/", fields=fields + ([("x-word", word)] if word else []))
        self.asked += 1
        self.p.access(self.asked)
        return stream

    def order(self, *streams):
        """The streams in the order of their data, each run of one stream once."""
        for s in streams:
            assert self.client.wait(s).ended
        order = [s for s in self.client.order if s in streams]
        return [s for i, s in enumerate(order) if i == 0 or order[i - 1] != s]


@pytest.fixture
def jam(served):
    j = Jam(served)
    yield j
    j.client.close()


def test_urgent_ones_go_first(jam):
    large = [jam.ask("u=3") for _ in range(3)]
    urgent, later = jam.ask("u=0"), jam.ask("u=6")
    assert jam.order(*large, urgent, later) == [urgent, *large, later]


def test_those_of_one_urgency_follow_each_other(jam):
    streams = [jam.ask() for _ in range(4)]
    assert jam.order(*streams) == streams


def test_incremental_ones_take_turns(jam):
    streams = [jam.ask("i") for _ in range(4)]
    order = jam.order(*streams)
    assert len(order) >= 8, order
    assert set(order[:4]) == set(streams), order


def test_an_update(jam):
    streams = [jam.ask("u=2") for _ in range(3)]
    jam.client.update(streams[2], "u=1")
    last = jam.ask("u=2")
    assert jam.order(*streams, last) == [streams[2], *streams[:2], last]


def test_an_update_that_says_nothing_is_the_default(jam):
    """RFC 9218, 7: it replaces all of what was said before."""
    first = jam.ask("u=1")
    jam.client.update(first, "x=1")
    second = jam.ask("u=2")
    assert jam.order(first, second) == [second, first]


def test_an_update_before_its_request(jam):
    first = jam.ask("u=3")
    following = jam.client.h2.get_next_available_stream_id()
    jam.client.update(following, "u=0")
    assert jam.ask() == following
    assert jam.order(first, following) == [following, first]


@pytest.mark.parametrize("value", ["u=8", "u=-1", "u=", "u", "urgency=0", "u=0x", "U=0", "\"u=0\"", "u =0", ";u=0", "=0"])
def test_values_that_mean_nothing(jam, value):
    """They are passed over, and the connection goes on."""
    first, second = jam.ask("u=2"), jam.ask(value)
    assert jam.order(first, second) == [first, second]


def test_an_update_that_means_nothing(jam):
    first, second = jam.ask("u=2"), jam.ask("u=3")
    jam.client.update(second, "u=9")
    third = jam.ask("u=2")
    assert jam.order(first, second, third) == [first, third, second]


# --- the origin's word ---


def test_an_origin_that_knows_better(jam):
    first, second = jam.ask("u=2"), jam.ask("u=5", word="u=0")
    assert jam.order(first, second) == [second, first]


def test_what_the_origin_does_not_say_stays(jam):
    first, second = jam.ask("u=2"), jam.ask("u=1", word="i")
    assert jam.order(first, second) == [second, first]


def test_the_field_goes_on(jam):
    """It is the client's as well (RFC 9218, 5)."""
    assert jam.client.wait(jam.ask(word="u=0")).field("priority") == "u=0"


def test_little_is_ahead_in_the_kernel(jam):
    """What the kernel has taken nobody can overtake."""
    urgent = jam.ask("u=0")
    assert jam.client.wait(urgent).ended
    assert len(jam.client.responses[1].body) < 1 << 20
