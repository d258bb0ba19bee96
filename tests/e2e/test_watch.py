"""What changes on disk comes into service without a signal, by events or by the poll."""

import ctypes
import os
import pathlib
import re
import signal
import struct

import pytest

from harness import pki, proxy, wait
from harness.proxy import served
from harness.wire import Ended

# Events alone: the poll would hide that one was missed.
WATCH = {"watch": True, "poll": 0}


@pytest.fixture(params=[0o755, 0o700], ids=["anyone's", "root's"])
def watched(request, directory):
    """The worker may look into the directory, though not read the key in it; or only root may, and watches for it."""
    os.chmod(directory, request.param)


def wait_served(p, leaf, name="site.test"):
    """And until no look is under way that might see the next change by chance: who answers status is who looks."""
    wait.until(lambda: served(p, name) == leaf.serial, "the new certificate to be served")
    assert p.status()


@pytest.mark.parametrize("write", [pki.write, pki.write_in_place])
def test_watch(swap, directory, watched, leaves, write):
    p = swap(reload=WATCH)
    for leaf in (leaves[1], leaves[0], leaves[1]):
        write(directory / "bundle.crt", leaf.chain_pem)
        assert p.get().status == 200
        write(directory / "bundle.key", leaf.key_pem)
        wait_served(p, leaf)


def test_watch_of_a_symlink_swap(bascule, directory, watched, leaves, echo, port):
    """As Kubernetes does it: the files are links into ..data, and ..data is a link that is renamed."""
    secret = directory / "secret"
    for version, leaf in zip(("one", "two"), leaves):
        pki.write(secret / ("..%s" % version) / "tls.crt", leaf.chain_pem)
        pki.write(secret / ("..%s" % version) / "tls.key", leaf.key_pem)
    os.symlink("..one", secret / "..data")
    for name in ("tls.crt", "tls.key"):
        os.symlink("..data/" + name, secret / name)
    p = bascule(
        proxy.config(port, {"certificate": str(secret / "tls.crt"), "key": str(secret / "tls.key")}, echo.address, reload=WATCH)
    )
    assert served(p) == leaves[0].serial
    for version, leaf in (("..two", leaves[1]), ("..one", leaves[0]), ("..two", leaves[1])):
        os.symlink(version, secret / "..data_tmp")
        os.replace(secret / "..data_tmp", secret / "..data")
        wait_served(p, leaf)


def test_watch_of_a_link_to_another_directory(bascule, directory, watched, leaves, echo, port):
    """As certbot does it: live/ holds links into archive/."""
    for i, leaf in enumerate(leaves):
        leaf.combined(directory / "archive", "v%d" % i)
    (directory / "live").mkdir()
    link = directory / "live" / "site.pem"
    os.symlink("../archive/v0.pem", link)
    p = bascule(proxy.config(port, {"combined": str(link)}, echo.address, reload=WATCH))
    os.symlink("../archive/v1.pem", directory / "live" / ".new")
    os.replace(directory / "live" / ".new", link)
    wait_served(p, leaves[1])
    leaves[0].combined(directory / "archive", "v1")
    wait_served(p, leaves[0])


def test_watch_of_a_directory_of_bundles(bascule, directory, watched, ca, echo, port):
    bundles = directory / "bundles"
    one, two, changed = ca.leaf("one.test"), ca.leaf("two.test"), ca.leaf("one.test")
    one.combined(bundles, "one")
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {"*": {"directory": str(bundles)}},
            "sites": [{"names": ["*.test"], "upstream": "origin"}],
            "upstreams": {"origin": proxy.upstream(echo.address)},
            "reload": WATCH,
        }
    )
    two.combined(bundles, "two")
    wait.until(lambda: _serves(p, "two.test", two), "the new bundle")
    changed.combined(bundles, "one")
    wait_served(p, changed, "one.test")
    (bundles / "two.pem").unlink()
    wait.until(lambda: not _serves(p, "two.test", two), "the bundle to be gone")
    assert p.get(name="one.test").status == 200


def _serves(p, name, leaf):
    try:
        return served(p, name) == leaf.serial
    except OSError:
        return False


class Events:
    """What inotify tells of a directory."""

    PROXYS = 0x8 | 0x80 | 0x40 | 0x100 | 0x200 | 0x4 | 0x400 | 0x800 | 0x01000000  # as in certs/watch.h
    OPEN = 0x20

    def __init__(self, directory, mask=PROXYS):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.fd, os.fsencode(directory), mask) > 0

    def names(self):
        """Of what something has happened to since the last call."""
        try:
            rest = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        found = []
        while rest:
            size = 16 + struct.unpack_from("I", rest, 12)[0]
            found.append(rest[16:size].rstrip(b"\0").decode())
            rest = rest[size:]
        return found

    def __del__(self):
        os.close(self.fd)


@pytest.fixture
def unseen():
    """A function that writes a file so that no event tells of it, as when another node writes on a network file system."""
    still_open = []

    def write(path, data):
        size = os.path.getsize(path)
        assert len(data) <= size
        still_open.append(open(path, "r+b", buffering=0))  # it is the closing that makes the event
        still_open[-1].write(data.ljust(size, b"\n"))

    yield write
    for f in still_open:
        f.close()


