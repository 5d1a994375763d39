"""Which pages count as the server's own: by name, scheme and port, directly and behind a proxy."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from app.web.same_origin import host_name, is_same_origin

DIRECT = [
    ("http://localhost:8080", "localhost:8080", True),
    ("http://LOCALHOST:8080", "localhost:8080", True),
    ("http://[::1]:8080", "[::1]:8080", True),
    ("http://localhost:3000", "localhost:8080", False),
    ("http://localhost", "localhost:8080", False),
    ("https://localhost", "localhost:8080", False),
    ("http://127.0.0.1:8080", "localhost:8080", False),
    ("http://localhost:80", "localhost:80", True),
    ("http://localhost", "localhost:80", True),
    ("https://localhost", "localhost:80", False),
    ("null", "localhost:8080", False),
    ("", "localhost:8080", False),
    ("file://localhost:8080", "localhost:8080", False),
    ("ftp://localhost:8080", "localhost:8080", False),
    ("http://localhost:port", "localhost:8080", False),
    ("http://localhost:8080", "localhost:port", False),
    ("http://:8080", ":8080", False),
]


@pytest.mark.parametrize(("origin", "host", "same"), DIRECT)
def test_a_page_belongs_to_the_server_if_name_and_port_do(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, host=host, scheme="http", listens_on=8080, fetch_site="") is same


BEHIND = [
    # the proxy passes on what the browser asked for, port and all
    ("https://baton.example", "baton.example", True),
    ("https://baton.example:8443", "baton.example:8443", True),
    ("https://baton.example:8444", "baton.example:8443", False),
    ("https://baton.example:3000", "baton.example:443", False),
    ("https://baton.example", "baton.example:443", True),
    # it leaves the port out, so nobody can know it
    ("https://baton.example:8443", "baton.example", True),
    ("http://baton.example:8081", "baton.example", True),
    # it passes on nothing
    ("https://baton.example", "127.0.0.1:8080", False),
    ("https://evil.example", "baton.example", False),
]


@pytest.mark.parametrize("listens_on", [8080, None])
@pytest.mark.parametrize(("origin", "host", "same"), BEHIND)
def test_behind_a_proxy_ports_are_compared_where_they_are_known(
    origin: str, host: str, same: bool, listens_on: int | None
) -> None:
    assert is_same_origin(origin, host=host, scheme="http", listens_on=listens_on, fetch_site="") is same


@pytest.mark.parametrize(
    ("origin", "scheme", "listens_on", "same"),
    [
        ("http://baton.example", "http", 80, True),
        ("http://baton.example:3000", "http", 80, False),
        ("https://baton.example", "https", 443, True),
        ("http://baton.example", "https", 443, False),
        ("https://baton.example:3000", "https", 443, False),
    ],
)
def test_who_listens_on_a_default_port_knows_the_port_that_is_not_named(
    origin: str, scheme: str, listens_on: int, same: bool
) -> None:
    found = is_same_origin(origin, host="baton.example", scheme=scheme, listens_on=listens_on, fetch_site="")
    assert found is same


@pytest.mark.parametrize(
    ("fetch_site", "same"),
    [("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False)],
)
def test_a_browser_that_says_where_its_page_is_from_is_believed(fetch_site: str, same: bool) -> None:
    """It knows the address behind a proxy that leaves the port out; but the name has to fit all the same."""
    asked = {"scheme": "http", "listens_on": 8080, "fetch_site": fetch_site}
    assert is_same_origin("https://baton.example:8443", host="baton.example", **asked) is same  # type: ignore[arg-type]
    assert not is_same_origin("https://evil.example", host="baton.example", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "name"),
    [("Localhost:1", "localhost"), ("[::1]:8080", "::1"), ("", ""), ("[x", "?"), ("a:port", "?")],
)
def test_the_name_of_a_host_has_no_port(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("prefix", ["", "/baton"])
@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        ("http://localhost:8080", "", 200),
        ("http://localhost:3000", "", 403),
        ("http://localhost:3000", "same-site", 403),
        ("http://localhost:8080", "same-origin", 200),
        ("http://localhost:8080", "cross-site", 403),
    ],
)
def test_another_server_on_this_machine_may_not_drive_this_one_below_whatever_path(
    http: FlaskClient, prefix: str, origin: str, site: str, status: int
) -> None:
    headers = {"Host": "localhost:8080", "Origin": origin, **({"Sec-Fetch-Site": site} if site else {})}
    response = http.post("/api/sessions", json={}, headers=headers, environ_overrides={"SCRIPT_NAME": prefix})
    assert response.status_code == status
