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
