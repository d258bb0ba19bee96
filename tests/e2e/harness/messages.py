"""Messages in either version of HTTP, in the same words: responses as clients see them, requests as origins do."""


def text(fields):
    return [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in fields]


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def last_chunk(trailers=()):
    return "".join(["0\r\n"] + ["%s: %s\r\n" % f for f in trailers] + ["\r\n"])


class Incoming:
    """One that comes: its parts are there as far as they have been read."""

    def __init__(self, method, fields=()):
        self.method, self.fields = method, fields
        self.body, self.trailers = b"", []
        self._taken = 0

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def field(self, name):
        return (self.all(name) or [None])[0]

    def _more(self):
        """Something more of the body; False: there is none."""
        raise NotImplementedError

    def read(self, n):
        """The next n bytes of the body."""
        while len(self.body) - self._taken < n:
            assert self._more(), "the body ended after %d bytes" % len(self.body)
        self._taken += n
        return self.body[self._taken - n : self._taken]
