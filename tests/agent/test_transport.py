"""The transport: reuse, framing, proxies, TLS, and being cut off by another thread in every phase."""

from __future__ import annotations

import os
import random
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import httpx2
import pytest

from app.agent.anthropic.http.interrupt import Interrupt, Interrupted
from app.agent.anthropic.transport import ModelTransport, interruptible
from tests.agent.socket_server import PATIENCE, Peer, serving
from tests.harness import threads

LONG = 600.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test may leave a descriptor or a thread behind."""
    with threads.nothing_left():
        yield


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(transport=ModelTransport(), timeout=LONG) as one:
        yield one


def echo(peer: Peer) -> None:
    while request := peer.request():
        peer.answer(request.body)


def in_background(call: Callable[[], object], interrupt: Interrupt) -> Future[object]:
    """Runs the call on a thread of its own; the interrupt is in force there."""
    future: Future[object] = Future()

    def work() -> None:
        try:
            with interruptible(interrupt):
                future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work).start()
    return future


# Answers


def test_requests_one_after_the_other_share_a_connection(client: httpx2.Client) -> None:
    with serving(echo) as server:
        assert [client.post(server.url, content=body).content for body in (b"a", b"", b"c" * 300_000)] == [
            b"a",
            b"",
            b"c" * 300_000,
        ]
        assert server.connections == 1


def test_requests_at_the_same_time_have_connections_of_their_own(client: httpx2.Client) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def script(peer: Peer) -> None:
        while request := peer.request():
            if request.body:
                both.wait()
            peer.answer(b"")

    with serving(script) as server, ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(lambda _: client.post(server.url, content=b"x"), range(2)))) == 2
        assert server.connections == 2
        client.post(server.url)
        assert server.connections == 2


def test_request_and_response_arrive_as_they_were_sent(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.answer(b"no", "X-Reason: tea", status="418 I'm a teapot")

    with serving(script) as server:
        response = client.put(f"{server.url}/a%20b?c=d", content=b"body", headers={"x-a": "1"})
        assert (response.status_code, response.reason_phrase) == (418, "I'm a teapot")
        assert (response.content, response.headers["x-reason"]) == (b"no", "tea")
        (request,) = server.requests
        assert request.line == "PUT /a%20b?c=d HTTP/1.1"
        assert (request.headers["x-a"], request.headers["content-length"], request.body) == (
            "1",
            "4",
            b"body",
        )


def test_news_before_the_answer_are_skipped(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            peer.answer(b"x")

    with serving(script) as server:
        assert client.post(server.url).content == b"x"


def test_a_compressed_answer_is_unpacked_by_whoever_reads_it(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(bytes.fromhex("789c4b040000620062"), "content-encoding: deflate")

    with serving(script) as server:
        assert client.post(server.url).content == b"a"


def test_everything_that_has_arrived_comes_in_one_piece(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")

    with serving(script) as server, client.stream("POST", server.url) as response:
        assert list(response.iter_raw()) == [b"abc"]


def test_a_request_without_a_length_is_refused(client: httpx2.Client) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        client.post("http://127.0.0.1:1", content=iter([b"a"]))
    with pytest.raises(httpx2.UnsupportedProtocol):
        client.get("ftp://127.0.0.1")


# Keeping connections


def test_a_connection_that_was_closed_while_idle_is_not_used_again(client: httpx2.Client) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"x")
        peer.socket.shutdown(socket.SHUT_RDWR)
        closed.set()

    with serving(script) as server:
        for _ in range(3):
            closed.clear()
            assert client.post(server.url).content == b"x"
            assert closed.wait(PATIENCE)
        assert server.connections == 3


def test_a_connection_that_dies_in_the_pool_unnoticed_is_replaced_once(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"x")
        if peer.server.connections == 1:
            peer.reset()
            peer.socket.close()
            closed.set()

    monkeypatch.setattr(
        "app.agent.anthropic.http.socket_connection.SocketConnection.is_stale", lambda _: False
    )
    with serving(script) as server:
        assert client.post(server.url).content == b"x"
        assert closed.wait(PATIENCE)
        assert client.post(server.url, content=b"again").content == b"x"
        assert [request.body for request in server.requests] == [b"", b"again"]


def test_a_request_that_is_out_is_never_sent_again(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"x")
        peer.request()

    with serving(script) as server:
        client.post(server.url)
        with pytest.raises(httpx2.RemoteProtocolError, match="before an answer"):
            client.post(server.url)
        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize("settings", [{"keep_alive": 0.0}, {"max_idle": 0}])
def test_a_connection_is_kept_within_limits(settings: dict[str, float]) -> None:
    transport = ModelTransport(**settings)  # type: ignore[arg-type]
    with serving(echo) as server, httpx2.Client(transport=transport) as client:
        client.post(server.url)
        client.post(server.url)
        assert server.connections == 2


@pytest.mark.parametrize("header", ["connection: close", "content-length: 1"])
def test_a_connection_that_can_not_be_used_again_is_closed(client: httpx2.Client, header: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.head(*{"content-length: 1", header})
        peer.send(b"x" if "close" in header else b"xy")
        peer.until_gone()

    with serving(script) as server:
        assert client.post(server.url).content == b"x"
        server.wait_until_gone()


def test_an_answer_without_a_length_lasts_until_the_connection_ends(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")

    with serving(script) as server:
        assert client.post(server.url).content == b"abc"
        assert client.post(server.url).content == b"abc"


def test_a_reader_that_leaves_just_before_the_end_leaves_the_connection_usable(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.stream(b"last words")

    with serving(script) as server:
        for _ in range(5):
            with client.stream("POST", server.url) as response:
                assert next(response.iter_raw()) == b"last words"
        assert server.connections == 1


def test_a_reader_that_leaves_in_the_middle_ends_the_connection(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(b"a")
        peer.until_gone()

    with serving(script) as server:
        with client.stream("POST", server.url) as response:
            assert next(response.iter_raw()) == b"a"
        server.wait_until_gone()


# Failures


def breaking(how: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(b"a")
        how(peer)

    return script


@pytest.mark.parametrize(
    ("how", "stall_timeout", "expected"),
    [
        (lambda peer: None, LONG, httpx2.RemoteProtocolError),
        (lambda peer: peer.reset(), LONG, httpx2.ReadError),
        (lambda peer: peer.send(b"nonsense\r\n"), LONG, httpx2.RemoteProtocolError),
        (lambda peer: peer.until_gone(), 0.05, httpx2.ReadTimeout),
    ],
)
def test_a_body_that_breaks_off_says_how(
    how: Callable[[Peer], None], stall_timeout: float, expected: type[Exception]
) -> None:
    transport = ModelTransport(stall_timeout=stall_timeout)
    with (
        serving(breaking(how)) as server,
        httpx2.Client(transport=transport, timeout=LONG) as client,
        client.stream("POST", server.url) as response,
        pytest.raises(expected),
    ):
        response.read()


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx" * 9000])
def test_what_is_not_http_is_refused(client: httpx2.Client, answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    with serving(script) as server, pytest.raises(httpx2.RemoteProtocolError):
        client.post(server.url)


def test_a_head_that_does_not_come_in_time_is_a_time_out(client: httpx2.Client) -> None:
    with (
        serving(lambda peer: peer.until_gone()) as server,
        pytest.raises(httpx2.ReadTimeout, match=r"0\.05 sec"),
    ):
        client.post(server.url, timeout=httpx2.Timeout(LONG, read=0.05))


def test_an_answer_that_comes_before_the_request_was_read_is_heard(client: httpx2.Client) -> None:
    def script(peer: Peer) -> None:
        peer.socket.recv(1)
        peer.answer(b"too large", "connection: close", status="413 Content Too Large")
        peer.socket.shutdown(socket.SHUT_WR)
        peer.until_gone()

    with serving(script) as server:
        assert client.post(server.url, content=b"x" * 5_000_000).status_code == 413


def test_nobody_there_is_a_connect_error(client: httpx2.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(httpx2.ConnectError, match="refused"):
        client.post(f"http://127.0.0.1:{port}")


def test_a_name_that_nobody_knows_is_a_connect_error(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(httpx2.ConnectError, match="not known"):
        client.post("http://model.example")


def test_a_name_is_looked_up_and_its_addresses_tried_in_turn(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()[1]
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *, flags: int = 0, **_: object) -> object:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        assert host == "model.example"
        found = [real("127.0.0.1", one, type=socket.SOCK_STREAM) for one in (dead, port)]
        return found[0] + found[1]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with serving(echo) as server:
        assert client.post(f"http://model.example:{server.port}", content=b"x").content == b"x"
        assert server.requests[0].headers["host"] == f"model.example:{server.port}"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
    ]
    subprocess.run(
        [*command, "-keyout", path, "-out", path.with_name("cert")], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_name("cert").read_bytes())
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is trusted in the way in which a user would say so."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
def test_tls_is_spoken_with_a_server_that_is_trusted(
    client: httpx2.Client, server_tls: ssl.SSLContext
) -> None:
    def script(peer: Peer) -> None:
        while request := peer.request():
            peer.stream(request.body, b"", b"z" * 100_000) if False else peer.stream(
                request.body, b"z" * 100_000
            )

    with serving(script, tls=server_tls) as server:
        for body in (b"a", b"b" * 500_000):
            assert client.post(server.url, content=body).content == body + b"z" * 100_000
        assert server.connections == 1


def test_tls_is_refused_with_a_stranger(client: httpx2.Client, server_tls: ssl.SSLContext) -> None:
    with serving(echo, tls=server_tls) as server, pytest.raises(httpx2.ConnectError, match="certificate"):
        client.post(server.url)


@pytest.mark.usefixtures("trusted")
def test_tls_is_refused_under_another_name(client: httpx2.Client, server_tls: ssl.SSLContext) -> None:
    with serving(echo, tls=server_tls) as server, pytest.raises(httpx2.ConnectError, match=r"127\.0\.0\.2"):
        client.post(server.url.replace("127.0.0.1", "127.0.0.2"))


class Collector:
    """A consumer of everything but what ends with a full stop."""

    def __init__(self) -> None:
        self.ready = True
        self.parts: list[bytes] = []

    def take(self, part: bytes) -> bool:
        self.parts.append(part)
        return not part.endswith(b".")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("under_tls", [False, True], ids=["plain", "TLS"])
def test_a_consumer_gets_the_body_byte_for_byte_and_its_reader_is_told(
    client: httpx2.Client, server_tls: ssl.SSLContext, under_tls: bool
) -> None:
    """Records of TLS, chunks and what arrives at once have different borders."""
    words = [os.urandom(size).hex().encode() for size in (1, 70_000, 3, 20_000, 1, 1)]
    words[2] += b"."
    told = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        for word in words[:3]:
            peer.chunk(word)
        assert told.acquire(timeout=PATIENCE)
        for word in words[3:]:
            peer.chunk(word)
        peer.chunk(b"")

    collector = Collector()
    empty = 0
    with (
        serving(script, tls=server_tls if under_tls else None) as server,
        interruptible(Interrupt(), collector),
        client.stream("POST", server.url) as response,
    ):
        for part in response.stream:  # type: ignore[union-attr]  # it is not asynchronous
            empty += not part
            collector.parts.append(part)
            told.release()
    assert b"".join(collector.parts) == b"".join(words)
    assert empty >= 1


def test_a_round_that_fails_ends_nobodys_reading(caplog: pytest.LogCaptureFixture) -> None:
    """The work around a round of reads is somebody else's; its failure must not leave every stream silent."""
    failures = iter([True])

    @contextmanager
    def failing_once() -> Iterator[None]:
        yield
        if next(failures, False):
            raise RuntimeError("a round failed")

    seen = threading.Event()

    class Telling(Collector):
        def take(self, part: bytes) -> bool:
            wants_more = super().take(part)
            seen.set()
            return wants_more

    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(b"one")
        assert seen.wait(PATIENCE)
        peer.chunk(b"two")
        peer.chunk(b"")

    collector = Telling()
    with (
        serving(script) as server,
        httpx2.Client(
            transport=ModelTransport(reading=failing_once, stall_timeout=PATIENCE), timeout=LONG
        ) as client,
        interruptible(Interrupt(), collector),
        client.stream("POST", server.url) as response,
    ):
        for part in response.stream:  # type: ignore[union-attr]
            collector.parts.append(part)
            seen.set()  # it may have come with the head
    assert b"".join(collector.parts) == b"onetwo"
    assert "a round failed" in caplog.text


