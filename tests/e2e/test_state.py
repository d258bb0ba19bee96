"""A rotation outlives the worker, and with a state_dir a restart."""

import hashlib
import os
import signal
import ssl
import stat
import time

import pytest

from harness import client, pki, proxy, wait
from test_survive import bundle, die, outcome
from test_swap import served

NAME = "main.rotation"


@pytest.fixture
def old(ca):
    return ca.leaf("site.test")


@pytest.fixture
def new(other_ca):
    return other_ca.leaf("site.test")


@pytest.fixture
def place(directory):
    path = directory / "state"
    path.mkdir(mode=0o700)
    return path


class Site:
    """One bundle, one client that trusts the authority of the old certificate alone, and one that trusts any."""

    def __init__(self, start, directory, old, new, ca, **over):
        self.directory, self.old, self.new, self.ca = directory, old, new, ca
        rotation = dict(over.pop("rotation", {}), accept=["another-root", "earlier-expiry"])  # that is what it is about
        self.p = start(bundles={"main": dict(old.files(directory), rotation=rotation)}, **over)
        old.files(directory)
        self.p.reload()

    def orphan(self):
        """The serial that it is shown when it gets in; None: it refuses."""
        try:
            with self.p.client(ca=self.ca, version=client.TLS13) as c:
                assert c.request().status == 200
                return c.serial
        except ssl.SSLCertVerificationError:
            return None

    def tolerant(self):
        with self.p.client(version=client.TLS12) as c:
            assert c.request().status == 200
            return c.serial

    def state(self):
        return self.p.admin("GET", "/v1/rotations/main").json()

    def tell(self, word):
        answer = self.p.admin("POST", "/v1/rotations/main/" + word)
        assert answer.status == 200, answer.text
        return answer

    def orphans(self):
        return [(o["address"], o["refusals"], o["evidence"]) for o in self.state()["orphan_list"]]

    def rotate(self):
        """Both were there before; then the new one refuses the orphan once, and it is rescued."""
        assert self.orphan() == self.old.serial and self.tolerant() == self.old.serial
        self.new.files(self.directory)
        self.p.reload()
        self.is_orphaned_once()
        assert self.tolerant() == self.new.serial

    def is_orphaned_once(self, why="it is not known yet"):
        """The orphan refuses what it is shown, and is rescued at the next try."""
        assert self.orphan() is None, why
        wait.until(lambda: self.orphans() != [], "the refusal to be counted")
        assert self.orphan() == self.old.serial

    def lasting(self):
        """What must be the same afterwards."""
        s = self.state()
        keys = ["phase", "share_percent", "begun", "stage", "stages", "orphans", "untested", "may_retire", "not_tracked"]
        return dict(
            {k: s[k] for k in keys},
            current=s["current"]["generation"],
            previous=s["previous"] and s["previous"]["generation"],
            reasons=s["reasons"],
            orphans=self.orphans(),
        )


@pytest.fixture
def site(simple, directory, old, new, ca):
    return lambda **over: Site(simple, directory, old, new, ca, **over)


def written(place):
    try:
        st = (place / NAME).stat()
    except FileNotFoundError:
        return None
    return st.st_ino, st.st_mtime_ns


def pki_private(identity):
    """The secret number of an EC key, as it stands in its DER."""
    return identity.key.private_numbers().private_value.to_bytes(32, "big")


def no_drafts(place):
    return [f for f in os.listdir(place) if f.endswith(".new")] == []


# --- the worker ---


@pytest.mark.memory
@pytest.mark.threads
@pytest.mark.parametrize("on_disk", [False, True])
def test_the_worker_dies_in_the_middle(site, place, on_disk):
    s = site(**({"state_dir": str(place)} if on_disk else {}))
    s.rotate()
    with_orphan = s.lasting()
    kept(s, place if on_disk else None)
    for _ in range(2):
        die(s.p)
        assert s.orphan() == s.old.serial, "on its first try"
        assert s.tolerant() == s.new.serial
        assert s.lasting() == with_orphan
    s.p.wait_log(r"\"main\": its rotation goes on where it was")


def kept(s, place):
    """Wait until what is known now has been handed to the supervisor."""
    look = (lambda: written(place)) if place is not None else s.p.held_states
    before = look()
    wait.until(lambda: look() != before, "the state to be handed over", deadline=4 * wait.DEADLINE)


