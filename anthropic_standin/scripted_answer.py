"""Decides what the stand-in answers, from what the user typed (the table in `anthropic_standin.directives`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import orjson

from anthropic_standin.answer import Answer, Author, NewId
from anthropic_standin.directives import (
    BreakDirective,
    CallDirective,
    Directive,
    DirectiveScript,
    FailDirective,
    PauseDirective,
    QuirkDirective,
    SayDirective,
    StopDirective,
    TempoDirective,
    ThinkDirective,
    read_script,
)
from anthropic_standin.judge import Judgement
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.roles import blocks_of
from anthropic_standin.sample import sample
from anthropic_standin.scene import Scene, read_scene

_TITLE_TOKENS = 64
_HEAD = 300  # a purpose stands at the top of a system prompt; further down the words mean less
_FAILURES = {
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the Anthropic API.",
    403: "Your API key does not have permission to use the specified resource.",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit",
    529: "Overloaded",
}


class HungUp(Exception):
    """The script wants the connection closed without an answer."""


class Attempts:
    """Counts how often a directive has had its effect, for those that pass after N times."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, key: str, times: int | None) -> bool:
        """Whether it has its effect this time too."""
        if times is None:
            return True
        self._taken[key] += 1
        return self._taken[key] <= times

    def clear(self) -> None:
        self._taken.clear()


def write_answer(body: Json, verdict: Judgement, attempts: Attempts, new_id: NewId) -> Answer:
    """The answer to a request that was judged. Raises `Refusal` or `HungUp` where the script wants that."""
    display = (body.get("thinking") or {}).get("display")
    author = Author(verdict.prefix, new_id, shows_thinking=display != "omitted")
    scene = read_scene(body["messages"])
    script = read_script(scene.words)
    if body["max_tokens"] == 0:
        return Answer((), "max_tokens")
    if errand := _errand(body, scene, script):
        author.say(errand)
        return Answer(tuple(author.pieces), "end_turn")
    here = script.rounds[scene.round] if scene.round < len(script.rounds) else ()
    part = _part(here, len(scene.searches))
    broken = None if _is_calm(script) else _break_or_fail(part, scene, attempts)
    performed = _perform(part, body, verdict, scene, script, author)
    return replace(performed, tempo=_tempo(script, scene.round), broken=broken)


def _perform(
    part: tuple[Directive, ...],
    body: Json,
    verdict: Judgement,
    scene: Scene,
    script: DirectiveScript,
    author: Author,
) -> Answer:
    quirks = frozenset(directive.name for directive in part if isinstance(directive, QuirkDirective))
    stop = next((directive for directive in part if isinstance(directive, StopDirective)), None)
    drafts = list(_drafts(part, body, verdict, begins=scene.round == 0))
    if scene.searches:
        author.found(scene.searches[-1])
    silent = "empty" in quirks or (stop is not None and stop.reason == "refusal")
    if (
        not silent
        and not any(isinstance(draft, SayDirective | CallDirective) for draft in drafts)
        and "blank" not in quirks
    ):
        drafts.append(SayDirective(_default_words(scene)))
    if wanted := (body.get("output_config") or {}).get("format"):
        drafts = _in_form(drafts, wanted["schema"])
    for draft in drafts[:-1]:
        _write(draft, author, scene, quirks)
    if drafts:
        _write_last(drafts[-1], author, scene, quirks, stop.cuts if stop else "")
    if "blank" in quirks:
        author.say("\n\n")
    if any(isinstance(directive, PauseDirective) for directive in part):
        author.search(script.words or "news")
        return Answer(tuple(author.pieces), "pause_turn", quirks=quirks)
    calls = any(isinstance(draft, CallDirective) for draft in drafts)
    reason = stop.reason if stop else "tool_use" if calls else "end_turn"
    return Answer(tuple(author.pieces), reason, quirks=quirks)


def _in_form(
    drafts: list[SayDirective | ThinkDirective | CallDirective], schema: Json
) -> list[SayDirective | ThinkDirective | CallDirective]:
    """The text as JSON of the form that was asked for, unless it is JSON already."""
    if any(isinstance(draft, CallDirective) for draft in drafts):
        return drafts
    words = " ".join(draft.text for draft in drafts if isinstance(draft, SayDirective))
    formed = words if _is_json(words) else orjson.dumps(sample(schema, words)).decode()
    return [*(draft for draft in drafts if isinstance(draft, ThinkDirective)), SayDirective(formed)]


def _is_json(words: str) -> bool:
    try:
        orjson.loads(words)
    except orjson.JSONDecodeError:
        return False
    return True


def _drafts(
    part: Iterable[Directive], body: Json, verdict: Judgement, *, begins: bool
) -> Iterator[SayDirective | ThinkDirective | CallDirective]:
    """The parts of the answer, without what this request does not allow."""
    choice = body.get("tool_choice") or {}
    may_call = bool(body.get("tools")) and choice.get("type") != "none"
    single = bool(choice.get("disable_parallel_tool_use"))
    wanted = [draft for draft in part if isinstance(draft, SayDirective | ThinkDirective | CallDirective)]
    calls = (
        [draft for draft in wanted if isinstance(draft, CallDirective)][: 1 if single else None]
        if may_call
        else []
    )
    # manual thinking obliges a turn with tools to begin with thinking
    if (
        begins
        and calls
        and verdict.model.manual(body.get("thinking"))
        and not isinstance(wanted[0], ThinkDirective)
    ):
        yield ThinkDirective("I need a tool for this.")
    for draft in wanted:
        match draft:
            case ThinkDirective():
                if verdict.thinks:
                    yield draft
            case CallDirective():
                if draft in calls:
                    yield draft
            case SayDirective():
                yield draft


