"""What check, reload and status tell: every warning and error, at its place, counted, and once."""

import json
import os
import pathlib
import re
import signal
import socket

import pytest

from harness import pki, proxy, wait
from harness.client import run
from harness.origins import Gate
from harness.proxy import BINARY, TREE

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


@pytest.fixture
def place(directory, identity, port):
    """A directory with a good config; `check` writes what differs from it and checks that."""

    class Place:
        path = directory / "bascule.json"

        def configure(self, **over):
            bundle = identity.files(directory)
            self.path.write_text(json.dumps(proxy.config(port, bundle, "127.0.0.1:80", **over), indent=1))

        def check(self, *prefix, **over):
            self.configure(**over)
            return run(*prefix, BINARY, "check", "-c", self.path)

    return Place()


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


def test_a_bundle_is_refused_at_the_key_of_its_file(place, directory, ca, identity):
    identity.pkcs12(directory, password="right")
    pki.write(directory / "wrong.pass", b"wrong\n")
    pki.write(directory / "next.key", ca.leaf("site.test").key_pem)
    pki.write(directory / "all" / "a.crt", identity.chain_pem)
    pki.write(directory / "all" / "a.key", ca.leaf("site.test").key_pem)
    pair = {"certificate": "bundle.crt", "key": "bundle.key"}
    bundles = {
        "main": pair,
        "mismatch": {**pair, "key": "next.key"},
        "missing": {**pair, "key": "missing.key"},
        "password": {"pkcs12": "bundle.p12", "password_file": "wrong.pass"},
        "nothing": {"combined": "wrong.pass"},
        "all": {"directory": "all"},
    }
    done = place.check(bundles=bundles)
    lines = place.path.read_text().splitlines()
    for key, value, text in (
        ("bundles.mismatch.certificate", "bundle.crt", "bundle.crt: the private key in .*next.key belongs to none"),
        ("bundles.missing.key", "missing.key", "missing.key: No such file or directory; put it there"),
        ("bundles.password.pkcs12", "bundle.p12", "bundle.p12: wrong password in .*wrong.pass"),
        ("bundles.nothing.combined", "wrong.pass", "wrong.pass: is not PEM"),
        ("bundle a", "all", "a.crt: the private key in .*a.key belongs to none"),
    ):
        found = re.search(r"json:(\d+):(\d+): %s: \S*%s" % (key, text), done.stderr)
        assert found, (key, done.stderr)
        line, column = int(found[1]), int(found[2])
        assert lines[line - 1][column - 1 :].startswith('"%s"' % value), (key, lines[line - 1])
    assert ": 5 errors, 0 warnings" in done.stdout


def test_a_bundle_that_no_directory_has_is_warned_about(place, directory, identity):
    pki.write(directory / "all" / "a.pem", identity.combined_pem)
    done = place.check(bundles={"main": None, "all": {"directory": "all"}}, sites=[proxy.site("site.test", bundle=["a", "b"])])
    assert done.returncode == 0
    assert re.search(r'warning: bundle: no directory has a bundle "b" that can be served', done.stderr)
    assert len(done.stderr.splitlines()) == 1


# --- what only a start opens ---


