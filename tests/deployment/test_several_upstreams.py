"""Two servers on one database behind the delivered nginx configuration; one of them dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import StartBaton
from tests.deployment.conftest import Connect
from tests.harness.nginx import Nginx, find_nginx
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, Stream, text_of

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed"),
]

HELD = "[words 8][hold 4]"


@dataclass(frozen=True, slots=True)
class Pair:
    first: BatonProcess
    second: BatonProcess
    client: Client  # through nginx

    def holder_and_other(self, session: str) -> tuple[BatonProcess, BatonProcess]:
        """Which of the two has the session."""
        pid = self.client.session(session)["run"]["pid"]
        mine = pid in self.first.worker_pids()
        return (self.first, self.second) if mine else (self.second, self.first)


@pytest.fixture
def pair(start_baton: StartBaton, connect: Connect, tmp_path: Path) -> Iterator[Pair]:
    first, second = start_baton(), start_baton()
    directory = tmp_path / "nginx"
    directory.mkdir()
    with Nginx(directory, first.port, second.port) as nginx:
        yield Pair(first, second, connect(nginx.url))


def test_a_reader_whose_server_is_killed_reads_on_at_the_other_without_a_lost_or_repeated_event(
    pair: Pair, connect: Connect, model: OfflineServer
) -> None:
    session = pair.client.new_session()
    with pair.client.run(session, HELD) as run:
        run.until("agent_choice")
        holder, other = pair.holder_and_other(session)
        direct = connect(other.url)
        with direct.follow(session, since=0) as cut:
            cut.until("agent_choice")
            other.kill()
            read = ids_until_cut(cut)
        with pair.client.follow(session, since=read[-1]) as again:
            model.release()
            again.until("stream_stopped")
        run.rest()
        assert read + again.ids == run.ids == list(range(1, len(run.ids) + 1))
    assert holder.running


def test_when_the_server_that_holds_the_run_is_killed_its_reader_is_told_by_the_other(
    pair: Pair, connect: Connect, model: OfflineServer
) -> None:
    session = pair.client.new_session()
    with pair.client.run(session, HELD) as run:
        run.until("agent_choice")
        holder, _ = pair.holder_and_other(session)
        holder.kill()
        read = ids_until_cut(run)
    model.release()
    with pair.client.follow(session, since=read[-1]) as again:
        assert again.until("error")["code"] == "interrupted"
        again.until("stream_stopped")
    for word in ("one", "two", "three"):  # the dead one's turn would come
        assert text_of(pair.client.say(pair.client.new_session(), f"[say {word}]")) == word


def ids_until_cut(stream: Stream) -> list[int]:
    """The ids that a stream has given by the time its connection is gone."""
    with suppress(requests.RequestException):
        stream.rest()
    assert "stream_stopped" not in stream.types
    return stream.ids[: len(stream.events)]
