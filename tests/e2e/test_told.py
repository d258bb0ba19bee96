"""What check, reload and status tell: every warning and error, at its place, counted, and once."""

import json
import re

import pytest

from harness import pki, proxy
from harness.client import run
from harness.proxy import BINARY

# Each serves, and none is as it should be.
WARNINGS = (
    r"sites\[0\]\.client_certificate\.crls|crls: \S+: the CRL of .* is out of date",
    r"certificates are not in order",
    r'"nobody\.invalid" can not be resolved',
    r"verify: any server can pose",
    r"expires in 3 days",
)


@pytest.fixture
def dubious(directory, ca, port):
    """A config that serves, with a warning of each layer."""
    leaf = ca.intermediate("Short").leaf("site.test", ends=3.5)
    parts = [pki.cert_pem(c) for c in leaf.chain + [leaf.certificate]]
    bundle = {
        "certificate": pki.write(directory / "bundle.crt", b"".join(parts)),
        "key": pki.write(directory / "bundle.key", leaf.key_pem),
    }
    pki.write(directory / "ca.crl", ca.crl(ends=-1))
    pin = {"mode": "optional", "pins": [{"ca": ca.file}], "crls": "ca.crl"}
    return proxy.config(
        port, bundle, "127.0.0.1:80",
        sites=[proxy.site("site.test", client_certificate=pin)],
        upstreams={"origin": {"servers": ["127.0.0.1:80", "nobody.invalid:80"], "tls": {"verify": False}}},
    )  # fmt: skip


def test_check_counts_all_warnings(directory, dubious):
    path = directory / "bascule.json"
    path.write_text(json.dumps(dubious, indent=1))
    done = run(BINARY, "check", "-c", path)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    for expected in WARNINGS:
        assert len([line for line in lines if re.search(expected, line)]) == 1, expected
    assert len(lines) == len(WARNINGS)
    assert all(re.match(r"\S+bascule\.json:\d+:\d+: warning: ", line) for line in lines), done.stderr
    assert ", 5 warnings\n" in done.stdout


def test_reload_and_status_tell_all_warnings(bascule, dubious):
    p = bascule(dubious)
    for expected in WARNINGS:
        assert len(re.findall(r"warning bascule.*" + "(?:%s)" % expected, p.log)) == 1, expected
    assert not re.search(r"warning.*warning:", p.log)
    for _ in range(2):  # nothing has changed, and it is as true as before
        before = len(p.log)
        done = p.command("reload")
        assert done.returncode == 0, done.stderr
        assert re.search(r"^reloaded: config generation \d+, 5 warnings$", done.stdout, re.M)
        for expected in WARNINGS:
            assert len(re.findall(expected, done.stdout)) == 1, expected
            assert len(re.findall(expected, p.log[before:])) == 1, expected
    reply = json.loads(p.command("reload", "--json").stdout)
    assert (reply["ok"], reply["errors"], reply["warnings"]) == (True, 0, 5)
    assert p.status()["last_reload"]["warnings"] == 5
    assert re.search(r"^Last reload .*: done, 5 warnings$", p.command("status").stdout, re.M)


def test_what_waits_for_a_restart_is_a_warning(simple):
    p = simple()
    p.change(threads=1)
    done = p.command("reload")
    assert "warning: these have changed and take effect only at a restart: threads\n" in done.stdout
    assert ", 1 warning\n" in done.stdout
    p.wait_log(r"warning bascule\[\d+\]: these have changed")


# --- places ---

LATE = """{
 "listeners": [ { "address": "127.0.0.1:%d", "tls": true } ],
 "tls": {
  "ciphers": "NO-SUCH" },
 "bundles": { "main": { "certificate": "bundle.crt", "key": "bundle.key" } },
 "sites": [
  { "names": [ "site.test",
               "other.test" ], "bundle": "main", "upstream": "origin",
    "client_certificate": { "mode": "required", "pins": [ {
      "ca": "bundle.crt" } ],
      "crls": [
       "missing.crl" ] },
    "response_headers": { "remove": [ "Server",
       "server" ] },
    "routes": [ { "path":
      "^/(", "upstream": "origin" },
      { "path": "^/(a)", "rewrite":
        "/$2", "headers": { "X-A":
        "[" } } ] } ],
 "upstreams": { "origin": { "servers": [ "127.0.0.1:80" ],
   "tls": { "ca":
     "missing.pem" } } }
}
"""


def test_what_is_found_late_has_its_place_too(directory, identity, port):
    identity.files(directory)
    path = directory / "bascule.json"
    path.write_text(LATE % port)
    done = run(BINARY, "check", "-c", path)
    for expected in (
        "4:14: tls.ciphers",
        "10:13: ca: ",
        "12:8: crls: ",
        r"14:8: response_headers\.remove\.server: named twice",
        "16:7: path: ",
        "18:9: rewrite: ",
        "19:9: headers: ",
        "22:6: tls: ",
    ):
        assert re.search(r"^%s:%s" % (re.escape(str(path)), expected), done.stderr, re.M), (expected, done.stderr)
    assert ": 8 errors, 0 warnings" in done.stdout


def test_a_malformed_value_does_not_hide_what_else_is_wrong(directory, identity, port):
    """Values, references, files, patterns: all in one go, and nothing that only follows from another fault."""
    identity.files(directory)
    path = directory / "bascule.json"
    contents = proxy.config(
        port, {"certificate": "missing.crt", "key": "bundle.key"}, "127.0.0.1:80",
        threads="many",
        sites=[
            proxy.site("a.test", bundle="typo"),
            proxy.site("b.test", bundle="other", routes=[{"path": "^/("}]),
            proxy.site("c.test", bundle="bad"),
        ],
    )  # fmt: skip
    contents["bundles"]["other"] = {"certificate": "bundle.crt", "key": "bundle.key"}
    contents["bundles"]["bad"] = {"certificat": "bundle.crt"}
    path.write_text(json.dumps(contents, indent=1))
    done = run(BINARY, "check", "-c", path)
    lines = done.stderr.splitlines()
    for expected in ("threads: expected", r'no bundle "typo"', "certificat: unknown key", "missing.crt: No such file", "path: "):
        assert len([line for line in lines if re.search(expected, line)]) == 1, (expected, lines)
    assert len(lines) == 5, lines