def everything_in(directory):
    """Names, kinds, modes, sizes and times of all that lies there."""
    found = {}
    for path in sorted(directory.rglob("*")):
        st = path.lstat()
        found[str(path)] = (st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


def occupy(path, kind):
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "file":
        path.write_text("precious\n")
    elif kind == "link":
        path.symlink_to("elsewhere")


STARTS = [
    ({"user": "no-such-user"}, 'user: user "no-such-user" does not exist'),
    ({"group": "no-such-group"}, 'group: group "no-such-group" does not exist'),
    ({"pid_file": "none/pid"}, "pid_file: .*none/pid: its directory does not exist; make it"),
    ({"pid_file": "directory"}, "pid_file: .*directory: Is a directory"),
    ({"pid_file": "link"}, "pid_file: .*link: Too many levels"),
    ({"secret_file": "none/secret"}, "secret_file: .*none/secret: its directory does not exist; make it"),
    ({"secret_file": "file"}, "secret_file: .*file: the secret has 9 bytes, but 32 to 512 are needed"),
    ({"secret_file": "directory"}, "secret_file: .*directory: the secret file is not a regular file"),
    ({"log": {"error": "none/error.log"}}, "log.error: .*none/error.log: its directory does not exist; make it"),
    ({"log": {"error": "FIFO"}}, "log.error: .*FIFO: a log can not be a FIFO"),
    ({"log": {"access": "none/access.log"}}, "log.access: .*none/access.log: its directory does not exist; make it"),
    ({"log": {"access": "directory"}}, "log.access: .*directory: Is a directory"),
    ({"admin": {"socket": "none/admin.sock"}}, "admin.socket: .*none/admin.sock: its directory does not exist; make it"),
    ({"admin": {"socket": "file"}}, "admin.socket: .*file: a file is there that is no socket; remove it"),
    ({"admin": {"socket": "x" * 108}}, "admin.socket: .*the path of a socket has at most 107 bytes"),
    ({"listeners": [{"address": "unix:/nowhere/s"}]}, r"address: /nowhere/s: its directory does not exist; make it"),
    ({"listeners": [{"address": "192.0.2.1:443"}]}, r"address: 192.0.2.1:443: no interface of this machine has the address"),
]


@pytest.mark.parametrize("over, expected", STARTS, ids=[re.sub(r"\W+", " ", str(o))[:40] for o, _ in STARTS])
def test_check_refuses_what_a_start_refuses(place, directory, over, expected):
    for kind in ("directory", "FIFO", "file", "link"):
        occupy(directory / kind, kind)
    place.configure(**over)
    before = everything_in(directory)
    done = run(BINARY, "check", "-c", place.path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"bascule\.json:\d+:\d+: " + expected, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert everything_in(directory) == before
    started = run(BINARY, "run", "-c", place.path)
    assert started.returncode == 1, "a start refuses it as well"


UNIT_MAKES = [
    ({"admin": {"socket": "/run/bascule/admin.sock"}}, "admin.socket: /run/bascule/admin.sock: its directory does not exist"),
    ({"log": {"access": "/var/log/bascule/access.log"}}, "log.access: /var/log/bascule/access.log: its directory does not exist"),
    ({"state_dir": "/var/lib/bascule"}, "state_dir: /var/lib/bascule: does not exist"),
]


@pytest.mark.skipif(any(os.path.exists(d) for d in ("/run/bascule", "/var/log/bascule", "/var/lib/bascule")), reason="bascule is installed")
@pytest.mark.parametrize("over, expected", UNIT_MAKES)
def test_a_directory_that_the_unit_makes_is_no_error(place, over, expected):
    """The examples name them, and who checks before the first start should not have to make them."""
    done = place.check(**over)
    assert done.returncode == 0, done.stderr
    assert re.search(r"warning: %s; make it, unless systemd starts the proxy" % expected, done.stderr), done.stderr
    below = json.loads(json.dumps(over).replace("/bascule", "/bascule/none"))
    assert place.check(**below).returncode == 1


def test_check_makes_nothing(place, directory):
    over = {
        "pid_file": "pid", "secret_file": "secret", "admin": {"socket": "admin.sock"},
        "log": {"error": "error.log", "access": "access.log"},
    }  # fmt: skip
    place.configure(**over)
    before = everything_in(directory)
    assert run(BINARY, "check", "-c", place.path).returncode == 0
    assert everything_in(directory) == before


def test_check_beside_the_running_proxy(simple, directory):
    """What it holds itself is no fault, and stays as it is."""
    p = simple(pid_file=str(directory / "pid"), secret_file=str(directory / "secret"), log={"error": str(directory / "error.log")})

    def but_for_logs():
        return {k: v for k, v in everything_in(directory).items() if not k.endswith(".log")}

    before = but_for_logs()
    done = p.command("check")
    assert done.returncode == 0, done.stderr
    assert but_for_logs() == before
    assert p.get().status == 200


def test_check_warns_of_a_secret_for_all(place, directory):
    pki.write(directory / "secret", os.urandom(64), 0o644)
    done = place.check(secret_file="secret")
    assert done.returncode == 0
    assert re.search(r"json:\d+:\d+: warning: secret_file: .*secret: others than its owner", done.stderr)


EXPOSED = r"(key|combined|pkcs12|password_file|bundle bundle): \S+/(\S+): everybody on this machine can (read|change) this secret \(mode (\d+)\); `chmod 600 \S+\2`"


@pytest.mark.parametrize("mode, word", [(0o600, None), (0o640, None), (0o604, "read"), (0o644, "read"), (0o666, "change")])
@pytest.mark.parametrize("form", ["files", "combined", "pkcs12", "directory"])
def test_a_key_for_all_is_warned_about(place, directory, identity, form, mode, word):
    """Not one that a group may read: Debian has ssl-cert for that."""
    if form == "directory":
        identity.files(directory / "all")
        name, bundle, secret = "bundle", {"directory": "all"}, directory / "all" / "bundle.key"
    else:
        name, bundle = "own", getattr(identity, form)(directory, "own")
        secret = pathlib.Path(bundle.get("password_file") or bundle.get("key") or bundle.get("combined"))
    secret.chmod(mode)
    done = place.check(bundles={"main": None, "own": bundle}, sites=[proxy.site("site.test", bundle=name)])
    assert done.returncode == 0, done.stderr
    found = re.findall("warning: .*" + EXPOSED, done.stderr)
    key = next((k for k, v in bundle.items() if v == str(secret)), "bundle bundle")
    assert found == ([(key, secret.name, word, "%04o" % mode)] if word else []), done.stderr


def test_a_key_for_all_is_warned_about_until_it_is_not(simple, directory):
    p = simple()
    key = directory / "bundle.key"
    key.chmod(0o644)
    assert re.search(EXPOSED, p.command("reload").stdout)
    assert re.search(EXPOSED, p.command("reload").stdout), "though nothing has changed"
    p.wait_log(r"warning bascule\[\d+\]: .*" + EXPOSED)
    key.chmod(0o600)
    assert not re.search(EXPOSED, p.command("reload").stdout)


def test_of_many_keys_for_all_a_load_names_some_and_check_all(simple, directory, identity):
    """A log is no list of ten thousand; nothing is kept from who asks."""
    for i in range(1200):
        pki.write(directory / "all" / f"n{i:04}.pem", identity.combined_pem, 0o644)
    p = simple(bundles={"all": {"directory": "all"}})
    each = r"bundle n\d{4}: \S+: everybody on this machine can read this secret"
    others = r"and (\d+) more bundles? with a secret that everybody on this machine can get at; `bascule check` names all of them"
    told = p.command("reload").stdout
    assert len(re.findall(each, told)) == 20 and re.findall(others, told) == ["1180"], told
    assert p.status()["last_reload"]["warnings"] >= 1200
    checked = p.command("check").stderr
    assert len(set(re.findall(each, checked))) == 1200 and not re.search(others, checked), checked


def test_a_certificate_without_alternative_names_is_warned_about(simple, directory, ca):
    old = ca.leaf("site.test", client=True)
    p = simple()
    pki.write(directory / "old.crt", old.chain_pem)
    pki.write(directory / "old.key", old.key_pem)
    p.change(bundles={"old": {"certificate": "old.crt", "key": "old.key"}})
    done = p.command("check")
    expected = r"bundles\.old\.certificate: \S+old\.crt: the certificate has no subjectAltName"
    assert len(re.findall("warning: " + expected, done.stderr)) == 1, done.stderr
    assert re.search(expected, p.command("reload").stdout)
    p.change(upstreams={"origin": {"tls": {"verify": False, "bundle": "old"}}})
    assert "subjectAltName" not in p.command("check").stderr, "origins do not ask for it"
    p.change(sites=[proxy.site("site.test", bundle=["main", "old"])])
    assert re.search(expected, p.command("check").stderr), "but clients do"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


@needs_root
def test_what_only_root_may_do_is_a_remark(place, directory, ca):
    """Somebody who is not root sees what is wrong with the rest, and what was not looked at."""
    os.chmod(directory, 0o755)
    hidden = directory / "hidden"
    pki.write(hidden / "pin.pem", ca.pem)
    pki.write(hidden / "secret", os.urandom(64))
    os.chmod(hidden, 0o700)
    over = {
        "user": "nobody", "pid_file": "pid", "secret_file": "hidden/secret", "admin": {"socket": "hidden/admin.sock"},
        "log": {"error": "hidden/error.log"},
        "sites": [proxy.site("site.test", client_certificate={"mode": "required", "pins": [{"ca": "hidden/pin.pem"}]})],
        "upstreams": {"origin": {"tls": {"ca": "hidden/pin.pem"}}},
    }  # fmt: skip
    done = place.check(*AS_NOBODY, **over)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    for key in ("pid_file", "secret_file", "admin.socket", "log.error", "bundles.main.key"):
        assert len([line for line in lines if re.search(r"json:\d+:\d+: warning: %s: " % key, line)]) == 1, (key, lines)
    assert len([line for line in lines if re.search(r"warning: ca: .*pin\.pem: not for this user to read", line)]) == 2
    assert "7 warnings" in done.stdout
    done = place.check(*AS_NOBODY, **over, threads="many")
    assert done.returncode == 1 and "1 error, 7 warnings" in done.stdout
    assert place.check(**over).returncode == 0


def test_a_reload_whose_logs_can_not_be_written_changes_nothing(simple, directory):
    p = simple()
    p.change(log={"access": str(directory / "none" / "access.log")})
    done = p.command("reload")
    assert done.returncode == 1
    assert re.search(r"bascule\.json:\d+:\d+: log\.access: \S+none/access\.log: No such file", done.stdout)
    p.get("/before")
    assert "/before" in str(p.access(1))
    (directory / "none").mkdir()
    assert p.command("reload").returncode == 0


# --- where it is said ---


def start_refused(bascule, contents):
    with pytest.raises(proxy.StartFailed) as failed:
        bascule(contents)
    return failed.value.log


REFUSED = [
    ({"sites": [proxy.site("site.test", routes=[{"path": "^/("}])]}, r"path: .*\^/\("),
    ({"secret_file": "bundle.key"}, "secret_file: .* the secret has"),
    ({"pid_file": "none/pid"}, "none/pid: can not open the pid file"),
    ({"user": "no-such-user"}, 'user "no-such-user" does not exist'),
    ({"log": {"access": "none/access.log"}}, "log.access: .*none/access.log"),
    ({"admin": {"socket": "none/admin.sock"}}, "none/admin.sock: its directory does not exist"),
]


@pytest.mark.parametrize("over, expected", REFUSED, ids=[next(iter(o)) for o, _ in REFUSED])
def test_a_refused_start_is_told_in_the_log_and_on_the_terminal(bascule, directory, identity, port, over, expected):
    bundle = {k: os.path.basename(v) for k, v in identity.files(directory).items()}
    if "secret_file" in over:
        pki.write(directory / "bundle.key", identity.key_pem * 4)  # too long for a secret
    log = directory / "error.log"
    base = proxy.config(port, bundle, "127.0.0.1:80", log={"error": str(log)})
    terminal = start_refused(bascule, proxy.merge(base, over))
    assert len(re.findall(expected, terminal)) == 1, terminal
    assert len(re.findall(expected, log.read_text())) == 1, log.read_text()


def test_a_start_without_an_error_log_tells_it_once(bascule, directory, identity, port):
    routes = [{"path": "^/("}]
    contents = proxy.config(port, identity.files(directory), "127.0.0.1:80", sites=[proxy.site("site.test", routes=routes)])
    assert len(re.findall(r"path: ", start_refused(bascule, contents))) == 1


def test_a_config_that_can_not_be_read_is_told_once(bascule, port):
    contents = {"listeners": [{"address": "127.0.0.1:%d" % port}], "threads": "many"}
    assert len(re.findall("threads: expected", start_refused(bascule, contents))) == 1


def test_what_keeps_a_worker_from_starting_again_is_in_the_log(simple, directory):
    """The config was broken since; the worker that is to take over can not go by it."""
    log = directory / "error.log"
    p = simple(log={"error": str(log)})
    good = p.config_path.read_text()
    p.configure('{ "threads":\n "many" }')
    os.kill(p.worker, signal.SIGKILL)
    wait.until(lambda: "bascule.json:2:2: threads: expected" in log.read_text(), "the reason in the error log")
    p.config_path.write_text(good)
    p.send_signal(signal.SIGHUP)
    wait.until(p.is_ready, "a worker")
    assert p.get().status == 200


# --- while it drains ---


@pytest.fixture
def draining(simple, recorder, directory):
    """A proxy that drains, with one request that ends when the gate is released."""
    gate = Gate()
    p = simple(recorder(gate).address, drain_timeout="1h", pid_file=str(directory / "pid"))
    with p.client() as busy:
        busy.send_request()
        gate.wait_arrived()
        p.send_signal(signal.SIGQUIT)
        wait.until(lambda: p.status()["draining"], "the drain to begin")
        yield p, gate
        gate.release()
        busy.rest()


def test_status_while_draining(draining):
    p, gate = draining
    with socket.socket(socket.AF_UNIX) as idle:  # somebody who looks in and stays is not waited for
        idle.connect(str(p.admin_socket))
        drain = p.status()["drain"]
        assert drain["connections"] == 1
        assert 3000 < drain["seconds_left"] <= 3600
        shown = p.command("status").stdout
        assert re.search(r"^Draining: 1 connection left, cut at 20\S+Z \(in 59 min \d+ s\)$", shown, re.M), shown
        done = p.command("reload")
        assert done.returncode == 1 and "the proxy is draining" in done.stdout
        gate.release()
        assert p.process.wait(3 * wait.DEADLINE) == 0
    assert not p.admin_socket.exists()


def test_not_draining(simple):
    p = simple()
    assert p.status()["draining"] is False and "drain" not in p.status()
    assert "raining" not in p.command("status").stdout


def test_a_successor_takes_the_admin_socket_over(draining, directory):
    """It starts while the first drains, with the same config; what the first removes at its end is its own."""
    p, gate = draining
    (directory / "second").mkdir()
    second = proxy.Bascule(directory / "second", p.contents)
    second.admin_socket = p.admin_socket
    second.configure(proxy.merge(p.contents, {"bundles": {"main": p.contents["bundles"]["main"]}}))

    def who_answers():
        try:
            return second.status()["pid"]
        except OSError:  # the moment between the two
            return None

    try:
        second.start(ready=False)
        wait.until(lambda: who_answers() in second.workers(), "the successor to answer")
        assert second.get("/free").status == 200
        gate.release()
        assert p.process.wait(3 * wait.DEADLINE) == 0
        assert second.status()["draining"] is False
        assert (directory / "pid").read_text().strip() == str(second.process.pid)
        assert second.stop() == 0
        assert not p.admin_socket.exists()
    finally:
        if second.process and second.process.poll() is None:
            second.kill()


def test_the_admin_socket_of_one_that_serves_is_taken(simple, bascule):
    p = simple()
    over = {"listeners": [proxy.listener()], "admin": {"socket": str(p.admin_socket)}}
    log = start_refused(bascule, proxy.merge(p.contents, over))
    assert "admin.sock: another process listens there; stop that one or name another path" in log
    assert p.status() and p.get().status == 200


def test_the_admin_socket_stays_until_a_restart(simple, directory):
    p = simple()
    p.change(admin={"socket": str(directory / "other.sock")})
    p.reload()
    assert "admin.socket" in p.command("reload", "--socket", p.admin_socket).stdout
    assert not (directory / "other.sock").exists()


# --- asking one whose config was broken since ---


@pytest.mark.parametrize(
    "damage",
    [lambda text: text.replace('"threads": 2', '"threads": "two"'), lambda text: text.rstrip()[:-1], lambda text: text.replace(": {", ": {{", 1)],
    ids=["a wrong value", "no closing brace", "a brace too many"],
)
def test_status_and_reload_find_the_socket_in_a_broken_config(simple, damage):
    p = simple()
    p.configure(damage(p.config_path.read_text()))
    is_json = True
    try:
        json.loads(p.config_path.read_text())
    except ValueError:
        is_json = False
    for command in ("status", "metrics"):
        done = p.command(command)
        assert done.returncode == 0, done.stderr
        assert ("is broken" in done.stderr) == (not is_json)
    done = p.command("reload")
    assert done.returncode == 1
    assert re.search(r"bascule\.json:\d+:\d+: ", done.stdout) and "reload refused" in done.stdout
    assert p.command("status", "--socket", "/nowhere.sock").returncode == 1, "what was asked for is what counts"


def test_status_by_a_config_that_names_no_socket(simple):
    p = simple()
    p.configure('{ "threads": ')
    done = p.command("status")
    assert done.returncode == 1
    assert "--socket PATH" in done.stderr and "bascule.json:1:1: this { is never closed" in done.stderr
    assert p.command("status", "--socket", p.admin_socket).returncode == 0


# --- the pages that tell what stands in logs ---


def test_every_key_of_the_access_log_is_explained():
    explained = re.findall(r"^\| `(\w+)` \|", (TREE / "docs" / "access-log.md").read_text(), re.M)
    source = (TREE / "src" / "proxy" / "access_log.c").read_text()
    written = ["time"] + re.findall(r'put_(?:string|number)\(b, (?:SV\()?"(\w+)"', source)
    assert explained == written
