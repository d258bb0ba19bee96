"""Two client CAs side by side: who comes with a certificate of which, and when the old pin may be dropped."""

import json
import subprocess

import pytest

from harness import pki, proxy, wait
from harness.client import TLS12, TLS13
from test_client_certs import VERSIONS, demand, moment, turned_away
from test_survive import die

OLD, NEW = "CN=Fleet 2025", "CN=Fleet 2026"


@pytest.fixture(scope="session")
def old(pki_directory):
    return pki.Authority("Fleet 2025", directory=pki_directory)


@pytest.fixture(scope="session")
def new(pki_directory):
    return pki.Authority("Fleet 2026", directory=pki_directory)


@pytest.fixture
def place(directory):
    path = directory / "state"
    path.mkdir(mode=0o700)
    return path


class Site:
    """A site that pins some CAs, and what is known of who came."""

    def __init__(self, start, *authorities, over=None, **rule):
        self.rule = dict({"window": "1h"}, **rule)
        self.p = start(sites=self.sites(*authorities), **(over or {}))

    def sites(self, *authorities):
        return [proxy.site("site.test", client_certificate=demand("required", *authorities, **self.rule))]

    def pin(self, *authorities, **rule):
        self.rule.update(rule)
        self.p.reconfigure(sites=self.sites(*authorities))

    def come(self, identity, **options):
        assert self.p.get(identity=identity, **options).status == 200

    def cas(self):
        answer = self.p.admin("GET", "/v1/client-cas/site.test")
        assert answer.status == 200, answer.text
        return {ca["name"]: ca for ca in answer.json()["cas"]}

    def ca(self, name=OLD):
        return self.cas()[name]

    def whose(self, name=OLD):
        """The status of each certificate, by its subject; those of one subject in the order in which they were last seen."""
        out = {}
        for c in reversed(self.ca(name)["certificates"]):
            out.setdefault(c["subject"], []).append(c["status"])
        return {subject: " ".join(all_) for subject, all_ in out.items()}

    def says(self, name=OLD):
        return [(r["says"], r["text"]) for r in self.ca(name)["reasons"]]

    def until_closed(self):
        """What the last connection's end tells has been noted."""
        wait.until(lambda: all(c["connections"] == 0 for ca in self.cas().values() for c in ca["certificates"]), "all to be gone")


@pytest.fixture
def site(simple):
    return lambda *authorities, **more: Site(simple, *authorities, **more)


def device(ca, name, **more):
    return ca.leaf(name, client=True, **more)


# --- who comes with what ---


@pytest.mark.parametrize("version", VERSIONS)
def test_each_certificate_is_told_with_its_ca(site, old, new, version):
    s = site(old, new)
    a, b, c = device(old, "a"), device(old, "b"), device(new, "c")
    for who in (a, b, c, b):
        s.come(who, version=version)
    s.until_closed()
    assert s.whose(OLD) == {"CN=a": "current", "CN=b": "current"} and s.whose(NEW) == {"CN=c": "current"}
    seen = {row["subject"]: row for row in s.ca()["certificates"]}
    assert [row["subject"] for row in s.ca()["certificates"]] == ["CN=b", "CN=a"], "who was seen last first"
    row = seen["CN=b"]
    assert int(row["serial"], 16) == b.serial
    assert row["fingerprint"] == b.sha256 and row["address"] == "127.0.0.1" and row["handshakes"] == 2
    assert row["not_after"].startswith(b.certificate.not_valid_after.strftime("%Y-%m-%dT%H:%M:%S"))
    counts = s.ca()["counts"]
    assert (counts["certificates"], counts["current"], counts["moved"]) == (2, 2, 0)


def test_a_device_that_gets_a_new_certificate_has_moved(site, old, new):
    s = site(old, new)
    a, b, again = device(old, "a"), device(old, "b"), device(new, "a")
    for who in (a, b, again):
        s.come(who)
    s.until_closed()
    assert s.whose() == {"CN=a": "moved", "CN=b": "current"} and s.whose(NEW) == {"CN=a": "current"}
    assert {r["subject"]: r["moved_to"] for r in s.ca()["certificates"]} == {"CN=a": NEW, "CN=b": None}
    assert s.ca()["verdict"] == "no"
