"""
A fleet of real clients. Each is a program that people have, with an address of its own and a will of its own about which
certificates it trusts; none is told to look away.

The name of all is `localhost`: every program finds it by itself, and none needs to be told where it lies.
"""

import base64
import hashlib
import pathlib
import shutil
import subprocess
import threading

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import browser, pki, wait
from .client import run

NAME = "localhost"
BODY = b"well served"
REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SOURCES = pathlib.Path(__file__).parent / "clients"
PATIENCE = 6 * wait.DEADLINE  # of a program on a machine that has much to do


def origin(c):
    """The script of an origin: what the clients are to read."""
    while True:
        c.request()
        c.answer(body=BODY, fields=[("Content-Type", "text/plain")])


class Programs:
    """What must be built, or runs for longer than a visit, once for a session."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._java = None
        self._lock = threading.Lock()
        built = [
            run("javac", "-d", self.directory, SOURCES / "Visit.java", deadline=PATIENCE),
            run("go", "build", "-o", self.directory / "visit", SOURCES / "visit.go", deadline=PATIENCE,
                environment={"GOCACHE": str(self.directory / "gocache"), "GO111MODULE": "off", "GOFLAGS": ""}),
        ]  # fmt: skip
        for done in built:
            assert done.returncode == 0, done.stderr

    @property
    def go(self):
        return self.directory / "visit"

    def java(self, *words):
        """One visit by a machine that stays up: its start takes longer than all its visits."""
        with self._lock:
            if self._java is None:
                self._java = subprocess.Popen(["java", "-cp", str(self.directory), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "Visit"],
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
            self._java.stdin.write(" ".join(str(w) for w in words) + "\n")
            self._java.stdin.flush()
            return self._java.stdout.readline()

    def stop(self):
        if self._java is not None:
            self._java.stdin.close()
            self._java.wait(wait.DEADLINE)
            self._java.stdout.close()


class Trust:
    """What a client trusts: authorities, and keys when it is pinned."""

    def __init__(self, word, directory, authorities, pins=()):
        self.word = word
        self.file = pki.write(directory / (word + "-trust.pem"), b"".join(a.pem for a in authorities), 0o644)
        self.authorities = [(a.name, a.file) for a in authorities]
        self.pins = ";".join("sha256//" + _pin(leaf) for leaf in pins)


def _pin(leaf):
    key = leaf.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


class Visitor:
    """A client. `visit` tells whether it got its answer, with its certificate checked as always."""

    silent = False  # how it refuses
    tries_again = False  # perhaps, by itself, within a visit

    def __init__(self, programs, trust, road, version, directory):
        self.programs = programs
        self.trust = trust
        self.road = road
        self.source = road.source
        self.port = road.port
        self.version = version
        self.directory = directory
        self.said = ""

    def __repr__(self):
        return "%s from %s, which trusts %s" % (type(self).__name__, self.source, self.trust.word)

    @property
    def url(self):
        return "https://%s:%d/" % (NAME, self.port)

    @property
    def is_old(self):
        return self.version == "1.2"

    def visit(self):
        self.said = self.go()
        self.road.wait_until_empty()
        return BODY.decode() in self.said

    def run(self, *arguments, **options):
        done = run(*arguments, deadline=PATIENCE, **options)
        return done.stdout + ("\n[%d] " % done.returncode) + done.stderr


class Curl(Visitor):
    def go(self):
        version = ["--tls-max", "1.2"] if self.is_old else ["--tlsv1.3"]
        pins = ["--pinnedpubkey", self.trust.pins] if self.silent else []
        return self.run("curl", "-q", "-sS", "--noproxy", "*", "--max-time", int(PATIENCE), "--cacert", self.trust.file, *version, *pins, self.url)


class PinnedCurl(Curl):
    silent = True


class Wget(Visitor):
    silent = True

    def go(self):
        priority = "NORMAL:-VERS-ALL:+VERS-TLS" + self.version
        pins = ["--pinnedpubkey=" + self.trust.pins] if isinstance(self, PinnedWget) else []
        return self.run("wget", "-nv", "--no-config", "--no-hsts", "--no-proxy", "--tries=1", "--output-document=-",
                        "--ca-certificate=" + self.trust.file, "--ca-directory=" + str(self.directory / "none"),
                        "--ciphers=" + priority, *pins, self.url)  # fmt: skip


class PinnedWget(Wget):
    pass


class Python(Visitor):
    def go(self):
        return self.run("/usr/bin/python3", "-I", SOURCES / "visit.py", self.url, self.trust.file, self.version)


class Node(Visitor):
    silent = True

    def go(self):
        return self.run("node", SOURCES / "visit.js", self.url, self.trust.file, self.version)


class Go(Visitor):
    def go(self):
        return self.run(self.programs.go, self.url, self.trust.file, self.version)


class Java(Visitor):
    def go(self):
        return self.programs.java(self.url, self.trust.file, self.version)


class OpenSSL(Visitor):
    def go(self):
        version = "-tls1_2" if self.is_old else "-tls1_3"
        return self.run("openssl", "s_client", "-quiet", "-connect", "127.0.0.1:%d" % self.port, "-servername", NAME, version,
                        "-verify_return_error", "-verify_hostname", NAME, "-no-CApath", "-CAfile", self.trust.file, data=REQUEST)  # fmt: skip


class GnuTLS(Visitor):
    def go(self):
        priority = "NORMAL:-VERS-ALL:+VERS-TLS" + self.version
        process = subprocess.Popen(
            ["gnutls-cli", "--priority", priority, "--x509cafile", self.trust.file, "--port", str(self.port), NAME],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        with process:
            try:
                process.stdin.write(REQUEST.encode())
                process.stdin.flush()  # and left open: it would end at once
            except BrokenPipeError:
                pass
            said = process.stdout.read().decode(errors="replace")
            timer.cancel()
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
        return said


class Chromium(Visitor):
    """Trusts what lies in the database of its user. A profile for each visit: it copies the database into a new one."""

    tries_again = True

    def go(self):
        home = browser.home_that_trusts(self.directory / ("chromium-" + self.trust.word), self.trust.authorities)
        profile = self.directory / "profile"
        try:
            done = run("chromium", *browser.FLAGS, "--user-data-dir=%s" % profile, "--ssl-version-max=tls" + self.version, "--dump-dom",
                       self.url, environment={"HOME": str(home)}, deadline=PATIENCE)  # fmt: skip
            return done.stdout  # standard error is about the desktop that is not there
        finally:
            shutil.rmtree(profile, ignore_errors=True)


KINDS = (Curl, PinnedCurl, Wget, PinnedWget, Python, Node, Go, OpenSSL, GnuTLS, Java, Chromium)
