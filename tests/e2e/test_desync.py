"""
Ways to make two HTTP parsers disagree.

Each row is sent with one more request, GET /smuggled, behind it. Either the proxy refuses (one answer of the 400 class,
then the end), or it passes on exactly the requests of the row, in a form that the strict reader of the recording
origin takes without a complaint. What is refused must leave nothing behind that the origin could take for a request.
"""

import json

import pytest

from harness import origins, proxy, wire
from harness.ports import free_port
from harness.proxy import Proxies

HOST = "Host: site.test\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"


def post(framing, body="", target="/a"):
    """A POST with these framing fields, each with its line end, and these bytes behind its head."""
    return "POST %s HTTP/1.1\r\n%s%s\r\n%s" % (target, HOST, framing, body)


def length(value):
    return post("Content-Length: %s\r\n" % value, "hello")


def coding(value):
    return post("Transfer-Encoding: %s\r\n" % value, "5\r\nhello\r\n0\r\n\r\n")


def chunks(body):
    return post("Transfer-Encoding: chunked\r\n", body)


def line(text):
    """A GET with one more raw field line; the line end is part of `text`."""
    return "GET /a HTTP/1.1\r\n%s%s\r\n" % (HOST, text)


def start(text):
    return "%s\r\n%s\r\n" % (text, HOST)


def host(lines):
    return "GET /a HTTP/1.1\r\n%s\r\n" % lines


# What may happen. A number: refused with this status, and the end. CLEAN: the origin sees these targets, then
# /smuggled, which is then an honest request. EITHER: the grammar allows both; then refused with 400, or clean.
CLEAN = "clean"
EITHER = "either"

