"""Seeing inside: access log, error log, status, metrics, the admin socket."""

import json
import pathlib
import re
import socket
import stat

import pytest

from harness import client, proxy, wait, wire
from harness.ports import dead_port

COMBINED = re.compile(
    r'(?P<address>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"\Z'
)  # fmt: skip


# --- the access log ---


def test_a_line_tells_all_of_a_request(simple, echo):
    p = simple()
    with p.client() as c:
        c.request("POST", "/a/b?c=d", {"User-Agent": "tester/1", "Referer": "https://else.test/"}, body=b"12345")
    (line,) = p.access(1)
    text = json.dumps(line)
    for part in ("POST", "/a/b?c=d", "site.test", "127.0.0.1", "tester/1", echo.address, "TLSv1.3"):
        assert part in text, part
    assert line["status"] == 200
    assert 5 in line.values(), "the bytes of the request's body"


@pytest.mark.threads
def test_every_request_has_its_line(simple):
    p = simple()
    for i in range(20):
        with p.client() as c:
            for k in range(5):
                c.request(target="/%d/%d" % (i, k))
    lines = p.access(100)
    assert len(lines) == 100
    text = p.access_path.read_text()
    for i in range(20):
        for k in range(5):
            assert text.count('"/%d/%d"' % (i, k)) == 1


def test_refused_requests_have_a_line_too(simple):
    p = simple(threads=1)
    for raw, status in (
        (b"GET / HTTP/1.1\r\nHost: site.test\r\nX A: b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: else.test\r\n\r\n", (404, 421)),
    ):
        with p.client() as c:
            c.send(raw)
            got = c.response().status
        assert got == status or got in (status if isinstance(status, tuple) else ())
    assert [line["status"] for line in p.access(3)][:2] == [400, 505]


NASTY = [
    'quote " and \\ backslash',
    "tab\tand \xe9\xff high bytes",
    '\\", "status": 999, "x": "',
    '" 200 0 "-" "-"',
    "\\x22\\u0022",
    "{}[]%s%n%n%n${host}",
    "x" * 2000,
]


@pytest.mark.parametrize("form", ["json", "combined"])
def test_no_client_can_forge_a_line(simple, form):
    p = simple(log={"format": form}, threads=1)
    for text in NASTY:
        with p.client() as c:
            c.send_request(target="/%22", fields={"User-Agent": text, "Referer": text, "Cookie": text})
            assert c.response().status == 200
    with p.client() as c:
        c.send('G"T /"}\' HTTP/1.1\r\nHost: site.test\r\n\r\n')
        c.rest()
    wait.until(lambda: p.access_path.read_bytes().count(b"\n") >= len(NASTY), "the lines")
    assert p.stop() == 0
    data = p.access_path.read_bytes()
    assert data.endswith(b"\n")
    assert not re.search(rb"[\0-\x09\x0b-\x1f\x7f]", data), "a control byte"
    lines = data.decode("utf-8").splitlines()
    assert len(data.split(b"\n")) - 1 == len(lines) == len(NASTY) + 1
    for line, text in zip(lines, NASTY):
        if form == "json":
            entry = json.loads(line)
            assert entry["status"] == 200
            if text.isascii() and len(text) < 100 and "\t" not in text:
                assert text in entry.values()
        else:
            match = COMBINED.match(line)
            assert match, line
            assert match["status"] == "200" and match["request"].startswith("GET /%22 HTTP/1.1")


def test_combined(simple):
    p = simple(log={"format": "combined"}, threads=1)
    p.get("/x?y", fields={"User-Agent": "tester/1", "Referer": "https://else.test/"})
    p.get("/bare")
    wait.until(lambda: p.access_path.read_text().count("\n") == 2, "two lines")
    first, second = (COMBINED.match(line) for line in p.access_path.read_text().splitlines())
    assert (first["address"], first["request"], first["status"]) == ("127.0.0.1", "GET /x?y HTTP/1.1", "200")
    assert (first["referer"], first["agent"]) == ("https://else.test/", "tester/1")
    assert int(first["bytes"]) > 0
    assert (second["referer"], second["agent"]) == ("-", "-")


def test_a_trusted_proxys_client_is_the_one_that_is_logged(simple):
    p = simple(trusted_proxies=["127.0.0.1"])
    p.get(fields={"X-Forwarded-For": "203.0.113.7"})
    assert "203.0.113.7" in json.dumps(p.access(1))


# --- the error log ---


def test_lines_have_time_level_and_text(simple):
    p = simple()
    p.get()
    for line in p.log.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", line), line
        assert re.search(r"\b(debug|info|notice|warning|error)\b", line), line


def test_the_level_is_kept(simple):
    p = simple(log={"level": "error"})
    with p.client() as c:
        c.send("nonsense\r\n\r\n")
        c.rest()
    p.get()
    p.reload()
    assert not re.search(r"\b(debug|info|notice)\b", p.log)


