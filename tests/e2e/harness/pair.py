"""The proxy between clients of one version of HTTP and origins of one version: a test asks for each combination by `pair`."""

import contextlib

import pytest

from . import backs, fronts, h2origin, proxy

FRONTS = {"h1-front": fronts.H1Front, "h2-front": fronts.H2Front}
BACKS = {"h1-origin": backs.H1Origin, "h2-origin": h2origin.H2Origin}


class Pair:
    """The proxy between clients of one version and an origin of one version; `origin` and `proxy` are there once begun."""

    def __init__(self, ids, stack, start, directory, identity, ca, port):
        front, back = ids.split("/")
        self.front, self.secured = FRONTS[front], back.endswith("-tls-origin")
        self.back = BACKS[back.replace("-tls", "")]
        self.h2_front, self.h2_back = front.startswith("h2"), back.startswith("h2")
        self._stack, self._start, self._directory, self._identity, self._ca, self.port = stack, start, directory, identity, ca, port
        self.signals, self.origins = backs.Signals(), []

    def origin_of(self, script, **options):
        """An origin that plays the script; a request for /beside it holds until the signal "end beside"."""

        def play(x):
            if x.target == "/beside":
                self.signals.say("beside has come")
                self.signals.wait("end beside")
                x.answer(200, b"beside")
            else:
                script(x)

        if self.secured:
            options["identity"] = self._ca.leaf("127.0.0.1")
        origin = self.back(play, **options)
        self._stack.callback(origin.stop)
        self.origins.append(origin)
        return origin

    def config(self, *addresses, **over):
        upstream = {"http2": True} if self.h2_back else {}
        if self.secured:
            upstream["tls"] = {"ca": self._ca.file}
        over = proxy.merge({"threads": 1, "upstreams": {"origin": upstream}}, over)
        return proxy.config(self.port, self._identity.files(self._directory), *addresses, **over)

    def __call__(self, script, options=None, **over):
        """Begin, with this script for the origin; a client's connection."""
        self.origin = self.origin_of(script, **(options or {}))
        self.proxy = self._start(self.config(self.origin.address, **over))
        return self.connect()

    def start(self, *servers):
        """Begin with these origins, which are used whatever they do."""
        addresses = [o.address for o in servers]
        self.proxy = self._start(self.config(*addresses, upstreams={"origin": {"eject": {"failures": 0}}}))

    def connect(self, **options):
        return self._stack.enter_context(self.front(options.pop("port", self.proxy.port), **options))

    def other(self, client):
        """What bears another request at the same time: with HTTP/2 the same connection."""
        return client if self.h2_front else self.connect()

    @property
    def exchanges(self):
        return [x for o in self.origins for x in list(o.exchanges) if x.target != "/beside"]

    @property
    def last(self):
        return self.exchanges[-1]

    @contextlib.contextmanager
    def beside(self, client):
        """
        Another request is on its way meanwhile: with HTTP/2 on the same connections. It must go well, and the client's
        connection must be good for one more.
        """
        other = self.other(client)
        asked = other.open("GET", "/beside")
        self.signals.wait("beside has come")
        yield
        self.signals.say("end beside")
        assert asked.rest().body == b"beside" and asked.whole
        if self.h2_back:
            assert len({x.connection for x in self.origin.exchanges}) == 1, "it has a connection of its own"
            assert not self.origin.connections[0].closed
        assert other.ask("GET", "/beside").body == b"beside"


def over(*origins):
    """Each version of clients with these origins."""
    return pytest.mark.parametrize("pair", [f + "/" + o for f in FRONTS for o in origins], indirect=True)


each = over(*BACKS)
each_and_tls = over(*BACKS, "h1-tls-origin", "h2-tls-origin")


def ok(x):
    x.rest()
    x.answer(200, b"ok")