REQUESTS = [
    # --- two lengths, or a length that is none ---
    ("length and coding", 400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    ("coding and length", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
    ("coding and length zero", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n")),
    ("coding identity and length", (400, 501), post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello")),
    ("unknown coding and length", (400, 501), post("Transfer-Encoding: x\r\nContent-Length: 5\r\n", "hello")),
    ("empty coding and length", (400, 501), post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "hello")),
    ("two lengths that differ", 400, post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")),
    ("two lengths that differ, other way", 400, post("Content-Length: 6\r\nContent-Length: 5\r\n", "hello")),
    ("two lengths, one empty", 400, post("Content-Length: 5\r\nContent-Length:\r\n", "hello")),
    ("two equal lengths", EITHER, post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
    ("a list of equal lengths", EITHER, length("5, 5")),
    ("a list of lengths that differ", 400, length("5, 6")),
    ("length with a plus", 400, length("+5")),
    ("length with a minus", 400, length("-5")),
    ("length minus zero", 400, length("-0")),
    ("length in hexadecimal", 400, length("0x5")),
    ("length with letters behind", 400, length("5a")),
    ("length with a letter before", 400, length("a5")),
    ("length with a space within", 400, length("5 5")),
    ("length with a point", 400, length("5.0")),
    ("length with an exponent", 400, length("5e0")),
    ("length in quotes", 400, length('"5"')),
    ("length with a semicolon", 400, length("5;")),
    ("length with an underscore", 400, length("1_0")),
    ("empty length", 400, length("")),
    ("length with NUL", 400, length("5\0")),
    ("length with vertical tab", 400, length("5\x0b")),
    ("length with form feed before", 400, length("\x0c5")),
    ("length in other digits", 400, length("\xd9\xa5")),
    ("length beyond 64 bits", (400, 413), length("18446744073709551621")),
    ("length beyond signed 64 bits", (400, 413), length("9223372036854775813")),
    ("endless length", (400, 413), length("9" * 200)),
    ("length with white space around", CLEAN, post("Content-Length: \t 5 \t\r\n", "hello")),
    ("length without white space", CLEAN, post("Content-Length:5\r\n", "hello")),
    ("length in capitals", CLEAN, post("CONTENT-LENGTH: 5\r\n", "hello")),
    ("length with leading zeros", EITHER, length("0005")),
    ("length folded", 400, post("Content-Length:\r\n 5\r\n", "hello")),
    ("length with a space before the colon", 400, post("Content-Length : 5\r\n", "hello")),
    ("length with a tab before the colon", 400, post("Content-Length\t: 5\r\n", "hello")),
    ("length behind a bare CR", 400, post("X-A: b\rContent-Length: 5\r\n", "hello")),
    ("length behind a bare LF", 400, post("X-A: b\nContent-Length: 5\r\n", "hello")),
    ("length nominated by Connection", 400, post("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello")),
    ("length on GET", CLEAN, "GET /a HTTP/1.1\r\n%sContent-Length: 5\r\n\r\nhello" % HOST),
    ("length zero on GET", CLEAN, line("Content-Length: 0\r\n")),
    # --- codings ---
    ("coding in capitals", CLEAN, coding("CHUNKED")),
    ("coding with white space around", CLEAN, coding(" \tchunked\t ")),
    ("coding twice in a list", (400, 501), coding("chunked, chunked")),
    ("coding twice in two lines", (400, 501), post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    ("identity", (400, 501), coding("identity")),
    ("gzip, chunked", (400, 501), coding("gzip, chunked")),
    ("chunked, gzip", (400, 501), coding("chunked, gzip")),
    ("chunked, identity", (400, 501), coding("chunked, identity")),
    ("chunked then identity", (400, 501), post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")),
    ("identity then chunked", (400, 501), post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    ("xchunked", (400, 501), coding("xchunked")),
    ("chunkedx", (400, 501), coding("chunkedx")),
    ("chunk", (400, 501), coding("chunk")),
    ("chunked in quotes", (400, 501), coding('"chunked"')),
    ("chunked with a parameter", (400, 501), coding("chunked;q=0.5")),
    ("chunked behind vertical tab", (400, 501), coding("\x0bchunked")),
    ("chunked behind no-break space", (400, 501), coding("\xa0chunked")),
    ("chunked with NUL", (400, 501), coding("chunked\0")),
    ("chunked with a comma before", (EITHER, 501), coding(", chunked")),
    ("chunked with a comma behind", (EITHER, 501), coding("chunked,")),
    ("empty coding", (400, 501), coding("")),
    ("coding with a space before the colon", 400, post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")),
    ("coding with a tab before the colon", 400, post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n")),
    ("coding in a folded line", 400, post("X-A: b\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    ("coding folded", 400, post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")),
    ("coding behind a bare LF", 400, post("X-A: b\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    ("coding behind a bare CR", 400, post("X-A: b\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    ("coding in HTTP/1.0", 400, "POST /a HTTP/1.0\r\n%sTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % HOST),
    ("coding nominated by Connection", 400, post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    # --- chunks ---
    ("chunked", CLEAN, chunks("5\r\nhello\r\n0\r\n\r\n")),
    ("chunk size in capitals", CLEAN, chunks("A\r\n0123456789\r\n0\r\n\r\n")),
    ("chunk size with zeros before", CLEAN, chunks("0005\r\nhello\r\n000\r\n\r\n")),
    ("chunk extension", CLEAN, chunks("5;a=b\r\nhello\r\n0;last\r\n\r\n")),
    ("chunk extension in quotes", CLEAN, chunks('5;a="b c"\r\nhello\r\n0\r\n\r\n')),
    ("chunk extension with NUL", 400, chunks("5;a=\0\r\nhello\r\n0\r\n\r\n")),
    ("chunk extension with DEL", 400, chunks("5;a=\x7f\r\nhello\r\n0\r\n\r\n")),
    ("chunk extension with bare CR", 400, chunks("5;a=\rb\r\nhello\r\n0\r\n\r\n")),
    ("chunk extension with bare LF", 400, chunks("5;a=b\nhello\r\n0\r\n\r\n")),
    ("chunk extension without end", 400, chunks("5;" + "a" * 100000 + "\r\nhello\r\n0\r\n\r\n")),
    ("chunk size in 0x", 400, chunks("0x5\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with plus", 400, chunks("+5\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with minus", 400, chunks("-5\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with underscore", 400, chunks("0_5\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with a space before", 400, chunks(" 5\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with a space behind", EITHER, chunks("5 \r\nhello\r\n0\r\n\r\n")),
    ("chunk size with a tab behind", EITHER, chunks("5\t\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with a comma", 400, chunks("5,\r\nhello\r\n0\r\n\r\n")),
    ("chunk size with a letter", 400, chunks("5g\r\nhello\r\n0\r\n\r\n")),
    ("empty chunk size", 400, chunks("\r\nhello\r\n0\r\n\r\n")),
    ("extension without a size", 400, chunks(";a=b\r\nhello\r\n0\r\n\r\n")),
    ("chunk size beyond 64 bits", (400, 413), chunks("10000000000000005\r\nhello\r\n0\r\n\r\n")),
    ("largest chunk size", (400, 413), chunks("ffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    ("chunk size of sixty zeros", EITHER, chunks("0" * 60 + "\r\n\r\n")),
    ("chunk size ended by LF", 400, chunks("5\nhello\r\n0\r\n\r\n")),
    ("chunk size ended by CR", 400, chunks("5\rhello\r\n0\r\n\r\n")),
    ("chunk size ended by CR and another", 400, chunks("5\rX\nhello\r\n0\r\n\r\n")),
    ("chunk size ended by two CR", 400, chunks("5\r\r\nhello\r\n0\r\n\r\n")),
    ("data ended by LF", 400, chunks("5\r\nhello\n0\r\n\r\n")),
    ("data ended by CR", 400, chunks("5\r\nhello\r0\r\n\r\n")),
    ("data not ended", 400, chunks("5\r\nhello0\r\n\r\n")),
    ("data too long", 400, chunks("4\r\nhello\r\n0\r\n\r\n")),
    ("data too long by two", 400, chunks("3\r\nhello\r\n0\r\n\r\n")),
    ("data ended by two other bytes", 400, chunks("5\r\nhelloXX0\r\n\r\n")),
    ("last chunk ended by LF", 400, chunks("5\r\nhello\r\n0\n\r\n")),
    ("last chunk and LF", 400, chunks("5\r\nhello\r\n0\r\n\n")),
    ("last chunk and CR", 400, chunks("5\r\nhello\r\n0\r\n\rX")),
    ("last chunk minus zero", 400, chunks("-0\r\n\r\n")),
    ("last chunk without an empty line", 400, chunks("5\r\nhello\r\n0\r\n")),
    # --- trailers ---
    ("trailer", CLEAN, chunks("0\r\nX-Sum: 1\r\n\r\n")),
    ("trailer Content-Length", 400, chunks("0\r\nContent-Length: 5\r\n\r\n")),
    ("trailer Transfer-Encoding", 400, chunks("0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    ("trailer Host", 400, chunks("0\r\nHost: evil.test\r\n\r\n")),
    ("trailer Connection", (EITHER,), chunks("0\r\nConnection: close\r\n\r\n")),
    ("trailer with a space before the colon", 400, chunks("0\r\nX-A : b\r\n\r\n")),
    ("trailer folded", 400, chunks("0\r\nX-A: b\r\n c\r\n\r\n")),
    ("trailer with a bare LF", 400, chunks("0\r\nX-A: b\nX-B: c\r\n\r\n")),
    ("trailer with NUL", 400, chunks("0\r\nX-A: \0\r\n\r\n")),
    ("trailer without a colon", 400, chunks("0\r\nX-A\r\n\r\n")),
    ("trailers without end", (400, 431), chunks("0\r\n" + "X-A: %s\r\n" % ("b" * 1000) * 200 + "\r\n")),
    # --- the request line ---
    ("two spaces before the target", 400, start("GET  /a HTTP/1.1")),
    ("two spaces before the version", 400, start("GET /a  HTTP/1.1")),
    ("tab before the target", 400, start("GET\t/a HTTP/1.1")),
    ("tab before the version", 400, start("GET /a\tHTTP/1.1")),
    ("vertical tab before the version", 400, start("GET /a\x0bHTTP/1.1")),
    ("space before the method", 400, start(" GET /a HTTP/1.1")),
    ("space behind the version", 400, start("GET /a HTTP/1.1 ")),
    ("space within the target", 400, start("GET /a b HTTP/1.1")),
    ("no target", 400, start("GET HTTP/1.1")),
    ("no version", (400, 505), start("GET /a")),
    ("small http", (400, 505), start("GET /a http/1.1")),
    ("HTTP/1.10", (400, 505), start("GET /a HTTP/1.10")),
    ("HTTP/01.1", (400, 505), start("GET /a HTTP/01.1")),
    ("HTTP/1", (400, 505), start("GET /a HTTP/1")),
    ("HTTP/1.", (400, 505), start("GET /a HTTP/1.")),
    ("HTTP/ 1.1", 400, start("GET /a HTTP/ 1.1")),
    ("HTTP/1.1.1", (400, 505), start("GET /a HTTP/1.1.1")),
    ("HTTP/2.0", 505, start("GET /a HTTP/2.0")),
    ("HTTP/0.9", (400, 505), start("GET /a HTTP/0.9")),
    ("the preface of HTTP/2", (400, 505), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("another protocol", (400, 505), start("GET /a SMTP/1.1")),
    ("method with an at sign", 400, start("G@T /a HTTP/1.1")),
    ("method with NUL", 400, start("G\0T /a HTTP/1.1")),
    ("method in small letters", CLEAN, start("get /a HTTP/1.1")),
    ("empty line before", CLEAN, "\r\n" + start("GET /a HTTP/1.1")),
    ("empty lines before", (EITHER,), "\r\n\r\n\r\n" + start("GET /a HTTP/1.1")),
    ("bare LF before", 400, "\n" + start("GET /a HTTP/1.1")),
    ("bare CR before", 400, "\r" + start("GET /a HTTP/1.1")),
    ("NUL before", 400, "\0" + start("GET /a HTTP/1.1")),
    ("request line ended by LF", 400, "GET /a HTTP/1.1\n%s\r\n" % HOST),
    ("request line ended by CR", 400, "GET /a HTTP/1.1\r%s\r\n" % HOST),
    ("request line ended by CR CR LF", 400, "GET /a HTTP/1.1\r\r\n%s\r\n" % HOST),
    ("request line folded", 400, "GET /a\r\n HTTP/1.1\r\n%s\r\n" % HOST),
    # --- the target ---
    ("target without a slash", 400, start("GET a HTTP/1.1")),
    ("target of a query alone", 400, start("GET ?a HTTP/1.1")),
    ("target with NUL", 400, start("GET /a\0 HTTP/1.1")),
    ("target with DEL", 400, start("GET /a\x7f HTTP/1.1")),
    ("target with a high byte", EITHER, start("GET /a\xe9 HTTP/1.1")),
    ("target with a fragment", (EITHER,), start("GET /a#b HTTP/1.1")),
    ("target with a backslash", EITHER, start("GET \\a HTTP/1.1")),
    ("asterisk with GET", 400, start("GET * HTTP/1.1")),
    ("asterisk with OPTIONS", CLEAN, start("OPTIONS * HTTP/1.1"), "*"),
    ("two slashes", CLEAN, start("GET //a HTTP/1.1"), "//a"),
    ("absolute target", CLEAN, start("GET http://site.test/a HTTP/1.1")),
    ("absolute target with https", CLEAN, start("GET https://site.test/a HTTP/1.1")),
    ("absolute target in capitals", CLEAN, start("GET HTTP://SITE.TEST/a HTTP/1.1")),
    ("absolute target without a path", CLEAN, start("GET http://site.test HTTP/1.1"), "/"),
    ("absolute target of another host", (400, 404, 421), start("GET http://evil.test/a HTTP/1.1")),
    ("absolute target without a host", 400, start("GET http:///a HTTP/1.1")),
    ("absolute target with user", 400, start("GET http://user@site.test/a HTTP/1.1")),
    ("absolute target of another scheme", 400, start("GET ftp://site.test/a HTTP/1.1")),
    # --- field lines ---
    ("high bytes in a value", CLEAN, line("X-A: \xff\xfe\r\n")),
    ("tab in a value", CLEAN, line("X-A: a\tb\r\n")),
    ("empty value", CLEAN, line("X-A:\r\n")),
    ("empty name", 400, line(": b\r\n")),
    ("no colon", 400, line("X-A\r\n")),
    ("space within a name", 400, line("X A: b\r\n")),
    ("space before a colon", 400, line("X-A : b\r\n")),
    ("bracket in a name", 400, line("X(A): b\r\n")),
    ("slash in a name", 400, line("X/A: b\r\n")),
    ("NUL in a name", 400, line("X\0A: b\r\n")),
    ("high byte in a name", 400, line("X\xe9A: b\r\n")),
    ("CR in a name", 400, line("X\rA: b\r\n")),
    ("NUL in a value", 400, line("X-A: a\0b\r\n")),
    ("vertical tab in a value", 400, line("X-A: a\x0bb\r\n")),
    ("bell in a value", 400, line("X-A: a\x07b\r\n")),
    ("DEL in a value", 400, line("X-A: a\x7fb\r\n")),
    ("CR in a value", 400, line("X-A: a\rb\r\n")),
    ("CR at the end of a value", 400, line("X-A: a\r\r\n")),
    ("LF in a value", 400, line("X-A: a\nb\r\n")),
    ("line ended by LF", 400, line("X-A: b\n")),
    ("line folded by a space", 400, line("X-A: b\r\n c\r\n")),
    ("line folded by a tab", 400, line("X-A: b\r\n\tc\r\n")),
    ("line folded to nothing", 400, line("X-A: b\r\n \r\n")),
    ("first line begins with a space", 400, "GET /a HTTP/1.1\r\n X-A: b\r\n%s\r\n" % HOST),
    ("first line begins with a tab", 400, "GET /a HTTP/1.1\r\n\t%s\r\n" % HOST),
    ("head ended by LF", 400, "GET /a HTTP/1.1\r\n%s\n" % HOST),
    ("head ended by LF LF", 400, "GET /a HTTP/1.1\r\nHost: site.test\n\n"),
    ("head ended by CR", 400, "GET /a HTTP/1.1\r\n%s\rX" % HOST),
    ("head ended by a line of a space", 400, "GET /a HTTP/1.1\r\n%s \r\n" % HOST),
    # --- Host ---
    ("no Host", 400, host("X-A: b\r\n")),
    ("two Host fields that are equal", 400, host(HOST + HOST)),
    ("two Host fields that differ", 400, host(HOST + "Host: evil.test\r\n")),
    ("two Host fields, one empty", 400, host(HOST + "Host:\r\n")),
    ("Host with a space before the colon", 400, host("Host : site.test\r\n")),
    ("Host folded", 400, host("Host: site.test\r\n .evil.test\r\n")),
    ("Host with a list", 400, host("Host: site.test, evil.test\r\n")),
    ("Host with a space", 400, host("Host: site.test evil.test\r\n")),
    ("Host with a slash", 400, host("Host: site.test/a\r\n")),
    ("Host with a user", 400, host("Host: user@site.test\r\n")),
    ("Host with a scheme", 400, host("Host: http://site.test\r\n")),
    ("Host with a query", 400, host("Host: site.test?a\r\n")),
    ("Host with NUL", 400, host("Host: site.test\0.evil.test\r\n")),
    ("Host with a bad port", 400, host("Host: site.test:abc\r\n")),
    ("Host with a port too large", 400, host("Host: site.test:65536\r\n")),
    ("Host with a port that is negative", 400, host("Host: site.test:-1\r\n")),
    ("Host with two ports", 400, host("Host: site.test:1:2\r\n")),
    ("Host with an open bracket", 400, host("Host: [::1\r\n")),
    ("empty Host", (400, 404, 421), host("Host:\r\n")),
    ("Host with a port", CLEAN, host("Host: site.test:443\r\n")),
    ("Host in capitals", CLEAN, host("HOST: SITE.TEST\r\n")),
    ("Host without white space", CLEAN, host("Host:site.test\r\n")),
    ("Host with white space around", CLEAN, host("Host: \t site.test \t\r\n")),
    # --- Connection ---
    ("Host nominated by Connection", 400, line("Connection: Host\r\n")),
    ("Cookie nominated by Connection", 400, line("Connection: close, Cookie\r\nCookie: a=b\r\n")),
    ("Authorization nominated by Connection", 400, line("Connection: Authorization\r\nAuthorization: Basic QTpC\r\n")),
    ("X-Forwarded-For nominated by Connection", 400, line("Connection: X-Forwarded-For\r\n")),
    ("client certificate fields nominated by Connection", (400, CLEAN), line("Connection: X-Client-Cert-Verify\r\nX-Client-Cert-Verify: SUCCESS\r\n")),
    ("HTTP/2 settings", CLEAN, line("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")),
    ("an upgrade with a body", EITHER, post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", "hello")),
    ("an upgrade that the origin does not take", CLEAN, line("Connection: Upgrade\r\nUpgrade: websocket\r\n")),
    # --- names that an origin may take for others ---
    ("Content_Length", EITHER, post("Content_Length: 5\r\n")),
    ("Transfer_Encoding", EITHER, post("Transfer_Encoding: chunked\r\n")),
]  # fmt: skip


def case(row):
    name, expected, raw = row[:3]
    return pytest.param(expected, raw, row[3] if len(row) > 3 else "/a", id=name)


@pytest.fixture(scope="module")
def place(request, tmp_path_factory, ca):
    """One proxy and one recording origin for all rows."""
    with Proxies.scope(request) as start:
        recorder = origins.Recorder()
        p = start(
            proxy.config(
                free_port(), ca.leaf("site.test").files(start.directory), recorder.address,
                limits={"head_bytes": "64k"}, threads=1,
            )
        )  # fmt: skip
        yield p, recorder
        assert not recorder.failures
        recorder.stop()


def answers(p, raw):
    """All that comes back, read strictly, up to the end of the connection."""
    found = []
    with p.client() as c:
        try:
            c.send(raw)
        except (ConnectionError, OSError):
            pass  # refused before all was sent
        while True:
            try:
                found.append(c.response())
            except wire.Ended as e:
                assert not c.reader.buffer, "half a response: %s" % e
                return found
            except ConnectionResetError:
                raise AssertionError("reset instead of an answer and the end; got %r" % found) from None


@pytest.mark.parametrize("expected, raw, target", [case(r) for r in REQUESTS])
def test_request(place, expected, raw, target):
    p, recorder = place
    recorder.forget()
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = answers(p, raw + SMUGGLED)
    assert p.get("/barrier").status == 200
    seen = [r for c in list(recorder.connections) for r in wire.parse_requests(bytes(c.received))[0]]
    targets = [r.target for r in seen if r.target != "/barrier"]
    statuses = [a.status for a in got]
    refused = [s for s in expected if isinstance(s, int)] + ([400] if EITHER in expected else [])

    if statuses and statuses[-1] >= 400:
        assert statuses[-1] in refused, "refused with %s" % statuses
        assert len(statuses) == 1
        assert targets == [], "refused, yet the origin saw a request"
    else:
        assert CLEAN in expected or EITHER in expected, "passed on: %r" % targets
        assert statuses == [200, 200]
        assert targets == [target, "/smuggled"] or EITHER in expected and targets[-1] == "/smuggled"
        names = [n for r in seen for n in r.names()]
        assert not {"http2-settings", "x-client-cert-verify"} & set(names) or EITHER in expected
        assert json.loads(got[0].body)["target"] == targets[0]
    assert not recorder.failures, recorder.failures


def test_there_are_a_hundred():
    assert len(REQUESTS) >= 100
    assert len({r[0] for r in REQUESTS}) == len(REQUESTS)


def test_behind_a_good_request(place):
    """What is refused ends the connection, and what came before it is answered."""
    p, recorder = place
    recorder.forget()
    got = answers(p, start("GET /good HTTP/1.1") + length("+5") + SMUGGLED)
    assert [a.status for a in got] == [200, 400]
    assert recorder.targets == ["/good"]


def test_nothing_behind_connection_close(place):
    p, recorder = place
    recorder.forget()
    got = answers(p, line("Connection: close\r\n") + SMUGGLED)
    assert [a.status for a in got] == [200]
    assert p.get("/barrier").status == 200
    assert "/smuggled" not in recorder.targets


# --- origins that do the same to us ------------------------------------------------------------------------------

OK = "HTTP/1.1 200 OK\r\n"
BODY = "Content-Length: 5\r\n\r\nhello"
INJECTED = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected"

# Each is answered with 502; none of its bytes reaches the client, least of all with its next answer.
RESPONSES = [
    ("length and coding", OK + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths that differ", OK + "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello"),
    ("a list of lengths that differ", OK + "Content-Length: 5, 0\r\n\r\nhello"),
    ("length with plus", OK + "Content-Length: +5\r\n\r\nhello"),
    ("length in hexadecimal", OK + "Content-Length: 0x5\r\n\r\nhello"),
    ("length beyond 64 bits", OK + "Content-Length: 18446744073709551621\r\n\r\nhello"),
    ("chunked, gzip", OK + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("xchunked", OK + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("space before a colon", OK + "X-A : b\r\n" + BODY),
    ("folded line", OK + "X-A: b\r\n c\r\n" + BODY),
    ("line without CR", OK + "X-A: b\n" + BODY),
    ("CR in a value", OK + "X-A: b\rc\r\n" + BODY),
    ("NUL in a value", OK + "X-A: \0\r\n" + BODY),
    ("NUL in a name", OK + "X\0A: b\r\n" + BODY),
    ("no colon", OK + "X-A\r\n" + BODY),
    ("status of two digits", "HTTP/1.1 20 OK\r\n" + BODY),
    ("status of four digits", "HTTP/1.1 2000 OK\r\n" + BODY),
    ("status below 100", "HTTP/1.1 099 OK\r\n" + BODY),
    ("status in letters", "HTTP/1.1 2OO OK\r\n" + BODY),
    ("no HTTP", "ICY 200 OK\r\n" + BODY),
    ("HTTP/2", "HTTP/2 200 OK\r\n" + BODY),
    ("garbage", "\0\1\2\3 garbage\r\n\r\n"),
    ("nothing", ""),
    ("half a head", OK + "X-A: "),
    ("switching without being asked", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
    ("204 with a length", "HTTP/1.1 204 No Content\r\n" + BODY),
    ("204 with a coding", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("103 with a length", "HTTP/1.1 103 Early Hints\r\n" + BODY + OK + BODY),
    ("head without end", OK + "X-A: %s\r\n" % ("b" * 1000) * 300),
]


@pytest.fixture(scope="module")
def liar(request, ca):
    """A proxy before an origin that sends what the test says and then closes."""
    with Proxies.scope(request) as start:
        recorder = origins.Recorder(None)
        p = start(
            proxy.config(
                free_port(), ca.leaf("site.test").files(start.directory), recorder.address, threads=1,
                upstreams={"origin": {"eject": {"failures": 0}, "tries": 1}},
            )
        )  # fmt: skip
        yield p, recorder
        recorder.stop()


def lie(recorder, raw, close=True):
    def script(c):
        while True:
            if c.request().target == "/honest":
                c.answer(body="honest")
            else:
                c.send(raw)
                if close:
                    return

    recorder.script = script
    recorder.drop_connections()


@pytest.mark.parametrize("raw", [pytest.param(r[1], id=r[0]) for r in RESPONSES])
def test_response(liar, raw):
    p, recorder = liar
    lie(recorder, raw)
    with p.client() as c:
        answer = c.request(target="/case")
        assert answer.status == 502
        assert "hello" not in answer.text
        if answer.get("Connection") != "close":
            assert c.request(target="/honest").body == b"honest"
    assert p.get("/honest").body == b"honest"


@pytest.mark.parametrize(
    "body",
    ["5\r\nhelloX\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\nZ\r\n\r\n", "5\r\nhello\r\n",
     "ffffffffffffffffff\r\nhello", "5\r\nhel", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"],
)  # fmt: skip
def test_a_damaged_body_never_looks_complete(liar, body):
    p, recorder = liar
    lie(recorder, OK + "Transfer-Encoding: chunked\r\n\r\n" + body)
    with p.client() as c:
        c.send_request(target="/case")
        try:
            assert c.response().status == 502
        except (wire.Ended, wire.Malformed, ConnectionError):
            pass
    assert p.get("/honest").body == b"honest"


def test_a_short_body_never_looks_complete(liar):
    p, recorder = liar
    lie(recorder, OK + "Content-Length: 50\r\n\r\nhello")
    with p.client() as c:
        c.send_request(target="/case")
        with pytest.raises((wire.Ended, ConnectionError)):
            assert c.response().status == 502
            raise wire.Ended
    assert p.get("/honest").body == b"honest"


@pytest.mark.parametrize(
    "method, raw",
    [
        ("GET", OK + BODY + INJECTED),
        ("HEAD", OK + "Content-Length: %d\r\n\r\n" % len(INJECTED) + INJECTED),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n" + INJECTED),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + INJECTED),
        ("GET", OK + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INJECTED),
    ],
)
def test_bytes_behind_a_response_belong_to_nobody(liar, method, raw):
    """An origin connection with unasked bytes on it is not used again, whoever comes next."""
    p, recorder = liar
    lie(recorder, raw, close=False)
    with p.client() as c:
        for _ in range(3):
            answer = c.request(method, "/case")
            assert answer.status in (200, 204, 304) and b"injected" not in answer.body
            assert c.request(target="/honest").body == b"honest"