def test_the_previous_generation_is_never_lost(site):
    """Not even when the worker dies right after the load."""
    s = site()
    s.new.files(s.directory)
    s.p.reload()
    die(s.p)
    assert s.state()["phase"] == "complete"
    s.is_orphaned_once()


def test_a_stage_goes_on(site, place):
    s = site(rotation={"stages": [{"share": 1, "for": "1h"}, {"share": 50, "for": "1h"}]}, state_dir=str(place))
    s.new.files(s.directory)
    s.p.reload()
    s.tell("hold")
    before = s.state()
    assert before["phase"] == "held" and 3500 < before["stage_left_seconds"] <= 3600
    for again in (lambda: die(s.p), s.p.restart):
        again()
        after = s.state()
        assert (after["phase"], after["stage"], after["share_percent"]) == ("held", 1, 1)
        assert abs(after["stage_left_seconds"] - before["stage_left_seconds"]) <= 1
    s.tell("resume")
    assert s.p.restart() and s.state()["phase"] == "staged"


# --- a restart ---


@pytest.mark.memory
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGQUIT])
def test_a_restart_in_the_middle(site, place, end):
    s = site(state_dir=str(place))
    s.rotate()
    before = s.lasting()
    for _ in range(2):
        assert s.p.stop(end) == 0
        assert stat.S_IMODE((place / NAME).stat().st_mode) == 0o600
        assert no_drafts(place)
        s.p.start()
        assert s.orphan() == s.old.serial, "on its first try"
        assert s.tolerant() == s.new.serial
        assert s.lasting() == before
    assert bundle(s.p)["generation"] == before["current"]


def test_without_a_state_dir_it_is_said(site):
    s = site()
    s.p.wait_log(r"no \"state_dir\": rotations live in memory")
    s.rotate()
    s.p.restart()
    assert s.state()["phase"] == "settled"
    assert s.p.status()["state"]["directory"] is None


def test_everything_is_killed(site, place):
    """What had been written holds; what had not been is lost, and no more."""
    s = site(state_dir=str(place))
    s.rotate()
    kept(s, place)
    before = s.lasting()
    s.p.kill()
    s.p.start()
    assert s.orphan() == s.old.serial
    assert s.lasting() == before


def test_the_files_change_while_it_is_down(site, place, other_ca):
    s = site(state_dir=str(place))
    assert s.orphan() == s.old.serial
    assert s.p.stop() == 0
    s.new.files(s.directory)
    s.p.start()
    assert s.state()["phase"] == "complete" and int(s.state()["previous"]["serial"], 16) == s.old.serial
    s.is_orphaned_once()
    assert s.state()["orphan_list"][0]["accepted_previous"] >= 1, "it was known from before"
    # And once more while that one goes on: the one that the orphan needs stays the previous one.
    assert s.p.stop() == 0
    newest = other_ca.leaf("site.test")
    newest.files(s.directory)
    s.p.start()
    assert s.tolerant() == newest.serial
    s.is_orphaned_once()


def test_a_bundle_that_is_named_elsewhere(site, place):
    """It comes from a directory now: it is the same one, with numbers that go on."""
    s = site(state_dir=str(place))
    s.rotate()
    number = bundle(s.p)["generation"]
    assert s.p.stop() == 0
    third = s.ca.leaf("site.test")
    third.combined(s.directory / "all", "main")
    entry = {"names": ["site.test"], "upstream": "origin"}
    contents = dict(s.p.contents, bundles={"all": {"directory": str(s.directory / "all"), "rotation": {"accept": ["another-root"]}}}, sites=[entry])
    s.p.configure(contents)
    s.p.start()
    assert bundle(s.p)["generation"] == number + 1
    assert s.tolerant() == third.serial


