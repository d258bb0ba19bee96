"""Clocks that jump, under a running proxy and between two runs of it. The clients have the right time."""

import datetime
import glob
import os
import pathlib
import tempfile

import pytest

from harness import client, proxy, wait
from test_client_certs import turned_away
from test_state import NAME, Site, new, old, place, written  # noqa: F401: fixtures
from test_survive import die

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
JUMPS = [pytest.param(s, id=i) for s, i in ((-YEAR, "a year back"), (-DAY, "a day back"), (-HOUR, "an hour back"),
                                            (HOUR, "an hour ahead"), (DAY, "a day ahead"), (YEAR, "a year ahead"))]  # fmt: skip


pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 * wait.SLOW)]


def forget_the_dead():
    """The library keeps something by a process's number. One that is killed leaves it, and the next of that number can not begin."""
    for path in map(pathlib.Path, glob.glob("/dev/shm/*faketime_s[eh]m_*")):
        if not os.path.exists("/proc/" + path.name.rsplit("_", 1)[1]):
            path.unlink(missing_ok=True)


class Clock:
    """What the proxy takes for the time: the right one, and so many seconds. Its monotonic clock goes right."""

    def __init__(self, directory):
        """A directory that the worker's user may look into."""
        directory.chmod(0o755)
        self.path = directory / "clock"
        self.by = 0
        self.set(0)
        library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        assert library, "faketime is not installed"
        # A sanitizer's library wants to be the first, but need not.
        sanitizer = ":".join([proxy.SANITIZER_OPTIONS["ASAN_OPTIONS"], "verify_asan_link_order=0"])
        self.prefix = ["env", "LD_PRELOAD=" + library[0], "FAKETIME_TIMESTAMP_FILE=%s" % self.path, "FAKETIME_NO_CACHE=1",
                       "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1", "ASAN_OPTIONS=" + sanitizer]  # fmt: skip

    def set(self, seconds):
        self.by = seconds
        beside = self.path.with_name("clock.new")
        beside.write_text("%+d\n" % seconds)
        beside.chmod(0o644)
        os.replace(beside, self.path)

    def jump(self, p, seconds):
        """And wait until the worker has noticed: it says so of a request."""
        self.set(seconds)
        wait.until(lambda: self.is_seen(p), "the clock to be %+d s" % seconds)

    def is_seen(self, p):
        assert p.get().status == 200
        lines = p.access()
        if not lines:
            return False  # they are written in a while
        at = datetime.datetime.fromisoformat(lines[-1]["time"].replace("Z", "+00:00"))
        off = (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        return abs(off - self.by) < 600


@pytest.fixture
def clock():
    forget_the_dead()
    with tempfile.TemporaryDirectory(prefix="bsc-clock-") as place:
        yield Clock(pathlib.Path(place))


@pytest.fixture
def fleet(simple, directory, old, new, ca, place, clock):  # noqa: F811
    """A certificate has changed, an orphan is rescued. It was rolled out at once, or is in its first stage."""

    def start(**rotation):
        s = Site(simple, directory, old, new, ca, prefix=clock.prefix, state_dir=str(place), rotation=rotation)
        s.rotate()
        return s

    return start


def wait_kept(s, place):  # noqa: F811
    """Until the background thread has ticked, and kept what has been learned."""
    before = written(place)
    s.tolerant()
    wait.until(lambda: written(place) != before, "the state to be kept", deadline=3 * wait.DEADLINE)


def goes_on(s, place):  # noqa: F811
    """Nobody is orphaned, nothing rolled back, nobody forgotten; and the verdict is no."""
    for _ in range(2):
        assert s.orphan() == s.old.serial
        assert s.tolerant() == s.new.serial
        wait_kept(s, place)
    now = s.state()
    assert (now["phase"], now["orphans"], now["may_retire"]) == ("complete", 1, False), now["reasons"]
    assert "rolled back" not in s.p.log and "has had its time" not in s.p.log
    assert s.p.status()["uptime_seconds"] < HOUR


@pytest.mark.parametrize("by", JUMPS)
def test_a_jump_while_it_runs(fleet, place, clock, by):  # noqa: F811
    s = fleet()
    clock.jump(s.p, by)
    goes_on(s, place)
    s.p.reload()
    goes_on(s, place)
    clock.jump(s.p, 0)
    goes_on(s, place)


@pytest.mark.parametrize("by", JUMPS)
def test_a_jump_between_two_runs(fleet, place, clock, by):  # noqa: F811
    """To a clock that is a year off, what lies on the disk has expired or is not valid yet: what was in service goes on."""
    s = fleet()
    before = s.lasting()
    assert s.p.stop() == 0
    clock.set(by)
    s.p.start()
    assert "its rotation goes on where it was" in s.p.log and ".refused" not in s.p.log
    assert {k: v for k, v in s.lasting().items() if k != "reasons"} == {k: v for k, v in before.items() if k != "reasons"}
    goes_on(s, place)
    assert s.p.stop() == 0
    clock.set(0)
    s.p.start()
    goes_on(s, place)
    assert not list(place.glob(NAME + ".refused*"))


@pytest.mark.parametrize("by", JUMPS)
def test_no_stage_is_skipped_or_rushed(simple, directory, old, new, ca, place, clock, by):  # noqa: F811
    """Whichever of the two certificates this client has by plan, it has afterwards."""
    s = Site(simple, directory, old, new, ca, prefix=clock.prefix, state_dir=str(place))
    rotation = {"stages": [{"share": 1, "for": "1d"}, {"share": 100}]}
    s.p.change(bundles={"main": {"rotation": rotation}})
    s.new.files(directory)
    s.p.reload()
    shown = s.tolerant()

    def is_where_it_was():
        wait_kept(s, place)
        now = s.state()
        return (now["phase"], now["share_percent"], now["stage"]) == ("staged", 1, 1) and s.tolerant() == shown

    for seconds in (by, 0):
        clock.jump(s.p, seconds)
        assert is_where_it_was()
    for seconds in (by, 0):
        clock.set(seconds)
        s.p.restart()
        assert is_where_it_was()


# --- who has been away for fourteen days ---


def pass_days(s, clock, days=15):
    """In steps that are no leaps, each of which the rotation hears of: that day has then come for it."""
    for _ in range(days):
        clock.set(clock.by + DAY - HOUR)
        s.state()
    clock.set(clock.by + days * HOUR)  # what was short of a day each time
    s.state()


class Changing(Site):
    """One client comes often, and takes the new certificate; the other one rarely."""

    rare = client.tls_context(version=client.TLS13)

    def comes(self):
        """Its session."""
        with self.p.client(context=self.rare) as c:
            assert c.request().status == 200
            return c.session

    def change(self):
        assert self.tolerant() == self.old.serial
        self.new.files(self.directory)
        self.p.reload()
        assert self.tolerant() == self.new.serial
        assert (self.state()["untested"], self.state()["may_retire"]) == (1, False)


@pytest.fixture
def changing(simple, directory, old, new, ca, place, clock):  # noqa: F811
    return Changing(simple, directory, old, new, ca, prefix=clock.prefix, state_dir=str(place))


def connections(s):
    return [c["connections"] for c in s.state()["untested_list"]]


def test_who_comes_no_more_is_not_waited_for(changing, clock):
    s = changing
    s.comes()
    s.change()
    pass_days(s, clock, 13)
    assert connections(s) == [0]
    pass_days(s, clock, 2)
    assert s.p.rotation()[0] == 0


@pytest.mark.memory
@pytest.mark.parametrize("how", ["its first connection", "another one", "without a word", "resumed"])
def test_who_is_connected_is_waited_for(changing, clock, how):
    """However long ago it came, and then for as long as anybody."""
    s = changing
    session = s.comes() if how != "its first connection" else None
    with s.p.client(context=s.rare, session=session if how == "resumed" else None) as c:
        assert how == "without a word" or c.request().status == 200
        assert c.resumed == (how == "resumed")
        s.change()
        pass_days(s, clock)
        status, report = s.p.rotation()
        assert status == 3 and not report["may_retire"] and connections(s) == [1]
        assert "connected now" in s.p.command("rotation", "status", "main").stdout
        refused = s.p.command("rotation", "retire", "main")
        assert refused.returncode == 1 and "perhaps: 127.0.0.1" in refused.stderr
    wait.until(lambda: connections(s) == [0], "its connection to be gone")
    pass_days(s, clock, 13)
    assert connections(s) == [0] and "connected now" not in s.p.command("rotation", "status", "main").stdout
    pass_days(s, clock, 2)
    assert s.p.rotation()[0] == 0
    assert s.p.command("rotation", "retire", "main").returncode == 0


@pytest.mark.parametrize("leaves", [die, lambda p: p.restart()], ids=["the worker dies", "a restart"])
def test_who_was_connected_until_then(changing, clock, place, leaves):  # noqa: F811
    s = changing
    with s.p.client(context=s.rare) as c:
        assert c.request().status == 200
        s.change()
        pass_days(s, clock)
        wait_kept(s, place)
        leaves(s.p)
    assert connections(s) == [0] and s.p.rotation()[0] == 3
    pass_days(s, clock)
    assert s.p.rotation()[0] == 0


def test_sessions_outlive_jumps(simple, clock):
    """Or are begun anew; nobody is turned away."""
    p = simple(prefix=clock.prefix)
    for version in (client.TLS12, client.TLS13):
        context = client.tls_context(version=version)
        with p.client(context=context) as c:
            assert c.request().status == 200
            session = c.session
        for by in (-YEAR, -DAY, HOUR, DAY, YEAR, 0):
            clock.jump(p, by)
            with p.client(context=context, session=session) as c:
                assert c.request().status == 200
                resumed = c.resumed
        assert resumed, "with the right time, by its ticket"


def test_a_pin_that_went_by_a_wrong_clock_comes_back(simple, clock, ca, other_ca):
    devices, next_devices = ca, other_ca
    device, successor = (a.leaf("device-1", client=True) for a in (devices, next_devices))
    then = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)).strftime("%Y-%m-%d")
    rule = {"mode": "optional", "pins": [{"ca": devices.file, "until": then}, {"ca": next_devices.file, "from": then}]}
    p = simple(prefix=clock.prefix, sites=[proxy.site("site.test", client_certificate=rule)])
    assert not turned_away(p, identity=device) and turned_away(p, identity=successor)
    for _ in range(2):
        clock.jump(p, 40 * DAY)
        wait.until(lambda: turned_away(p, identity=device), "the old CA to go")
        assert not turned_away(p, identity=successor)
        clock.jump(p, 2 * HOUR)  # files that are brand-new are read again in any case
        wait.until(lambda: not turned_away(p, identity=device), "the old CA to come back")
        assert turned_away(p, identity=successor)