@pytest.mark.parametrize(
    "sent, reason",
    [
        (b"GET / HTTP/1.1\r\nHost: site.test\r\nX A: b\r\n\r\n", "field name"),
        (
            b"GET / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Content-Length and Transfer-Encoding",
        ),
        (b"GET / HTTP/1.1\nHost: site.test\n\n", "without CR"),
        (b"GET / HTTP/1.1\r\n\r\n", "Host"),
    ],
)
def test_what_was_refused_and_why_is_logged(simple, sent, reason):
    p = simple(log={"level": "info"})
    with p.client() as c:
        c.send(sent)
        assert c.response().status == 400
    assert "127.0.0.1" in p.wait_log("^.*%s.*$" % reason).group(0)


def test_a_failed_handshake_says_where(simple, other_ca):
    p = simple()
    where = r'\(listener 127\.0\.0\.1:%d, server name "%s", site "%s"\)$'
    with pytest.raises(OSError):
        p.get(name="nowhere.test")
    p.wait_log("handshake failed: .*" + where % (p.port, r"nowhere\.test", "none"))
    with pytest.raises(OSError):
        p.get(ca=other_ca)
    p.wait_log("handshake failed: .*unknown ca.*" + where % (p.port, r"site\.test", r"site\.test"))


def test_a_flood_of_failed_handshakes_is_cut_short(simple):
    p = simple(threads=1)

    def fail():
        with socket.create_connection(("127.0.0.1", p.port)) as s:
            s.sendall(b"no ClientHello\r\n")
            s.recv(100)
        return re.search(r"\d+ more lines like these were left out", p.log)

    wait.until(fail, "the log to be spared")
    assert p.log.count("the TLS handshake failed") < p.counter("handshakes_failed")