@pytest.mark.usefixtures("trusted")
def test_a_reader_whose_consumer_waits_is_interrupted(
    client: httpx2.Client, server_tls: ssl.SSLContext
) -> None:
    taken = threading.Event()

    class Waiting(Collector):
        def take(self, part: bytes) -> bool:
            taken.set()
            return super().take(part)

    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(b"one")
        peer.until_gone()

    for tls in (None, server_tls):
        taken.clear()
        with serving(script, tls=tls) as server:
            interrupt = Interrupt()

            def call(url: str = server.url, interrupt: Interrupt = interrupt) -> None:
                with interruptible(interrupt, Waiting()), client.stream("POST", url) as response:
                    for _ in response.stream:  # type: ignore[union-attr]
                        taken.set()

            with ThreadPoolExecutor(1) as pool:
                future = pool.submit(call)
                assert taken.wait(PATIENCE)
                interrupt.request()
                with pytest.raises(Interrupted):
                    future.result(PATIENCE)
            server.wait_until_gone()


@pytest.mark.usefixtures("trusted")
def test_a_cut_under_tls_is_a_cut(client: httpx2.Client, server_tls: ssl.SSLContext) -> None:
    with (
        serving(breaking(lambda peer: None), tls=server_tls) as server,
        client.stream("POST", server.url) as response,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        response.read()


# Proxies


def tunnel(peer: Peer) -> None:
    """A proxy: it forwards, or connects and then stays out of it."""
    request = peer.request()
    assert request
    if not request.line.startswith("CONNECT"):
        peer.answer(b"forwarded")
        return
    host, _, port = request.line.split()[1].rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as onward:
        peer.head(status="200 Connection established")
        other = {onward: peer.socket, peer.socket: onward}
        while True:
            for source in select.select(other, [], [], PATIENCE)[0]:
                data = source.recv(65536)
                if not data:
                    return
                other[source].sendall(data)


def test_plain_requests_go_to_the_proxy_with_their_whole_address(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tunnel) as proxy:
        monkeypatch.setenv("http_proxy", f"user:p%40ss@127.0.0.1:{proxy.port}")
        assert client.post("http://model.example/v1?a=b").content == b"forwarded"
        (request,) = proxy.requests
        assert request.line == "POST http://model.example/v1?a=b HTTP/1.1"
        assert request.headers["host"] == "model.example"
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("proxy_speaks_tls", [False, True])
def test_tls_goes_through_a_tunnel_and_the_connection_is_kept(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, server_tls: ssl.SSLContext, proxy_speaks_tls: bool
) -> None:
    with (
        serving(echo, tls=server_tls) as server,
        serving(tunnel, tls=server_tls if proxy_speaks_tls else None) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with closing(client):  # before the proxy, which waits for it
            for body in (b"a", b"b" * 300_000):
                assert client.post(server.url, content=body).content == body
        assert [request.line for request in proxy.requests] == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"]
        assert "proxy-authorization" not in server.requests[0].headers


def test_what_no_proxy_names_goes_straight(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    with serving(echo) as server:
        assert client.post(server.url, content=b"x").content == b"x"


def test_a_proxy_that_refuses_is_named_as_the_reason(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"", status="407 Proxy Authentication Required")

    with serving(script) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(httpx2.ProxyError, match="407 Proxy Authentication Required"):
            client.post("https://model.example")


def test_a_proxy_of_an_unknown_kind_is_refused(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(httpx2.UnsupportedProtocol, match="socks5"):
        client.post("http://model.example")


# Being cut off


def assert_interrupted(future: Future[object], interrupt: Interrupt) -> None:
    interrupt.request()
    with pytest.raises(Interrupted):
        future.result(PATIENCE)


def test_what_was_interrupted_before_does_not_begin(client: httpx2.Client) -> None:
    interrupt = Interrupt()
    interrupt.request()
    with serving(echo) as server:
        client.post(server.url)
        with interruptible(interrupt), pytest.raises(Interrupted):
            client.post(server.url)
        assert len(server.requests) == 1
        assert client.post(server.url, content=b"x").content == b"x"


def test_a_look_up_is_interrupted(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def look_up(*_: object, flags: int = 0, **__: object) -> list[object]:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        asked.set()
        assert answer.wait(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    interrupt = Interrupt()
    future = in_background(lambda: client.post("http://model.example"), interrupt)
    assert asked.wait(PATIENCE)
    assert_interrupted(future, interrupt)
    answer.set()


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that answers no attempt to connect: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


def test_connecting_is_interrupted(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, black_hole: int
) -> None:
    connecting = threading.Event()
    real = Interrupt.watch

    def watch(self: Interrupt, waited_on: socket.socket) -> None:
        real(self, waited_on)
        connecting.set()

    monkeypatch.setattr(Interrupt, "watch", watch)
    interrupt = Interrupt()
    future = in_background(lambda: client.post(f"http://127.0.0.1:{black_hole}"), interrupt)
    assert connecting.wait(PATIENCE)
    assert_interrupted(future, interrupt)


def test_connecting_has_a_time_out(client: httpx2.Client, black_hole: int) -> None:
    with pytest.raises(httpx2.ConnectTimeout):
        client.post(f"http://127.0.0.1:{black_hole}", timeout=0.05)


class Silence:
    """A script that reaches a point and then says nothing until the client has gone."""

    def __init__(self, reach: Callable[[Peer], object]) -> None:
        self.reached = threading.Event()
        self._reach = reach

    def __call__(self, peer: Peer) -> None:
        self._reach(peer)
        self.reached.set()
        peer.until_gone()


def begin_stream(peer: Peer) -> None:
    peer.request()
    peer.stream_head()
    peer.chunk(b"a")


@pytest.mark.parametrize(
    ("phase", "scheme", "size"),
    [
        (lambda peer: None, "https", 0),  # in the middle of the TLS handshake
        (lambda peer: peer.socket.recv(1, socket.MSG_PEEK), "http", 50_000_000),  # sending, perhaps
        (lambda peer: peer.request(), "http", 0),  # waiting for the head
        (begin_stream, "http", 0),
    ],
    ids=["handshake", "sending", "head", "body"],
)
def test_every_wait_is_interrupted_and_the_server_sees_the_end(
    client: httpx2.Client, phase: Callable[[Peer], object], scheme: str, size: int
) -> None:
    silence = Silence(phase)
    interrupt = Interrupt()
    with serving(silence) as server:
        url = server.url.replace("http", scheme)
        future = in_background(lambda: client.post(url, content=b"x" * size), interrupt)
        assert silence.reached.wait(PATIENCE)
        assert_interrupted(future, interrupt)
        server.wait_until_gone()


def test_sending_to_a_server_that_does_not_read_is_interrupted(client: httpx2.Client) -> None:
    done = threading.Event()
    interrupt = Interrupt()

    def script(peer: Peer) -> None:
        peer.socket.recv(1)
        assert done.wait(PATIENCE)

    with serving(script) as server:
        future = in_background(lambda: client.post(server.url, content=b"x" * 50_000_000), interrupt)
        assert_interrupted(future, interrupt)
        done.set()


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("phase", [lambda peer: peer.request(), begin_stream], ids=["head", "body"])
def test_waits_under_tls_are_interrupted(
    client: httpx2.Client, server_tls: ssl.SSLContext, phase: Callable[[Peer], object]
) -> None:
    silence = Silence(phase)
    interrupt = Interrupt()
    with serving(silence, tls=server_tls) as server:
        future = in_background(lambda: client.post(server.url), interrupt)
        assert silence.reached.wait(PATIENCE)
        assert_interrupted(future, interrupt)
        server.wait_until_gone()


def test_a_wait_on_a_connection_from_the_pool_is_interrupted(client: httpx2.Client) -> None:
    def first_answer(peer: Peer) -> None:
        peer.request()
        peer.answer(b"x")
        peer.request()

    silence = Silence(first_answer)
    interrupt = Interrupt()
    with serving(silence) as server:
        client.post(server.url)
        future = in_background(lambda: client.post(server.url), interrupt)
        assert silence.reached.wait(PATIENCE)
        assert_interrupted(future, interrupt)
        assert server.connections == 1


def test_an_interrupt_that_comes_after_the_end_touches_nobody(client: httpx2.Client) -> None:
    late = Interrupt()
    with serving(echo) as server:
        with interruptible(late):
            client.post(server.url)
        late.request()
        assert client.post(server.url, content=b"x").content == b"x"
        assert server.connections == 1


def test_interrupts_at_any_moment_hit_nobody_else() -> None:
    """Sixty threads on one client; a third of the calls are cut off at a random moment by other threads. A thread
    that was not cut off gets exactly its own answer."""

    def script(peer: Peer) -> None:
        while request := peer.request():
            peer.stream(*(request.body for _ in range(20)))

    chosen = random.Random(7)
    plans = [
        [(f"{caller}/{call};".encode(), chosen.random() < 0.35) for call in range(6)] for caller in range(60)
    ]

    def call(client: httpx2.Client, url: str, plan: list[tuple[bytes, bool]]) -> int:
        cut = 0
        for body, victim in plan:
            interrupt = Interrupt()
            cutter = threading.Timer(chosen.random() * 0.02, interrupt.request)
            if victim:
                cutter.start()
            try:
                with interruptible(interrupt):
                    assert client.post(url, content=body).content == body * 20
            except Interrupted:
                assert victim
                cut += 1
            if victim:
                cutter.join()
        return cut

    with (
        serving(script) as server,
        httpx2.Client(transport=ModelTransport(), timeout=LONG) as client,
        ThreadPoolExecutor(60) as pool,
    ):
        assert sum(pool.map(partial(call, client, server.url), plans)) > 0


def test_closing_the_client_closes_what_is_idle_and_what_comes_back() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"x")
        peer.until_gone()

    with serving(script) as server:
        client = httpx2.Client(transport=ModelTransport())
        with client.stream("POST", server.url) as response:
            client.post(server.url)
            client.close()
            server.wait_until_gone()
            assert response.read() == b"x"
        server.wait_until_gone()
        assert server.connections == 2
