"""Histories that are read one after the other lose no event that comes meanwhile."""

from __future__ import annotations

from typing import Final

from tests.console.conftest import OpenTab

TWICE: Final = """
return (async () => {
  const { HistoryReader } = await import('./console/reader.js');
  const letGo = [];
  window.fetch = () => new Promise((go) => letGo.push(() => go(new Response('{"history": []}'))));
  const seen = [];
  const talk = { apply: (event) => seen.push(event), reset: () => seen.push('read') };
  const reader = new HistoryReader('api/sessions/x', talk, { read() {}, look() {}, busy() {} });
  const turn = () => new Promise((go) => setTimeout(go));
  const first = reader.readEnd();
  while (!letGo.length) await turn();
  reader.hear('one');
  const second = reader.readEnd();
  reader.hear('two');
  letGo.shift()();
  await first;
  while (!letGo.length) await turn();
  reader.hear('three');
  letGo.shift()();
  await second;
  return seen;
})();
"""


def test_a_second_reading_keeps_the_events_of_the_first(open_tab: OpenTab) -> None:
    tab = open_tab()
    assert tab.script(TWICE) == ["read", "one", "two", "read", "three"]