def test_a_failed_handshake_says_why(simple):
    p = simple(log={"level": "info"})
    client.s_client(p.port, name="nobody.example")
    p.wait_log("nobody.example|unrecognized")
    client.s_client(p.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    p.wait_log("(?i)handshake.*(version|protocol)")
    with p.client(tls=False) as c:
        c.send("GET / HTTP/1.1\r\n\r\n")
        c.rest()
    p.wait_log("(?i)http request|wrong version|not TLS|plain")


# --- status ---


def test_status(simple, identity, echo):
    p = simple()
    p.get()
    status = json.loads(p.command("status", "--json").stdout)
    assert status == p.status() or status["generation"] == p.status()["generation"]
    assert status["pid"] == p.worker
    assert status["listeners"][0]["address"].endswith(":%d" % p.port)
    (bundle,) = status["bundles"]
    assert bundle["name"] == "main" and bundle["days_left"] in (88, 89, 90)
    assert "site.test" in bundle["names"]
    assert status["sites"][0]["names"] == ["site.test"]
    (upstream,) = status["upstreams"]
    (server,) = upstream["servers"]
    assert (server["address"], server["requests"], server["in_flight"], server["errors"]) == (echo.address, 1, 0, 0)


def test_status_for_people(simple, echo):
    p = simple()
    done = p.command("status")
    assert done.returncode == 0
    for part in ("bascule", "site.test", "main", "origin", echo.address):
        assert part in done.stdout, part


def test_status_of_a_proxy_that_is_not_there(simple):
    p = simple()
    assert p.stop() == 0
    done = p.command("status")
    assert done.returncode == 1
    assert "admin.sock" in done.stderr


def test_a_server_that_is_left_out_shows(simple):
    address = "127.0.0.1:%d" % dead_port()
    p = simple(address, upstreams={"origin": {"eject": {"failures": 1, "time": "1h"}}})
    healthy = p.status()["upstreams"][0]["servers"][0]["state"]
    p.get()
    server = p.status()["upstreams"][0]["servers"][0]
    assert server["state"] != healthy and server["errors"] >= 1


def test_the_last_reload_shows(simple, directory, ca):
    p = simple()
    ca.leaf("site.test").files(directory)
    p.reload()
    last = p.status()["last_reload"]
    assert last["ok"] is True and "main" in json.dumps(last)
    p.configure("{")
    p.reload(expect=False)
    assert p.status()["last_reload"]["ok"] is False


def test_a_refused_config_shows_until_one_is_taken(simple, directory, ca):
    """Though what the watch takes over in between is the last thing that was loaded."""
    p = simple(reload={"watch": True})
    good = p.config_path.read_text()
    assert p.status()["config_refused"] is None
    p.configure("{")
    p.reload(expect=False)
    refused = p.status()["config_refused"]
    assert refused == p.status()["last_reload"]["at"]
    ca.leaf("site.test").files(directory)
    wait.until(lambda: p.status()["last_reload"]["ok"], "the new certificate")
    assert p.status()["config_refused"] == refused
    shown = p.command("status", "--socket", p.admin_socket).stdout
    assert "The config on the disk was refused at %s; `bascule check` tells why" % refused in shown
    p.configure(good)
    p.reload()
    assert p.status()["config_refused"] is None


def test_what_is_held_back_shows_beside_a_config_that_is_refused(simple, directory, ca):
    p = simple()
    good = p.config_path.read_text()
    ca.leaf("elsewhere.test").files(directory)
    p.reload()
    taken = p.status()
    assert [o["outcome"] for o in taken["last_reload"]["outcomes"]] == ["held"]
    assert taken["last_taken"] is None, "it is the last one"
    for _ in range(2):
        p.configure("{")
        p.reload(expect=False)
        status = p.status()
        assert not status["last_reload"]["ok"] and status["last_reload"]["outcomes"] == []
        assert status["last_taken"] == {"at": taken["last_reload"]["at"], "outcomes": taken["last_reload"]["outcomes"]}
        shown = p.command("status", "--socket", p.admin_socket).stdout
        assert re.search(r"\nIn service since %s\n.*main +held +/.*does not cover site.test" % taken["last_reload"]["at"], shown), shown
    p.configure(good)
    p.reload()
    status = p.status()
    assert [o["outcome"] for o in status["last_reload"]["outcomes"]] == ["held"]
    assert status["last_taken"] is None


def test_names_that_no_certificate_covers_are_warned_about(simple):
    p = simple(sites=[proxy.site("site.test", "elsewhere.test")])
    assert "elsewhere.test" in p.command("check").stderr


# --- metrics ---

LABEL = r'[a-z_]+="(?:[^"\\\n]|\\.)*"'
SAMPLE = re.compile(r"([a-z_:][a-zA-Z0-9_:]*)(\{%s(?:,%s)*\})? (-?[0-9.eE+-]+|NaN)\Z" % (LABEL, LABEL))


def test_metrics_can_be_parsed(simple):
    p = simple()
    p.get()
    answer = p.admin("GET", "/metrics")
    assert answer.get("Content-Type").startswith("text/plain; version=0.0.4")
    types, helped, names = {}, set(), []
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge") and name not in types
            types[name] = kind
        elif line.startswith("# HELP "):
            helped.add(line.split(" ")[2])
        else:
            match = SAMPLE.match(line)
            assert match, line
            names.append(match[1] + (match[2] or ""))
            assert match[1] in types and match[1] in helped
            assert match[1].startswith("bascule_")
    assert len(names) == len(set(names)), "a sample twice"
    assert p.command("metrics").stdout.splitlines()[0] == answer.text.splitlines()[0]


def test_every_counter_is_there(simple):
    rows = re.findall(r"^\tX\((\w+), (counter|gauge),", (proxy.TREE / "src/base/counters.h").read_text(), re.M)
    assert len(rows) > 10
    text = simple().admin("GET", "/metrics").text
    for name, kind in rows:
        assert re.search(r"^# TYPE bascule_%s(_total)? %s$" % (name, kind), text, re.M), name


def test_what_is_counted(simple):
    p = simple()
    context = client.tls_context()
    with p.client(context=context) as c:
        c.request("POST", "/", body=b"x" * 1000)
        c.request()
        assert p.counter("connections_open") == 1
        session = c.session
    with p.client(context=context, session=session) as c:
        c.send("bad\r\n\r\n")
        c.rest()
    wait.until(lambda: p.counter("connections_open") == 0, "the connections to be closed")
    for name, value in {"connections_accepted": 2, "requests_malformed": 1, "handshakes_full": 1,
                        "handshakes_resumed": 1, "bytes_from_clients": 1000, "requests_in_flight": 0}.items():  # fmt: skip
        assert p.counter(name) == value, name
    assert p.counter("requests") >= 2
    assert p.counter("bytes_to_clients") > 0


# --- the socket ---


def test_the_socket_is_its_owners_alone(simple):
    mode = simple().admin_socket.stat().st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o600


def test_what_the_admin_api_does_not_know(simple):
    p = simple()
    assert p.admin("GET", "/nothing").status == 404
    assert p.admin("POST", "/v1/status").status == 405
    assert p.admin("GET", "/v1/reload").status == 405
    assert p.generation == p.status()["generation"]


GARBAGE = {
    "nothing": b"",
    "empty lines": b"\r\n\r\n",
    "half a line": b"GET\r\n\r\n",
    "zeros": b"\0" * 5000,
    "endless head": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000,
    "endless line": b"x" * 300000,
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_on_the_admin_socket(simple, raw):
    p = simple()
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(wait.DEADLINE)
            s.connect(str(p.admin_socket))
            try:
                s.sendall(raw)
                s.shutdown(socket.SHUT_WR)
                wire.Reader(s.recv).rest()
            except OSError:
                pass
    assert p.status()
    assert p.get().status == 200


def test_no_admin_socket_no_api(simple, directory):
    p = simple()
    p.configure({**p.contents, "admin": {"socket": str(directory / "other.sock")}})
    done = p.command("status")
    assert done.returncode == 1 and "other.sock" in done.stderr
    assert not pathlib.Path(directory / "other.sock").exists()


def test_the_status_of_thousands_of_bundles(simple, identity, directory):
    """Larger than what may wait for a client that is not trusted."""
    many = directory / "many"
    many.mkdir()
    for i in range(2000):
        (many / ("bundle-%04d.pem" % i)).write_bytes(identity.combined_pem)
    site = {"names": ["site.test"], "upstream": "origin"}
    p = simple(bundles={"many": {"directory": str(many)}}, sites=[site])
    assert len(p.status()["bundles"]) >= 2000
    assert p.command("status").stdout.count("bundle-") >= 2000