def _write(
    draft: SayDirective | ThinkDirective | CallDirective, author: Author, scene: Scene, quirks: frozenset[str]
) -> None:
    match draft:
        case SayDirective(text):
            author.say(text)
        case ThinkDirective(redacted=True):
            author.think_redacted()
        case ThinkDirective(text):
            author.think(text)
        case CallDirective(name, arguments):
            author.call(name, arguments, _call_id(scene, quirks, author))


def _write_last(
    draft: SayDirective | ThinkDirective | CallDirective,
    author: Author,
    scene: Scene,
    quirks: frozenset[str],
    cuts: str,
) -> None:
    match draft:
        case CallDirective(name, arguments) if cuts == "input":
            author.call_cut(name, arguments)
        case SayDirective(text) if cuts == "text":
            author.say(text[: max(1, len(text) * 2 // 3)].rstrip() or text)
        case _:
            _write(draft, author, scene, quirks)


def _call_id(scene: Scene, quirks: frozenset[str], author: Author) -> str | None:
    """An id that a sound model would never give, if the script wants one."""
    if "empty-id" in quirks:
        return ""
    mine = [piece.block["id"] for piece in author.pieces if piece.block["type"] == "tool_use"]
    used = [*scene.call_ids, *mine]
    return used[0] if "same-ids" in quirks and used else None


def _part(here: tuple[Directive, ...], pauses: int) -> tuple[Directive, ...]:
    """The directives up to and with the next pause, after those that have passed."""
    ends = [index + 1 for index, directive in enumerate(here) if isinstance(directive, PauseDirective)]
    bounds = [0, *ends, len(here)]
    if pauses + 1 >= len(bounds):
        return ()
    return here[bounds[pauses] : bounds[pauses + 1]]


def _tempo(script: DirectiveScript, current: int) -> TempoDirective:
    """The last pace and stamp given so far; a delay only in its own round."""
    tempo = TempoDirective()
    for index, directives in enumerate(script.rounds[: current + 1]):
        for directive in directives:
            if isinstance(directive, TempoDirective):
                tempo = TempoDirective(
                    pace=directive.pace or tempo.pace,
                    delay=directive.delay or tempo.delay if index == current else 0.0,
                    stamp=directive.stamp or tempo.stamp,
                )
    return replace(tempo, delay=tempo.delay if current < len(script.rounds) else 0.0)


def _is_calm(script: DirectiveScript) -> bool:
    return any(QuirkDirective("calm") in directives for directives in script.rounds)


def _break_or_fail(part: tuple[Directive, ...], scene: Scene, attempts: Attempts) -> BreakDirective | None:
    broken = None
    for index, directive in enumerate(part):
        key = f"{scene.key} {scene.round} {len(scene.searches)} {index}"
        match directive:
            case FailDirective(times=times) if attempts.take(key, times):
                raise _failure(directive)
            case BreakDirective(times=times) if broken is None and attempts.take(key, times):
                broken = directive
            case _:
                pass
    return broken


def _failure(fail: FailDirective) -> Exception:
    if fail.status is None:
        return HungUp()
    return Refusal(
        _FAILURES.get(fail.status, "Internal server error"),
        status=fail.status,
        blames_caller=False,
        retry_after=fail.retry_after,
    )


def _default_words(scene: Scene) -> str:
    if scene.results:
        return f"The tool said: {'; '.join(_clip(result, 120) or '(nothing)' for result in scene.results)}"
    if scene.searches:
        return "The search found a page."
    words = _clip(read_script(scene.last_words).words, 400)
    return f"You said: {words}" if words else "Done."


def _errand(body: Json, scene: Scene, script: DirectiveScript) -> str:
    """The words for a side job (a title, a summary), which takes no directives; none for a conversation."""
    if body.get("tools") and (body.get("tool_choice") or {}).get("type") != "none":
        return ""
    purpose = " ".join(block["text"] for block in blocks_of({"content": body.get("system") or []}))
    purpose = purpose[:_HEAD].lower()
    if "title" in purpose and body["max_tokens"] <= _TITLE_TOKENS and not body.get("tools"):
        return _title(script)
    asks = "" if any(script.rounds) else scene.last_words[:_HEAD].lower()
    if "summar" in purpose or "summarize" in asks or "summarise" in asks:
        return _summary(body["messages"])
    return ""


def _title(script: DirectiveScript) -> str:
    said = [
        draft.text for directives in script.rounds for draft in directives if isinstance(draft, SayDirective)
    ]
    lines = script.words.splitlines() or [" ".join(said)]
    # the words may come inside an instruction, and then they stand at its end, maybe in a list
    words = re.sub(r"^(\d+[.)]|[-*])\s+", "", lines[-1]).split()
    return " ".join(words[:6]).strip(" .,;:!?\"'") or "A conversation"


def _summary(messages: list[Json]) -> str:
    """Without brackets: a summary becomes a user's text later, and must not be obeyed then."""
    texts = [
        block["text"]
        for message in messages
        if message["role"] == "user"
        for block in blocks_of(message)
        if block["type"] == "text"
    ]
    gist = "; ".join(_clip(text, 80) for text in texts[-8:])
    return f"Summary: {gist}".replace("[", "(").replace("]", ")")


def _clip(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest].rstrip()}…"
