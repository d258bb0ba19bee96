"""The proxy before origins of HTTP/2, with clients of either version."""

from . import fronts, proxy
from .h2raw import Peer, RawOrigin


class Before:
    """The proxy with one thread before origins of HTTP/2, and its clients."""

    def __init__(self, stack, start, directory, identity, ca, port):
        self._stack, self._start, self._directory, self._identity, self.ca, self._port = stack, start, directory, identity, ca, port
        self.origins, self.tls = [], False

    def add(self, origin):
        self._stack.callback(origin.stop)
        self.origins.append(origin)
        return origin

    def origin(self, script=Peer.serve, tls=False, **options):
        """A raw one; with TLS it has a certificate, and chooses HTTP/2 if not told otherwise."""
        self.tls |= tls
        if tls:
            options = dict({"identity": self.ca.leaf("127.0.0.1"), "alpn": ["h2"]}, **options)
        return self.add(RawOrigin(script, **options))

    def start(self, *addresses, **over):
        upstream = {"http2": True, "eject": {"failures": 0}}
        if self.tls:
            upstream["tls"] = {"ca": self.ca.file}
        over = proxy.merge({"threads": 1, "upstreams": {"origin": upstream}}, over)
        addresses = addresses or [o.address for o in self.origins]
        self.proxy = self._start(proxy.config(self._port, self._identity.files(self._directory), *addresses, **over))
        return self.proxy

    def connect(self, front=fronts.H2Front, **options):
        return self._stack.enter_context(front(self.proxy.port, **options))

    def ask(self, path="/", method="GET", fields=(), body=None):
        """On a connection of its own."""
        with fronts.H1Front(self.proxy.port) as c:
            return c.ask(method, path, fields, body)

    def opened(self):
        return self.proxy.counter("origin_connections_opened")


def bodies(asked):
    return [a.rest().body for a in asked]


def statuses(asked):
    return [a.rest().status for a in asked]


def several(c, n, method="GET", **more):
    """So many requests that the origin holds."""
    return [c.open(method, "/hold/%d" % i, **more) for i in range(n)]
