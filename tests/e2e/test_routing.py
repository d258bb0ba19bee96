"""Routes: which request goes where, and what is changed on its way."""

import pytest

from harness import proxy


def named(name):
    """An origin that tells its name and what it was sent."""

    def script(c):
        while True:
            r = c.request()
            c.answer(body=name + " " + r.target, fields=[("X-Origin", name), ("Server", "secret/1.0")])

    return script


@pytest.fixture
def routed(bascule, directory, identity, recorder, port):
    """The proxy with these routes, before three origins a, b, c; c takes what no route matches."""

    def start(*routes, names=("site.test", "*.site.test"), **over):
        places = {n: recorder(named(n)) for n in "abc"}
        site = dict({"names": list(names), "bundle": "main", "routes": list(routes), "upstream": "c"}, **over)
        site = {k: v for k, v in site.items() if v is not None}
        p = bascule(
            {
                "listeners": [proxy.listener(port)],
                "bundles": {"main": identity.files(directory)},
                "sites": [site],
                "upstreams": {n: proxy.upstream(r.address) for n, r in places.items()},
            }
        )
        p.places = places
        return p

    return start


def goes(p, target="/", method="GET", name="site.test", **fields):
    """The origin a request reached, and the target it saw; or the status."""
    with p.client(name) as c:
        answer = c.request(method, target, {k.replace("_", "-"): v for k, v in fields.items()})
        return answer.text if answer.status == 200 else answer.status


def test_by_path(routed):
    p = routed({"path": "^/api/", "upstream": "a"}, {"path": "\\.(png|jpg)$", "upstream": "b"})
    assert goes(p, "/api/x") == "a /api/x"
    assert goes(p, "/api") == "c /api"
    assert goes(p, "/not/api/") == "c /not/api/"
    assert goes(p, "/pictures/one.png") == "b /pictures/one.png"
    assert goes(p, "/pictures/one.png?size=1") == "b /pictures/one.png?size=1", "the query is no part of the path"
    assert goes(p, "/?one.png") == "c /?one.png"
    assert goes(p, "/api/one.png") == "a /api/one.png", "the first that matches wins"


def test_by_host(routed):
    p = routed({"host": "^api\\.", "upstream": "a"})
    assert goes(p, name="api.site.test") == "a /"
    assert goes(p, name="API.site.test") == "a /"
    assert goes(p, name="www.site.test") == "c /"


def test_by_method(routed):
    p = routed({"methods": ["POST", "PUT"], "upstream": "a"})
    assert goes(p, method="POST") == "a /"
    assert goes(p, method="PUT") == "a /"
    assert goes(p, method="GET") == "c /"
    assert goes(p, method="post") == "c /", "methods are case-sensitive"


def test_by_field(routed):
    p = routed({"headers": {"X-Canary": "^(1|yes)$"}, "upstream": "a"}, {"headers": {"User-Agent": "curl/"}, "upstream": "b"})
    assert goes(p, X_Canary="yes") == "a /"
    assert goes(p, x_canary="1") == "a /"
    assert goes(p, X_Canary="10") == "c /"
    assert goes(p, User_Agent="curl/8") == "b /"


def test_all_conditions_must_hold(routed):
    p = routed({"path": "^/x", "methods": ["GET"], "host": "^site\\.test$", "headers": {"X-A": "1"}, "upstream": "a"})
    assert goes(p, "/x", X_A="1") == "a /x"
    assert goes(p, "/x") == "c /x"
    assert goes(p, "/y", X_A="1") == "c /y"
    assert goes(p, "/x", method="DELETE", X_A="1") == "c /x"
    assert goes(p, "/x", name="www.site.test", X_A="1") == "c /x"


def test_no_route_is_404(routed):
    p = routed({"path": "^/api/", "upstream": "a"}, upstream=None)
    assert goes(p, "/api/") == "a /api/"
    assert goes(p, "/") == 404
    assert not p.places["c"].requests


