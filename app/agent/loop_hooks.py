"""An agent's hooks as steps of its loop: what each is given, what readers are told, and what comes of its answer."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.agent import model_catalogue
from app.agent.call_hooks import CallHooks
from app.agent.history import History
from app.agent.hook_answers import Hooking, HookVerdict
from app.agent.hook_steps import Firing
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import MessagesAdded, Step, Steps
from app.conversation.blocks import plain_text
from app.conversation.events import Warning
from app.conversation.hook_context import hook_context, is_hook_context, is_news
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import AppError, BudgetReached, CallsRepeated, HookStopped, RunCancelled
from app.team.agent import Agent


@dataclass(frozen=True, slots=True)
class CompactionWish:
    """What hooks want of a compaction: more words for its model, or a whole summary in its place. `about` is what
    they are told of it."""

    about: Mapping[str, Any]
    words: str = ""
    summary: str = ""


class LoopHooks(CallHooks):
    """With those around runs, turns, compactions and other agents."""

    def __init__(
        self, context: LoopContext, session: Session, agent: Agent, history: History, runner: Hooking
    ) -> None:
        super().__init__(context.cancellation, session, agent, runner)
        self._context = context
        self._history = history
        self._in_turn = bool(history.open_calls)  # of another process
        self._for_model: list[tuple[str, HookVerdict]] = []  # by point, until the next turn begins

    def _gate(self, point: str, **given: Any) -> Firing:
        """HookStopped if a hook says no, RunCancelled if it was cancelled meanwhile."""
        said = yield from self.fire(point, **given)
        if self._cancellation.is_set():
            raise RunCancelled()
        if said.blocked:
            raise HookStopped(said.reason)
        return said

    # ---- runs and turns

    def begin(self) -> Steps:
        """The run begins, perhaps with a person's message. HookStopped."""
        rows = self._history.rows
        is_new = not any(row.role == "assistant" for row in rows)
        asked = bool(rows) and rows[-1].role == "user" and not rows[-1].implicit
        prompt = plain_text(rows[-1].content) if asked else ""
        said = yield from self.fire("session_start", source="startup" if is_new else "resume")
        self._for_model.append(("session_start", said))
        if prompt:
            said = yield from self._gate("user_prompt_submit", prompt=prompt)
            self._for_model.append(("user_prompt_submit", said))

    def arrived(self, rows: Sequence[Message]) -> Steps:
        """Messages came in at a safe point. HookStopped."""
        steers = [plain_text(row.content) for row in rows if row.came_as == "steer"]
        followups = [plain_text(row.content) for row in rows if row.came_as == "followup"]
        for point, given in (
            ("user_steering_messages_submit", {"steering_messages": steers}),
            ("user_followup_submit", {"prompt": "\n".join(followups)}),
        ):
            if any(given.values()):
                self._for_model.append((point, (yield from self._gate(point, **given))))

    def begin_turn(self, model: str, iteration: int) -> Steps:
        """The model is about to be asked; it is told what hooks have said for it. HookStopped."""
        self._in_turn = True
        self._for_model.append(("turn_start", (yield from self.fire("turn_start"))))
        yield from self._tell_model()
        yield from self._gate("before_llm_call", model_id=model, iteration=iteration)

    def _tell_model(self) -> Steps:
        """Right before its turn, so that nothing comes between a call and its result. A paused turn that goes on lets
        nothing in; what is for it waits for the next one."""
        history = self._history
        last = history.rows[-1] if history.rows else None
        if history.transcript.unserved or (last is not None and last.stop_reason == "pause_turn"):
            return
        waiting, self._for_model = self._for_model, []
        for point, said in waiting:
            row = hook_context(point, said.context, position=history.next_position)
            if said.context and is_news(row, history.rows):
                history.add(row)
                yield MessagesAdded(self._session_id, [row])

    def answered(self) -> Steps:
        """The model's answer is stored."""
        if not self._runner.has("after_llm_call"):
            return
        row = self._last_answer()
        usage, priced = None, False
        if row is not None and row.usage is not None:
            usage = {
                "input_tokens": row.usage.input_tokens,
                "output_tokens": row.usage.output_tokens,
                "cached_input_tokens": row.usage.cache_read_tokens,
                "cached_write_tokens": row.usage.cache_write_tokens,
            }
            priced = model_catalogue.facts(row.model.rpartition("/")[2]).price is not None
        yield from self.fire(
            "after_llm_call",
            **self._response(row),
            model_id=_model_id(row.model) if row else "",
            usage=usage,
            **({"cost": row.cost} if row is not None and priced else {}),
        )

    def stopped(self) -> Steps:
        """The model has finished its answer."""
        yield from self.fire("stop", **self._response(self._last_answer()))

    def end_turn(self, reason: str) -> Steps:
        """Tells how it ended: `normal`, `continue`, `steered`, or by a failure."""
        if self._in_turn:
            self._in_turn = False
            yield from self.fire("turn_end", reason=reason)

    def failed(self, error: AppError) -> Steps:
        reasons: dict[type[AppError], str] = {
            HookStopped: "hook_blocked",
            CallsRepeated: "loop_detected",
            BudgetReached: "budget_exceeded",
        }
        yield from self.end_turn(reasons.get(type(error), "error"))
        yield from self._notify("error", error.message, "on_error")

    def end(self, reason: str) -> Steps:
        """The run is over, and the person's turn comes."""
        yield from self.fire("session_end", reason=reason)
        yield from self.fire("on_user_input")

    def limit_reached(self, limit: int) -> Steps:
        yield from self._notify(
            "warning", f"The run has had as many turns as it may ({limit}).", "on_max_iterations"
        )

    def resumed(self, limit: int, more: int) -> Steps:
        yield from self.fire(
            "on_session_resume", previous_max_iterations=limit, new_max_iterations=limit + more
        )

    def _notify(self, level: str, message: str, point: str) -> Steps:
        for one in ("notification", point):
            yield from self.fire(one, notification_level=level, notification_message=message)

    def _last_answer(self) -> Message | None:
        return next((row for row in reversed(self._history.rows) if row.role == "assistant"), None)

    def _response(self, row: Message | None) -> dict[str, str]:
        asked = (
            row for row in reversed(self._history.rows) if row.role == "user" and not is_hook_context(row)
        )
        last = next(asked, None)
        return {
            "stop_response": plain_text(row.content) if row else "",
            "last_user_message": plain_text(last.content) if last else "",
        }

    # ---- other agents

    def switched(self, source: Agent, target: Agent, kind: str) -> Steps:
        models = [
            {"provider": model.provider, "model": model.model}
            | ({"base_url": model.base_url} if model.base_url else {})
            for model in source.models
        ]
        yield from self.fire(
            "on_agent_switch",
            from_agent=source.name,
            to_agent=target.name,
            agent_switch_kind=kind,
            from_agent_models=models,
        )

    def task_ended(self, child: str, agent: str, response: str) -> Steps:
        yield from self.fire(
            "subagent_stop",
            session_id=child,
            parent_session_id=self._session_id,
            agent_name=agent,
            stop_response=response,
        )

    # ---- compactions

    def before_compaction(self, reason: str, window: int) -> Generator[Step, Any, CompactionWish | None]:
        """None if a hook forbids it."""
        source = {"threshold": "auto"}.get(reason, reason)
        said = yield from self.fire("pre_compact", source=source)
        if said.blocked:
            yield Warning(agent_name=self._agent.name, message=f"A hook forbids a compaction: {said.reason}")
            return None
        words = "\n".join(said.context)
        about = self._pressure(reason, window)
        said = yield from self.fire("before_compaction", **about)
        if said.blocked:
            yield Warning(agent_name=self._agent.name, message=f"A hook forbids a compaction: {said.reason}")
            return None
        return CompactionWish(about, words, said.summary)

    def after_compaction(self, wish: CompactionWish, summary: str) -> Steps:
        yield from self.fire("after_compaction", **wish.about, summary=summary)

    def _pressure(self, reason: str, window: int) -> Mapping[str, Any]:
        """How full the session was before; not read where nobody wants to know it."""
        if not any(map(self._runner.has, ("before_compaction", "after_compaction"))):
            return {}
        session = self._context.look(self._session_id)
        return {
            "input_tokens": session.input_tokens,
            "output_tokens": session.output_tokens,
            "context_limit": window,
            "compaction_reason": reason,
        }


def _model_id(model: str) -> str:
    """As `provider/model`."""
    return model if not model or "/" in model else f"anthropic/{model}"