def test_the_poll_finds_what_no_event_tells_of(bascule, directory, watched, ca, leaves, echo, port, unseen):
    file = pathlib.Path(leaves[0].combined(directory)["combined"])
    pki.write(file, leaves[0].combined_pem.ljust(8192, b"\n"))
    p = bascule(proxy.config(port, {"combined": str(file)}, echo.address, reload={"watch": True, "poll": "1s"}))
    events = Events(directory)
    for leaf in (leaves[1], leaves[0], leaves[1]):
        unseen(file, leaf.combined_pem)
        assert not events.names()
        wait_served(p, leaf)
    file.touch()
    assert events.names(), "or this test sees nothing, whatever happens"


def test_the_poll_goes_on(bascule, directory, ca, leaves, echo, port, unseen):
    """After looks that found nothing new, too. Each look reads the bundle again that is held."""
    held = pki.write(directory / "held" / "bundle.pem", b"damaged")
    contents = proxy.config(
        port, leaves[0].combined(directory), echo.address, bundles={"held": {"combined": held}},
        reload={"watch": True, "poll": "1s"},
    )  # fmt: skip
    p = bascule(contents)
    looks = Events(directory / "held", Events.OPEN)
    for _ in range(4):
        wait.until(looks.names, "a look")
    pki.write(directory / "bundle.pem", leaves[0].combined_pem.ljust(8192, b"\n"))
    for _ in range(2):
        wait.until(looks.names, "a look")
    unseen(directory / "bundle.pem", leaves[1].combined_pem)
    wait_served(p, leaves[1])


def test_the_poll_finds_a_crl_that_no_event_tells_of(guarded, trust, devices, unseen):
    lost = devices.leaf("lost", client=True)
    p = guarded(reload={"watch": True, "poll": "1s"})
    pki.write(trust / "devices.crl", devices.crl(lost))
    wait.until(lambda: not let_in(p, lost), "the CRL to be taken up")
    events = Events(trust)
    change(p, trust / "devices.crl", devices.crl(), unseen)
    assert not events.names()
    wait.until(lambda: let_in(p, lost), "the CRL to be taken up")


def test_no_watch_no_change(swap, leaves):
    p = swap(reload={"watch": False})
    before = p.generation
    p.put(leaves[1])
    assert served(p) == leaves[0].serial
    assert p.generation == before


# --- whom clients and origins are trusted by ---


@pytest.fixture(scope="session")
def devices(pki_directory):
    return pki.Authority("Watched Devices", directory=pki_directory)


@pytest.fixture
def trust(directory, watched):
    """Where pin, CRL and CA lie: no directory in which a bundle does."""
    return directory / "trust"


@pytest.fixture
def guarded(simple, trust, devices):
    """The proxy whose site demands a certificate of `devices`."""

    def start(**over):
        rule = {"mode": "required", "pins": [{"ca": pki.write(trust / "devices.pem", devices.pem)}],
                "crls": [pki.write(trust / "devices.crl", devices.crl())]}  # fmt: skip
        sites = [proxy.site("site.test", client_certificate=rule), proxy.site("other.test", client_certificate=rule)]
        return simple(sites=sites, **dict({"reload": WATCH}, **over))

    return start


def change(p, path, data, write=pki.write):
    """Write it when no look is under way."""
    assert p.status()
    write(path, data)


def let_in(p, identity, name="site.test"):
    try:
        return p.get(identity=identity, name=name).status == 200
    except (OSError, Ended):
        return False


def test_watch_of_a_crl(guarded, trust, devices):
    good, lost = devices.leaf("good", client=True), devices.leaf("lost", client=True)
    p = guarded()
    assert let_in(p, good) and let_in(p, lost)
    with p.client(identity=lost) as c:
        assert c.request().status == 200
        change(p, trust / "devices.crl", devices.crl(lost))
        wait.until(lambda: not let_in(p, lost), "the CRL to be taken up")
        assert c.request().status == 421, "as after a reload: the connection was let in by another rule"
    assert let_in(p, good)
    assert not let_in(p, lost, "other.test"), "the same rule"
    p.wait_log(r'site "site\.test": loaded: 1 CA and 1 CRL')
    for _ in range(3):  # the look at the start may have seen the first, not all
        change(p, trust / "devices.crl", devices.crl())
        wait.until(lambda: let_in(p, lost), "the CRL to be taken up that revokes nobody")
        change(p, trust / "devices.crl", devices.crl(lost))
        wait.until(lambda: not let_in(p, lost), "the CRL to be taken up")