@pytest.mark.parametrize("policy", ["each", "all_or_nothing"])
@pytest.mark.parametrize("damage", ["half", "mismatch", "gone", "expired"])
def test_a_start_with_bad_files_serves_what_was_kept(site, place, policy, damage, ca):
    s = site(state_dir=str(place), reload={"policy": policy})
    s.rotate()
    number = bundle(s.p)["generation"]
    assert s.p.stop() == 0
    third = ca.leaf("site.test")
    if damage == "half":
        pki.write(s.directory / "bundle.crt", third.chain_pem[: len(third.chain_pem) // 2])
    elif damage == "mismatch":
        pki.write(s.directory / "bundle.crt", third.chain_pem)
    elif damage == "gone":
        (s.directory / "bundle.key").unlink()
    else:
        ca.leaf("site.test", begins=-9, ends=-1).files(s.directory)
    s.p.start()
    assert outcome(s.p) == "held"
    assert bundle(s.p)["generation"] == number
    assert s.tolerant() == s.new.serial
    assert s.orphan() == s.old.serial
    third.files(s.directory)
    s.p.reload()
    assert served(s.p) == third.serial
    assert bundle(s.p)["generation"] == number + 1


def test_a_rollback_holds(site, place):
    s = site(state_dir=str(place))
    s.rotate()
    s.tell("rollback")
    assert s.tolerant() == s.old.serial
    s.p.restart()
    assert s.state()["phase"] == "rolled back"
    assert s.tolerant() == s.old.serial
    die(s.p)
    assert s.tolerant() == s.old.serial
    s.tell("resume")
    assert s.tolerant() == s.new.serial


def test_a_retired_one_stays_retired(site, place):
    s = site(state_dir=str(place))
    s.rotate()
    s.tell("retire?compromised=1")
    assert s.orphan() is None
    s.p.restart()
    assert s.state()["phase"] == "settled"
    assert s.orphan() is None
    assert pki_private(s.old) not in (place / NAME).read_bytes(), "and its key is gone"


def test_a_kept_generation_can_be_gone_back_to(site, place, ca):
    s = site(state_dir=str(place))
    s.rotate()
    number = s.state()["previous"]["generation"]
    s.tell("retire?force=1")
    s.p.restart()
    s.tell("rollback?to=%d" % number)
    assert s.tolerant() == s.old.serial


def test_another_secret(site, place):
    s = site(state_dir=str(place))
    s.rotate()
    assert s.p.stop() == 0
    assert stat.S_IMODE((place / "secret").stat().st_mode) == 0o600
    (place / "secret").unlink()
    s.p.start()
    s.p.wait_log(r"\"main\": its 2 clients were told apart by another secret")
    s.is_orphaned_once("it is not known any more")


# --- what can not be read ---


def cut(data):
    return data[:-1]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def empty(data):
    return b""


def newer(data):
    body = bytes([data[48] + 1]) + data[49:]
    return data[:16] + hashlib.sha256(body).digest() + body


REASONS = {cut: "checksum", flipped: "checksum", empty: "empty", newer: "newer version"}


@pytest.mark.parametrize("damage", REASONS)
def test_a_state_that_is_refused(site, place, damage):
    s = site(state_dir=str(place))
    s.rotate()
    assert s.p.stop() == 0
    good = (place / NAME).read_bytes()
    bad = damage(good)
    (place / NAME).write_bytes(bad)
    checked = s.p.command("check")
    assert REASONS[damage] in checked.stderr and NAME in checked.stderr
    s.p.start()
    assert s.state()["phase"] == "settled", "it begins anew"
    assert s.tolerant() == s.new.serial
    assert (place / (NAME + ".refused")).read_bytes() == bad, "and is not touched"
    for told in (s.p.log, s.p.command("status").stdout, s.p.status()["state"]["problems"]):
        assert REASONS[damage] in told and NAME + ".refused" in told and "put a good one back" in told
    assert NAME + ".refused" in s.p.command("check").stderr
    # The way on.
    assert s.p.stop() == 0
    (place / (NAME + ".refused")).unlink()
    pki.write(place / NAME, good)
    s.p.start()
    assert s.orphan() == s.old.serial
    assert s.p.status()["state"]["problems"] == ""


def test_another_bundles_state(site, place):
    s = site(state_dir=str(place))
    assert s.p.stop() == 0
    (place / NAME).rename(place / "other.rotation")
    s.p.start()
    s.p.wait_log(r"other\.rotation: it is the state of bundle \"main\", whose file is called main\.rotation")
    assert (place / "other.rotation.refused").exists()


def test_a_refused_one_that_can_not_be_moved(site, place):
    """It is not written over either."""
    s = site(state_dir=str(place))
    assert s.p.stop() == 0
    (place / NAME).write_bytes(b"what is this?")
    for n in [""] + [".%d" % i for i in range(1, 10)]:
        (place / (NAME + ".refused" + n)).write_bytes(b"")
    s.p.start()
    s.p.wait_log(r"can not be moved out of the way")
    s.new.files(s.directory)
    s.p.reload()
    assert s.p.stop() == 0
    assert (place / NAME).read_bytes() == b"what is this?"
    s.p.start()


# --- where it can not be written ---


def test_a_directory_that_is_not_there(site, directory):
    s = site(state_dir=str(directory / "nowhere"))
    s.p.wait_log(r"state_dir: .*nowhere: No such file or directory; .* make the directory")
    s.rotate()
    wait.until(lambda: s.p.status()["state"]["unwritten"], "the failure to be told")
    assert "nowhere" in s.p.command("status").stdout
    checked = s.p.command("check")
    assert checked.returncode == 1 and "install -d -m 700" in checked.stderr
    kept(s, None)
    die(s.p)
    assert s.orphan() == s.old.serial, "the supervisor has it"
    (directory / "nowhere").mkdir(mode=0o700)
    assert s.p.stop() == 0
    assert (directory / "nowhere" / NAME).exists(), "and it is written as soon as it can be"


def test_a_directory_that_takes_no_writes(site, place):
    """The good file stays, the supervisor has the new one, and it is written once that is possible again."""
    s = site(state_dir=str(place))
    wait.until(lambda: written(place), "the first state")
    before = (place / NAME).read_bytes()
    (place / ("." + NAME + ".new")).mkdir()
    s.rotate()
    wait.until(lambda: s.p.status()["state"]["unwritten"], "the failure to be told")
    s.p.wait_log(r"the state of its rotation can not be kept: .*main\.rotation: .*; it is tried again every few seconds")
    assert (place / NAME).read_bytes() == before
    kept(s, None)
    die(s.p)
    assert s.orphan() == s.old.serial
    (place / ("." + NAME + ".new")).rmdir()
    kept(s, place)
    wait.until(lambda: s.p.held_states() == set(), "one place to be enough")
    s.p.restart()
    assert s.orphan() == s.old.serial


def test_check_looks_at_the_directory(site, place):
    s = site(state_dir=str(place))
    assert s.p.command("check").returncode == 0
    place.chmod(0o755)
    done = s.p.command("check")
    assert done.returncode == 0 and "chmod 700" in done.stderr
    place.chmod(0o700)
    s.p.change(state_dir=str(s.directory / "bundle.crt"))
    done = s.p.command("check")
    assert done.returncode == 1 and "is not a directory" in done.stderr


def test_any_name_of_a_bundle(bascule, directory, echo, port, place, ca):
    names = ["../../etc/passwd", ".hidden", "a b", "a%20b", "ü" * 80, "ü" * 80 + "!", "x.rotation"]
    leaf = ca.leaf("site.test")
    bundles = {n: leaf.files(directory, "b%d" % i) for i, n in enumerate(names)}
    p = bascule(proxy.config(port, leaf.files(directory), echo.address, bundles=bundles, state_dir=str(place)))
    assert p.stop() == 0
    files = sorted(os.listdir(place))
    assert len([f for f in files if f.endswith(".rotation")]) == len(names) + 1
    assert all(len(f) < 256 and "/" not in f and not f.startswith(".") for f in files)
    p.start()
    assert p.status()["state"]["problems"] == ""


def test_a_signal_is_not_lost_while_a_state_is_saved(site):
    """The supervisor's command comes with its answer to the worker that saves: both are overdue when it goes on."""
    one = site()
    one.rotate()  # and what it has learned is to be saved
    p = one.p
    os.kill(p.worker, signal.SIGSTOP)
    since = len(p.log)
    p.send_signal(signal.SIGHUP)
    p.wait_log("SIGHUP: reloading", since)
    time.sleep(4)  # longer than it puts off what is to be saved
    os.kill(p.worker, signal.SIGCONT)
    p.wait_log("reloaded: ", since)


def test_what_waits_to_be_started_waits_across_a_restart(site, place):
    s = site(state_dir=str(place), rotation={"start": "manual"})
    s.tell("start")
    s.tell("retire?force=1")
    assert s.tolerant() == s.old.serial
    s.new.files(s.directory)
    s.p.restart()
    assert s.tolerant() == s.old.serial and s.state()["phase"] == "settled"
    s.tell("start")
    assert s.tolerant() == s.new.serial and s.state()["phase"] == "complete"
