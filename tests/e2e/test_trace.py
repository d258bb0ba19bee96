"""TRACE, and requests that may go only so far, in each combination of versions."""

import pytest

from harness import proxy
from harness.pair import each, ok


@each
def test_trace_is_refused(pair):
    r = pair(ok).ask("TRACE", "/")
    assert r.status == 405 and "TRACE" not in r.field("allow") and "GET" in r.field("allow")
    assert pair.exchanges == []


@pytest.fixture
def tracing(pair):
    """The same with `trace` in the site."""
    return lambda script: pair(script, sites=[proxy.site("site.test", trace=True)])


@each
def test_trace(pair, tracing):
    def script(x):
        x.rest()
        x.answer(200, ("%s %s" % (x.method, x.target)).encode(), [("content-type", "message/http")])

    c = tracing(script)
    r = c.ask("TRACE", "/a", [("x-one", "1")])
    assert (r.status, r.body, r.field("content-type")) == (200, b"TRACE /a", "message/http")
    assert pair.last.field("x-one") == "1" and pair.last.body == b""


@each
@pytest.mark.parametrize("streamed", [False, True], ids=["length", "streamed"])
def test_trace_has_no_body(pair, tracing, streamed):
    asked = tracing(ok).open("TRACE", "/", length=None if streamed else 3, streamed=streamed)
    asked.send(b"abc")
    asked.end()
    assert asked.rest().status == 400
    assert pair.exchanges == []


@each
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
@pytest.mark.parametrize("has,passes", [("1", "0"), ("0010", "9"), ("18446744073709551615", "18446744073709551614"),
                                        ("99999999999999999999999", "18446744073709551614")])  # fmt: skip
def test_max_forwards_goes_down(pair, tracing, method, has, passes):
    assert tracing(ok).ask(method, "/", [("max-forwards", has)]).body == b"ok"
    assert pair.last.all("max-forwards") == [passes]


@each
def test_max_forwards_of_other_methods_means_nothing(pair):
    assert pair(ok).ask("GET", "/", [("max-forwards", "0")]).body == b"ok"
    assert pair.last.all("max-forwards") == ["0"]


@each
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
@pytest.mark.parametrize("values", [["-1"], ["x"], ["1 2"], [""], ["1", "1"]])
def test_max_forwards_that_is_none(pair, tracing, method, values):
    assert tracing(ok).ask(method, "/", [("max-forwards", v) for v in values]).status == 400
    assert pair.exchanges == []


@each
@pytest.mark.parametrize("path", ["/a?b", "*"])
def test_options_that_go_no_further(pair, tracing, path):
    c = tracing(ok)
    for _ in range(2):
        r = c.ask("OPTIONS", path, [("max-forwards", "0")])
        assert (r.status, r.body, r.field("content-length")) == (200, b"", "0")
        assert r.field("allow").endswith("OPTIONS, TRACE")
    assert pair.exchanges == []


@each
def test_trace_that_goes_no_further(pair, tracing):
    """What came is sent back, but for credentials (RFC 9110, 9.3.8)."""
    c = tracing(ok)
    secret = [("cookie", "secret=1"), ("authorization", "Basic secret"), ("proxy-authorization", "secret")]
    for _ in range(2):
        r = c.ask("TRACE", "/a?b", [("max-forwards", "0"), ("x-one", "1")] + secret)
        assert r.status == 200 and r.field("content-type") == "message/http"
        lines = r.body.decode().lower().split("\r\n")
        assert lines[0] == "trace /a?b http/1.1" and lines[-2:] == ["", ""]
        assert {"host: site.test", "x-one: 1", "max-forwards: 0"} <= set(lines)
        assert b"secret" not in r.body
    assert pair.exchanges == []


@each
def test_trace_that_goes_no_further_where_there_is_none(pair):
    assert pair(ok).ask("TRACE", "/", [("max-forwards", "0")]).status == 405
