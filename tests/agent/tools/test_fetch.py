"""Pages come in the contract's words, within bounds, and from public addresses only."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app.agent.tools import fetch as fetch_module
from app.agent.tools import public_http
from app.agent.tools.fetch import FetchToolset
from app.agent.tools.output_limit import TRUNCATED
from app.agent.toolset import ToolCancelled, ToolResult
from tests.agent.tools.web_site import WebSite, running
from tests.agent.tools.workbench import Workbench


@pytest.fixture
def site(bench: Workbench) -> Iterator[WebSite]:
    with running() as site:
        yield site


def get(bench: Workbench, *urls: str, format: str = "text", **arguments: Any) -> ToolResult:
    toolset = FetchToolset(allow_private=True)
    return bench.call(toolset, "fetch", urls=list(urls), format=format, **arguments)


def test_one_page_is_returned_with_its_status_and_length(bench: Workbench, site: WebSite) -> None:
    url = site.add("/a", "café", kind="text/plain; charset=utf-8")
    result = get(bench, url)
    assert result.output == f"Successfully fetched {url} (Status: 200, Length: 5 bytes):\n\ncafé"
    assert not result.is_error


def test_an_error_status_is_in_the_text_and_an_error(bench: Workbench, site: WebSite) -> None:
    url = site.add("/a", "gone", status=410)
    result = get(bench, url)
    assert result.output == f"Successfully fetched {url} (Status: 410, Length: 4 bytes):\n\ngone"
    assert result.is_error


@pytest.mark.parametrize(
    ("format", "body"),
    [("html", "<h1>A</h1><p>b</p>"), ("markdown", "# A\n\nb"), ("text", "A\n\nb")],
)
def test_html_is_converted_as_asked(bench: Workbench, site: WebSite, format: str, body: str) -> None:
    url = site.add("/a", "<h1>A</h1><p>b</p>", kind="text/html")
    assert get(bench, url, format=format).output.endswith(f"Length: {len(body)} bytes):\n\n{body}")


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        ("é".encode("latin-1"), "text/plain; charset=iso-8859-1", "é"),
        (b"<meta charset='latin-1'>" + "é".encode("latin-1"), "text/html", "é"),
        (b"\xff", "text/plain; charset=no-such", "\ufffd"),
        (b"a\0b", "application/octet-stream", "a\ufffdb"),
    ],
)
def test_bytes_become_text_by_the_best_knowledge(
    bench: Workbench, site: WebSite, data: bytes, kind: str, text: str
) -> None:
    assert get(bench, site.add("/a", data, kind=kind)).output.endswith(f":\n\n{text}")


def test_several_pages_are_json_and_never_an_error(bench: Workbench, site: WebSite) -> None:
    good, bad = site.add("/a", "A"), "nowhere"
    result = get(bench, good, bad)
    assert not result.is_error
    assert json.loads(result.output) == [
        {
            "url": good,
            "statusCode": 200,
            "status": "200 OK",
            "contentType": "text/plain",
            "contentLength": 1,
            "body": "A",
        },
        {
            "url": bad,
            "statusCode": 0,
            "status": "",
            "contentLength": 0,
            "error": "invalid URL: missing scheme or host",
        },
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "invalid URL: missing scheme or host"),
        ("http://", "invalid URL: missing scheme or host"),
        ("http://[::1", "invalid URL: Invalid IPv6 URL"),
        ("http://a:99999/", "invalid URL: Port out of range 0-65535"),
        ("ftp://example.com/x", "only HTTP and HTTPS URLs are supported"),
        ("file:///etc/passwd", "invalid URL: missing scheme or host"),
        ("gopher://example.com:70/x", "only HTTP and HTTPS URLs are supported"),
    ],
)
def test_a_url_that_is_none_is_refused(bench: Workbench, url: str, reason: str) -> None:
    result = get(bench, url)
    assert (result.output, result.is_error) == (f"Error fetching {url}: {reason}", True)


def test_a_call_without_urls_or_with_too_many_or_a_wrong_format_is_an_error(bench: Workbench) -> None:
    assert get(bench).output == "Error calling tool: at least one URL is required"
    assert get(bench, *["http://x/"] * 21).is_error
    assert get(bench, "http://x/", format="pdf").is_error


def test_a_server_that_is_not_there_is_a_failed_request(bench: Workbench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        result = get(bench, url)
    assert result.output == f"Error fetching {url}: request failed: [Errno 111] Connection refused"


def test_a_body_is_read_up_to_a_mebibyte_and_shown_up_to_thirty_thousand_bytes(
    bench: Workbench, site: WebSite
) -> None:
    result = get(bench, site.add("/big", b"x" * (3 << 20)))
    assert f"Length: {1 << 20} bytes" in result.output
    assert result.output.endswith("x" * 30_000 + TRUNCATED)
    assert len(result.output) < 31_000


def test_a_body_that_unpacks_to_more_is_cut_too(bench: Workbench, site: WebSite) -> None:
    bomb = gzip.compress(b"x" * (50 << 20))
    result = get(bench, site.add("/bomb", bomb, Content_Encoding="gzip"))
    assert f"Length: {1 << 20} bytes" in result.output


def test_a_body_that_cannot_be_unpacked_is_a_failure(bench: Workbench, site: WebSite) -> None:
    result = get(bench, site.add("/bad", b"not gzip", Content_Encoding="gzip"))
    assert result.is_error
    assert "failed to read response body: " in result.output


def test_redirects_are_followed_five_times(bench: Workbench, site: WebSite) -> None:
    for number in range(7):
        site.add(f"/{number}", status=302, Location=f"/{number + 1}")
    site.add("/7", "arrived")
    assert get(bench, site.url("/2")).output.endswith("arrived")
    assert "request failed: stopped after 5 redirects" in get(bench, site.url("/1")).output


def test_a_redirect_to_another_scheme_is_refused(bench: Workbench, site: WebSite) -> None:
    url = site.add("/a", status=302, Location="ftp://example.com/etc/passwd")
    assert get(bench, url).output == f"Error fetching {url}: only HTTP and HTTPS URLs are supported"


def test_robots_are_asked_once_for_each_site_and_call(bench: Workbench, site: WebSite) -> None:
    site.add("/robots.txt", "User-agent: *\nDisallow: /private")
    good, bad = site.add("/a", "A"), site.add("/private/b", "B")
    results = json.loads(get(bench, good, bad, good).output)
    assert [result.get("error") for result in results] == [None, "URL blocked by robots.txt", None]
    assert site.asked == ["/robots.txt", "/a", "/a"]
    assert site.user_agents == {fetch_module.USER_AGENT}


@pytest.mark.parametrize(("status", "blocked"), [(404, False), (403, True), (500, True)])
def test_robots_that_are_missing_allow_all_and_robots_in_trouble_allow_nothing(
    bench: Workbench, site: WebSite, status: int, blocked: bool
) -> None:
    site.add("/robots.txt", "", status=status)
    url = site.add("/a", "A")
    assert get(bench, url).is_error is blocked


def test_a_redirect_does_not_get_around_robots(bench: Workbench, site: WebSite) -> None:
    site.add("/robots.txt", "User-agent: *\nDisallow: /private")
    url = site.add("/a", status=302, Location="/private")
    assert "URL blocked by robots.txt" in get(bench, url).output


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1", "0.0.0.0"],
)
def test_a_private_address_is_refused_however_it_is_written(
    bench: Workbench, site: WebSite, host: str
) -> None:
    site.add("/a", "secret")
    result = bench.call(FetchToolset(), "fetch", urls=[site.url("/a", host)], format="text")
    assert result.is_error
    assert "is not a public address" in result.output
    assert site.asked == []


def test_a_redirect_to_a_private_address_is_refused(
    bench: Workbench, site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_http, "is_public", lambda address: address == "127.0.0.1")
    site.add("/secret", "secret")
    url = site.add("/a", status=302, Location=site.url("/secret", "127.0.0.2"))
    result = bench.call(FetchToolset(), "fetch", urls=[url], format="text")
    assert result.output == f"Error fetching {url}: request failed: 127.0.0.2 is not a public address"
    assert "/secret" not in site.asked


def test_a_name_that_resolves_to_another_address_later_is_checked_again(
    bench: Workbench, site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look-up is for robots.txt; the second one, for the page, gives a private address."""
    resolve, answers = socket.getaddrinfo, iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])

    def rebind(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve(next(answers) if host == "rebinding.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    monkeypatch.setattr(public_http, "is_public", lambda address: address == "127.0.0.1")
    site.add("/robots.txt", "", Connection="close")
    site.add("/secret", "secret")
    result = bench.call(FetchToolset(), "fetch", urls=[site.url("/secret", "rebinding.test")], format="text")
    assert "rebinding.test is not a public address" in result.output
    assert site.asked == ["/robots.txt"]


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(_host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    result = bench.call(FetchToolset(), "fetch", urls=["http://mixed.test/"], format="text")
    assert "mixed.test is not a public address" in result.output


def test_no_proxy_of_the_environment_is_used(
    bench: Workbench, site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1/")
    assert not get(bench, site.add("/a", "A")).is_error


def stalling(opened: threading.Event, gate: threading.Event, *, head: bool) -> Any:
    """A page that stops in the middle until the gate opens: in the body, or in the head."""

    def page(request: BaseHTTPRequestHandler) -> None:
        if not head:
            request.send_response(200)
            request.send_header("Content-Length", "1000")
            request.end_headers()
            request.wfile.write(b"x" * 10)
            request.wfile.flush()
        opened.set()
        gate.wait(30)

    return page


@pytest.mark.parametrize("head", [True, False])
def test_a_cancel_ends_a_request_that_stalls(bench: Workbench, site: WebSite, head: bool) -> None:
    opened, gate = threading.Event(), threading.Event()
    site.pages["/stall"] = stalling(opened, gate, head=head)

    def cancel_when_open() -> None:
        opened.wait(10)
        bench.cancellation.cancel()

    canceller = threading.Thread(target=cancel_when_open)
    canceller.start()
    try:
        with pytest.raises(ToolCancelled):
            get(bench, site.url("/stall"))
    finally:
        gate.set()
        canceller.join()


@pytest.mark.parametrize("head", [True, False])
def test_a_request_that_stalls_is_given_up_in_time(bench: Workbench, site: WebSite, head: bool) -> None:
    opened, gate = threading.Event(), threading.Event()
    site.pages["/stall"] = stalling(opened, gate, head=head)
    toolset = FetchToolset(timeout=1, allow_private=True)
    try:
        result = bench.call(toolset, "fetch", urls=[site.url("/stall")], format="text")
    finally:
        gate.set()
    assert "request failed: no answer within 1 seconds" in result.output


def test_a_server_that_drips_does_not_reset_the_clock(bench: Workbench, site: WebSite) -> None:
    gate = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not gate.wait(0.05):
            try:
                request.wfile.write(b"x")
            except OSError:
                return

    site.pages["/drip"] = drip
    try:
        result = get(bench, site.url("/drip"), timeout=1)
    finally:
        gate.set()
    assert "request failed: no answer within 1 seconds" in result.output


def test_a_cancel_that_came_before_asks_nobody(bench: Workbench, site: WebSite) -> None:
    bench.cancellation.cancel()
    with pytest.raises(ToolCancelled):
        get(bench, site.add("/a"))
    assert site.asked == []


@pytest.mark.parametrize(
    ("domains", "host", "is_read"),
    [
        ({"allowed_domains": ("localhost",)}, "localhost", True),
        ({"allowed_domains": ("localhost",)}, "127.0.0.1", False),
        ({"allowed_domains": ("127.0.0.0/8",)}, "127.0.0.1", True),
        ({"allowed_domains": ("127.0.0.0/8",)}, "localhost", False),
        ({"allowed_domains": ("10.0.0.0/8",)}, "127.0.0.1", False),
        ({"blocked_domains": ("localhost",)}, "127.0.0.1", True),
        ({"blocked_domains": ("localhost",)}, "LOCALHOST.", False),
        ({"blocked_domains": ("10.0.0.0/8",)}, "127.0.0.1", True),
        ({"blocked_domains": ("127.0.0.0/8",)}, "localhost", False),
        ({"blocked_domains": ("127.0.0.1",)}, "2130706433", False),
        ({"blocked_domains": ("127.0.0.1",)}, "[::ffff:127.0.0.1]", False),
        ({"blocked_domains": ("127.0.0.1",)}, "0x7f.1", False),
    ],
)
def test_pages_come_from_the_hosts_and_addresses_that_the_author_allows(
    bench: Workbench, site: WebSite, domains: dict[str, Any], host: str, is_read: bool
) -> None:
    site.add("/a", "words")
    toolset = FetchToolset(allow_private=True, **domains)
    result = bench.call(toolset, "fetch", urls=[site.url("/a", host)])
    assert result.is_error is not is_read, result.output
    assert bool(site.asked) is is_read


@pytest.mark.parametrize(
    "domains", [{"blocked_domains": ("127.0.0.2",)}, {"allowed_domains": ("127.0.0.1",)}]
)
def test_a_redirect_leads_to_no_host_that_is_not_allowed(
    bench: Workbench, site: WebSite, domains: dict[str, Any]
) -> None:
    url = site.add("/a", status=302, Location=site.url("/b", "127.0.0.2"))
    result = bench.call(FetchToolset(allow_private=True, **domains), "fetch", urls=[url])
    assert "URL blocked: 127.0.0.2" in result.output
    assert "/b" not in site.asked
    site.add("/robots.txt", status=302, Location=site.url("/b", "127.0.0.2"))
    bench.call(FetchToolset(allow_private=True, **domains), "fetch", urls=[url])
    assert "/b" not in site.asked