def test_rewrite(routed):
    p = routed(
        {"path": "^/old/(?<rest>.*)$", "rewrite": "/new/${rest}", "upstream": "a"},
        {"path": "^/api/v(\\d+)/", "rewrite": "/$1/", "upstream": "b"},
    )
    assert goes(p, "/old/x/y?q=1") == "a /new/x/y?q=1"
    assert goes(p, "/api/v2/thing") == "b /2/thing"
    assert goes(p, "/other") == "c /other"


def test_rewrite_can_not_split_a_request(routed):
    """What was encoded stays encoded."""
    p = routed({"path": "^/x/(.*)$", "rewrite": "/$1", "upstream": "a"})
    assert goes(p, "/x/%0D%0AX-Evil:%201%0D%0A") == "a /%0D%0AX-Evil:%201%0D%0A"
    assert all("x-evil" not in r.names() for r in p.places["a"].requests)


def test_request_fields(routed):
    edits = {
        "set": {"X-Site": "shop", "X-Client": "${client_address}", "X-Host": "${host} by ${scheme}", "X-Tls": "${tls_version}"},
        "remove": ["X-Secret", "Accept-Encoding"],
    }
    p = routed(request_headers=edits)
    with p.client() as c:
        c.request(fields={"X-Secret": "1", "x-site": "forged", "Accept-Encoding": "br", "X-Kept": "1"})
    seen = p.places["c"].last
    assert seen.all("x-site") == ["shop"]
    assert seen.get("x-client") == "127.0.0.1"
    assert seen.get("x-host") == "site.test by https"
    assert seen.get("x-tls") == "TLSv1.3"
    assert seen.get("x-kept") == "1"
    assert not {"x-secret", "accept-encoding"} & set(seen.names())


def test_response_fields(routed):
    p = routed(response_headers={"set": {"Strict-Transport-Security": "max-age=300"}, "remove": ["Server", "X-Origin"]})
    answer = p.get()
    assert answer.get("Strict-Transport-Security") == "max-age=300"
    assert answer.get("X-Origin") is None
    assert "secret" not in (answer.get("Server") or "")


def test_fields_of_a_route_come_after_those_of_the_site(routed):
    p = routed(
        {"path": "^/a", "upstream": "a", "request_headers": {"set": {"X-Who": "route"}}},
        request_headers={"set": {"X-Who": "site", "X-Site": "1"}},
    )
    goes(p, "/a")
    goes(p, "/c")
    assert p.places["a"].last.all("x-who") == ["route"]
    assert p.places["a"].last.get("x-site") == "1"
    assert p.places["c"].last.all("x-who") == ["site"]


def test_a_pattern_that_runs_away_holds_nobody_up(routed):
    p = routed({"path": "^(/a+)+$", "upstream": "a"})
    assert goes(p, "/" + "a" * 3000 + "!") in ("c /" + "a" * 3000 + "!", 500)
    assert goes(p, "/aaa") == "a /aaa"


def test_the_host_for_the_origin(simple, echo):
    p = simple()
    p.get()
    assert echo.last.get("host") == "site.test"
    p.reconfigure(upstreams={"origin": {"host": "server"}})
    p.get()
    assert echo.last.get("host") == echo.address


def test_one_listener_many_sites(bascule, directory, ca, recorder, port):
    places = {n: recorder(named(n)) for n in ("one", "two")}
    p = bascule(
        {
            "listeners": [proxy.listener(port)],
            "bundles": {n: ca.leaf(n + ".test").files(directory, n) for n in places},
            "sites": [proxy.site(n + ".test", bundle=n, upstream=n) for n in places],
            "upstreams": {n: proxy.upstream(r.address) for n, r in places.items()},
        }
    )
    for n in places:
        assert goes(p, name=n + ".test") == n + " /"
    with p.client("one.test") as c:
        assert c.request(host="two.test").text == "two /", "the same rule for clients: one connection will do"


def test_limits_of_a_route(routed):
    p = routed({"path": "^/up", "upstream": "a", "limits": {"body_bytes": "1k"}})
    with p.client() as c:
        assert c.request("POST", "/up", body=b"x" * 1024).status == 200
    with p.client() as c:
        assert c.request("POST", "/up", body=b"x" * 1025).status == 413
    with p.client() as c:
        assert c.request("POST", "/other", body=b"x" * 1025).status == 200