def test_watch_of_a_damaged_crl(guarded, trust, devices):
    """The last good one stays, others go ahead, and it is said once what to do."""
    good, lost, more = (devices.leaf(name, client=True) for name in ("good", "lost", "more"))
    p = guarded()
    change(p, trust / "devices.crl", devices.crl(lost))
    wait.until(lambda: not let_in(p, lost), "the CRL to be taken up")
    change(p, trust / "devices.crl", devices.crl(more)[:-60], pki.write_in_place)
    p.wait_log(r'site "site\.test": held: .*devices\.crl: .*; ')
    assert let_in(p, good) and not let_in(p, lost)
    outcome = p.status()["last_reload"]["outcomes"][0]
    assert (outcome["site"], outcome["outcome"]) == ("site.test", "held")
    assert "devices.crl" in p.command("status").stdout
    (trust / "devices.crl").unlink()
    p.wait_log(r'site "site\.test": held: .*devices\.crl: No such file')
    assert let_in(p, good) and not let_in(p, lost)
    change(p, trust / "devices.crl", devices.crl(lost, more))
    wait.until(lambda: not let_in(p, more), "the CRL to be taken up")
    assert let_in(p, good)
    assert 'site "other.test"' not in p.log, "one rule, one line"


@pytest.mark.parametrize("touched", [False, True])
def test_the_last_good_crl_outlives_the_worker(guarded, trust, devices, directory, touched):
    good, lost = devices.leaf("good", client=True), devices.leaf("lost", client=True)
    p = guarded()
    change(p, trust / "devices.crl", devices.crl(lost))
    wait.until(lambda: not let_in(p, lost), "the CRL to be taken up")
    if touched:  # the same content again, which no look reads twice, and a reload takes over unread
        same = (trust / "devices.crl").read_bytes()
        looks = Events(trust, Events.OPEN)
        change(p, trust / "devices.crl", same)
        wait.until(lambda: "devices.crl" in looks.names(), "a look")
        assert p.status()
        p.reload()
    change(p, trust / "devices.crl", b"damaged")
    p.wait_log(r'site "site\.test": held: ')
    old = p.worker
    os.kill(old, signal.SIGKILL)
    wait.until(lambda: p.workers() not in ([], [old]) and p.is_ready(), "another worker")
    assert let_in(p, good) and not let_in(p, lost)


def test_a_bundle_changes_beside_a_damaged_crl(guarded, directory, trust, devices, ca):
    good, lost, new = devices.leaf("good", client=True), devices.leaf("lost", client=True), ca.leaf("site.test")
    p = guarded()
    change(p, trust / "devices.crl", b"damaged")
    p.wait_log(r'site "site\.test": held: ')
    new.files(directory)
    wait.until(lambda: served_to(p, good) == new.serial, "the new certificate to be served")
    assert let_in(p, lost), "the last good CRL"


def test_what_is_as_it_was_is_held_no_more(guarded, directory):
    p = guarded()
    good = (directory / "bundle.crt").read_bytes()
    for times in 1, 2:
        change(p, directory / "bundle.crt", b"damaged")
        wait.until(lambda: len(re.findall(r'bundle "main": held: ', p.log)) == times, "it to be held")
        change(p, directory / "bundle.crt", good)
        wait.until(lambda: p.status()["last_reload"]["outcomes"] == [], "it to be told that nothing is wrong any more")


def served_to(p, identity):
    with p.client(identity=identity) as c:
        return c.serial


def test_watch_of_a_pin(guarded, directory, trust, devices, pki_directory):
    successor = pki.Authority("Watched Devices Next", directory=pki_directory)
    old, new = devices.leaf("old", client=True), successor.leaf("new", client=True)
    p = guarded()
    assert let_in(p, old) and not let_in(p, new)
    change(p, trust / "devices.crl", devices.crl() + successor.crl())
    change(p, trust / "devices.pem", successor.pem)
    wait.until(lambda: let_in(p, new), "the new pin to be taken up")
    assert not let_in(p, old)
    for pins, there in ((devices.pem + successor.pem, True), (successor.pem, False), (devices.pem, True)):
        change(p, trust / "devices.pem", pins)
        wait.until(lambda: let_in(p, old) == there, "the pins to be taken up")


def test_watch_of_an_origins_ca(simple, recorder, trust, ca, other_ca):
    origin = recorder(identity=ca.leaf("127.0.0.1"))
    file = trust / "origins.pem"
    p = simple(origin.address, upstreams={"origin": {"tls": {"ca": pki.write(file, other_ca.pem)}}}, reload=WATCH)
    assert p.get().status == 502
    change(p, file, ca.pem)
    wait.until(lambda: p.get().status == 200, "the new CA to be taken up")
    p.wait_log(r'upstream "origin": loaded: ')
    change(p, file, b"nothing")
    p.wait_log(r'upstream "origin": held: .*origins\.pem: .*; ')
    assert p.get().status == 200


def test_all_or_nothing_holds_for_crls(guarded, directory, trust, devices, ca):
    good, lost, new = devices.leaf("good", client=True), devices.leaf("lost", client=True), ca.leaf("site.test")
    p = guarded(reload=dict(WATCH, policy="all_or_nothing"))
    before = served_to(p, good)
    change(p, trust / "devices.crl", b"damaged")
    p.wait_log("all_or_nothing")
    new.files(directory)
    p.wait_log(r'bundle "main": loaded')
    assert served_to(p, good) == before
    change(p, trust / "devices.crl", devices.crl(lost))
    wait.until(lambda: not let_in(p, lost), "the CRL to be taken up")
    assert served_to(p, good) == new.serial
