"""The command that tells people of a rotation."""

import json
import os

import pytest

from harness import pki, proxy, wait


@pytest.fixture
def told():
    """A command that files away what it is told, and the files: where the worker's user may go."""
    with proxy.directory() as place:
        place.chmod(0o755)
        yield make(place)


def make(place):
    out = place / "told"
    out.mkdir()
    out.chmod(0o777)
    command = place / "tell"
    command.write_text('#!/bin/sh\ncat >"$1/.new" && mv "$1/.new" "$1/$BASCULE_EVENT-$BASCULE_BUNDLE"\n')
    command.chmod(0o755)
    return command, out


def start(simple, identity, directory, rotation):
    return simple(bundles={"main": dict(identity.files(directory), rotation=rotation)})


def read(out, name):
    wait.until((out / name).exists, "the command to be run: %s" % os.listdir(out))
    return json.loads((out / name).read_text())


def test_it_is_told_when_a_rotation_begins_and_ends(simple, identity, ca, directory, told):
    command, out = told
    p = start(simple, identity, directory, {"notify": [str(command), str(out)], "keep_previous": "2s"})
    ca.leaf("site.test").files(directory)
    p.reload()
    begun = read(out, "began-main")
    assert begun["phase"] == "complete" and begun["current"]["generation"] == 2
    assert read(out, "ended-main")["phase"] == "settled"


def test_each_stage_is_told(simple, identity, ca, directory, told):
    command, out = told
    stages = [{"share": 5, "for": "1s"}, {"share": 50, "for": "1s"}]
    p = start(simple, identity, directory, {"notify": [str(command), str(out)], "stages": stages})
    ca.leaf("site.test").files(directory)
    p.reload()
    assert read(out, "began-main")["share_percent"] == 5
    assert read(out, "next_stage-main")["share_percent"] == 50
    assert read(out, "completed-main")["phase"] == "complete"


@pytest.mark.parametrize("command, reason", [("/no/such/command", "can not be run"), ("/bin/false", "ended with status 1")])
def test_a_command_that_fails_is_logged_and_costs_nothing(simple, identity, ca, directory, command, reason):
    p = start(simple, identity, directory, {"notify": [command]})
    ca.leaf("site.test").files(directory)
    p.reload()
    p.wait_log("%s: %s" % (command, reason))
    assert p.get().status == 200
