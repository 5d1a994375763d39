"""The model's client is loaded beside the server's start, and calls wait for it."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import pytest

from app.agent.model_client import ModelClient, ModelError, ModelRequest
from app.runtime.lazy_model import LazyModel, import_for_good
from app.runtime.live_run import RunCancellation
from tests.harness.models import PATIENCE, TalkativeModel, said
from tests.harness.process import eventually

REQUEST = ModelRequest(model="m", system=b"", tools=b"", messages=[], max_tokens=1)


def test_a_call_that_comes_before_the_client_is_loaded_waits_for_it() -> None:
    may_load, asked = threading.Event(), threading.Event()

    def load() -> ModelClient:
        asked.set()
        assert may_load.wait(PATIENCE)
        return TalkativeModel()

    model = LazyModel(load)
    assert asked.wait(PATIENCE)
    threading.Timer(0.0, may_load.set).start()
    assert list(model.stream(REQUEST, RunCancellation())) == said("hello")
    model.close()


def test_a_call_that_waits_for_the_client_can_be_cancelled() -> None:
    may_load = threading.Event()

    def load() -> ModelClient:
        assert may_load.wait(PATIENCE)
        return TalkativeModel()

    model, cancellation = LazyModel(load), RunCancellation()
    cancellation.cancel("somebody")
    with pytest.raises(ModelError) as caught:
        list(model.stream(REQUEST, cancellation))
    assert caught.value.kind == "cancelled"
    may_load.set()
    model.close()


def test_a_client_that_can_not_be_loaded_fails_each_call_in_words() -> None:
    def load() -> ModelClient:
        raise ImportError("no such module")

    model = LazyModel(load)
    with pytest.raises(ModelError, match="could not be loaded"):
        list(model.stream(REQUEST, RunCancellation()))
    model.close()


def test_loading_that_failed_once_is_tried_again_by_the_next_call() -> None:
    failures = [OSError(24, "Too many open files")]

    def load() -> ModelClient:
        if failures:
            raise failures.pop()
        return TalkativeModel()

    model = LazyModel(load)
    eventually(lambda: not failures and not model._loading.running, "loading has failed")
    assert list(model.stream(REQUEST, RunCancellation())) == said("hello")
    model.close()


def test_a_loader_that_could_not_start_is_started_by_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        model = LazyModel(TalkativeModel)
    assert list(model.stream(REQUEST, RunCancellation())) == said("hello")
    model.close()


def test_what_is_imported_for_good_is_not_the_collectors_business_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"imported_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text("THINGS = [[]]\n")
    monkeypatch.syspath_prepend(tmp_path)
    things = import_for_good(name).THINGS
    assert not _looks_at(things)
    assert import_for_good(name) is sys.modules.pop(name)
    assert _looks_at([[]]), "once is enough"


def _looks_at(things: object) -> bool:
    """Is it among what the collector walks through?"""
    return any(one is things for one in gc.get_objects())
