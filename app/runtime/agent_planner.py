"""Settles what a run will be before anything is written, and puts its loop together on its own thread."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from app.agent.answer_cache import AnswerCache
from app.agent.auto_decline import unattended
from app.agent.fallback import Cooldowns
from app.agent.hook_runner import HookRunner
from app.agent.loop import AgentLoop
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import Steps
from app.agent.model_client import Cancellation, ModelClient
from app.agent.redaction import redacted
from app.agent.resumption import Resumption
from app.agent.run_budgets import RunBudgets
from app.agent.tool_threads import ToolThreads
from app.agent.toolbox import Toolbox
from app.agent.tools import registry
from app.agent.tools.background_agents import BackgroundWork, NoWork
from app.agent.tools.cage import Cage
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.tools.model_picker import chosen
from app.agent.tools.run_facts import RunFacts
from app.agent.tools.working_copies import NO_COPIES, WorkingCopies
from app.conversation.blocks import plain_text
from app.conversation.frozen_prompt import FrozenPrompt, Surroundings
from app.conversation.run import COMPACTION, RETRIES, ToolCall
from app.conversation.safety import SafetyPolicy
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import InvalidAgentConfig, InvalidRequest, MissingEnvironment, UnpricedModel
from app.roots import Ground, Roots
from app.runtime.background_runs import BackgroundRuns, TaskParent
from app.runtime.earlier_sessions import OwnersSessions
from app.runtime.environment_info import surroundings
from app.runtime.event_translator import EventTranslator
from app.runtime.live_run import LiveRun
from app.runtime.model_overrides import asked, asked_for, unserved
from app.runtime.patience import Patience
from app.runtime.pricing import Pricing
from app.runtime.run_clock import shortest
from app.runtime.run_notices import uncounted, without_effect
from app.runtime.run_plan import Plan
from app.runtime.thinking_levels import at_level, chosen_level, specs_at
from app.runtime.titles import Titles
from app.runtime.toolboxes import Toolboxes
from app.store.background_store import OPTION
from app.store.store import Store
from app.team.agent import Agent
from app.team.model_definition import ModelSpec
from app.team.team import Team, Teams

FindCopies = Callable[[str, Session, Ground, Patience], WorkingCopies]
"""Finds, by the key of a team, what a session's directory holds of things that are kept elsewhere."""


class AgentPlanner:
    """`client` is None when no key is set: every plan is refused then, in words that say which variable."""

    def __init__(
        self,
        directory: Teams,
        client: ModelClient | None,
        store: Store,
        *,
        environment: Mapping[str, str],
        roots: Roots,
        titles: Titles | None = None,
        servers: ToolServers | None = None,
        deny_wins: bool = True,
        pricing: Pricing | None = None,
        run_seconds: float = 0.0,
        cage: Cage | None = None,
        translators: Callable[[str], Callable[[], EventTranslator] | None] = lambda _key: None,
        copies: FindCopies = lambda _key, _session, _ground, _patience: NO_COPIES,
    ) -> None:
        """`translators` finds, by the key of a team, what makes the translator of each of its runs.

        Without `titles` sessions get none by themselves; without `servers` agents have no tool servers; without a
        `cage` commands can do what the server can. `run_seconds` is how long any run may be at work; 0: as long as it
        takes."""
        self._deny_wins = deny_wins
        self._pricing = pricing or Pricing(store.quotas)
        self._run_seconds = run_seconds
        self._background: BackgroundRuns | None = None
        self._cage = cage
        self._translators = translators
        self._copies = copies
        self.toolboxes = Toolboxes(environment, servers=servers, cage=cage)
        self._titles = titles
        self._tool_threads = ToolThreads()
        self._cooldowns = Cooldowns()
        self._answers = AnswerCache()
        self._directory = directory
        self._client = client
        self._store = store
        self._environment = environment
        self._roots = roots

    def plan(self, key: str, name: str | None) -> Plan:
        team = self._directory.get(key)
        agent = team.agent(name)
        client = self._client_for(agent)

        def loop(
            live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
        ) -> Steps:
            ground = self._roots.of(session.owner)
            here = session if session.working_dir else _placed(session, ground.roots[0])
            copies = self._copies(key, here, ground, live.patience)
            ground = replace(ground, read_only=copies.read_only)
            root = session.parent_id or session.id
            context = self._context(team, client, live, ground, copies, root=root)
            first = agent if name is not None else _holder(team, session, agent)
            options = live.run.options
            if context.attended:
                attended = AgentLoop(
                    context, here, first, rows, resumption=resumption, retries=RETRIES in options
                )
                return attended.compact(options[COMPACTION]) if COMPACTION in options else attended.run()
            return unattended(AgentLoop(context, here, first, rows, depth=1).run())

        def begin_title(live: LiveRun, messages: Sequence[Message]) -> None:
            texts = [text for message in messages if (text := plain_text(message.content)).strip()]
            if agent.redacts_prompts:
                texts = [redacted(text) for text in texts]
            if texts and self._titles is not None:
                first = agent.models[0]
                own = team.models(first.title_model) if first.title_model else ()
                self._titles.begin(live, client, [*own, first, *agent.fallback_models], texts)

        seconds = shortest(self._run_seconds, agent.max_run_seconds)
        thinks = {
            f"{team.key}/{one.name}": (one.starts_thinking, self._policy(team, one)) for one in team.agents
        }
        return Plan(
            f"{team.key}/{agent.name}",
            loop,
            begin_title,
            seconds,
            agent.starts_thinking,
            self._policy(team, agent),
            thinks if name is None else {},
            self._translators(key),
        )

    def _policy(self, team: Team, agent: Agent) -> SafetyPolicy:
        return agent.safety or team.file.runtime.safety

    def _client_for(self, agent: Agent) -> ModelClient:
        missing = [] if self._client is not None else ["ANTHROPIC_API_KEY"]
        if missing or self._client is None:
            listed = "\n".join(f" - {variable}" for variable in missing)
            raise MissingEnvironment(f"The following environment variables must be set:\n{listed}")
        foreign = [
            model.id for model in (*agent.models, *agent.fallback_models) if model.provider != "anthropic"
        ]
        if foreign:
            raise InvalidAgentConfig(
                f"agent {agent.name} uses {foreign[0]}; only Anthropic's models are served"
            )
        return self._client

    def offer(self, background: BackgroundRuns) -> None:
        """Agents can give tasks away into the background from now on."""
        self._background = background

    def _context(
        self,
        team: Team,
        client: ModelClient,
        live: LiveRun,
        ground: Ground,
        copies: WorkingCopies,
        *,
        root: str,
    ) -> LoopContext:
        """`root` is the conversation that the run belongs to, and whose budget counts."""
        look = live.patience.around(self._store.sessions.get)
        return LoopContext(
            team=team,
            client=client,
            cancellation=live.cancellation,
            new_id=lambda: str(uuid.uuid4()),
            look=look,
            find_prompt=partial(self._find_prompt, live),
            find_summary=live.patience.around(self._store.journal.summary),
            publish=live.publish,
            cooldowns=self._cooldowns,
            surroundings=partial(surroundings, ground),
            equip=partial(self._equip, team, live, ground, copies, {}),
            hook=partial(self._hook, live.cancellation, ground),
            read=live.patience.around(self._read),
            may_delegate=lambda: not look(root).choices.without_tasks,
            check_budget=partial(self._check_budget, live, root),
            check_price=partial(live.patience.around(self._pricing.check), root),
            answers=self._answers,
            find_outcome=lambda _session: None if live.translator is None else live.translator.outcome(),
            budgets=RunBudgets(team.file.budget, team.file.budgets, lambda: live.clock.worked),
            prefer=partial(self._prefer, team, live),
            as_chosen=partial(asked, team),
            threads=live.patience.around(self._store.threads.of),
            is_interrupted=partial(_is_interrupted, live),
            session_bytes=self._store.quotas.limits.session_bytes,
            tell_full=self._store.full.tell,
            deny_wins=self._deny_wins,
            thinks=partial(self._thinks, live),
            attended=not live.run.options.get(OPTION),
            kept=live.history,
            ground=ground,
            tool_threads=self._tool_threads,
        )

    def _find_prompt(
        self, live: LiveRun, session_id: str, agent: str, definitions: Sequence[str]
    ) -> FrozenPrompt | None:
        if live.known.has_no_prompt(session_id, agent):
            return None
        known = live.known.prompt(session_id, agent, definitions)
        return known or live.patience(self._store.reads.prompt, session_id, agent, definitions)

    def _check_budget(self, live: LiveRun, root: str) -> None:
        live.patience(self._store.quotas.check_budget, root, known=live.known.session(root, "budget"))

    def _thinks(self, live: LiveRun, session_id: str) -> bool:
        known = live.known.session(session_id, "thinking")
        return (known or live.patience(self._store.sessions.get, session_id)).thinking

    def _read(self, session_id: str) -> tuple[Session, Sequence[Message], Mapping[str, ToolCall]]:
        session, rows = self._store.sessions.get_with_messages(session_id)
        return session, rows, self._store.journal.ledger(session_id)

    def _may_delegate(self, live: LiveRun, session: Session) -> bool:
        """As it was for the conversation when the run, or its task, began."""
        root, above = session, session.parent_id
        if above is not None:
            root = live.patience(self._store.sessions.get, above)
        return not root.choices.without_tasks

    def _prefer(self, team: Team, live: LiveRun, session: Session, agent: Agent) -> Agent:
        """With the model that the session's maker or a later request has chosen, or that the agent has chosen since; at
        the level that was chosen for it. Without colleagues to give tasks to, if its conversation gives none away."""
        if not self._may_delegate(live, session):
            agent = agent.with_(sub_agents=(), roster=())
        own, under = asked(team, session, agent), asked_for(team, session, agent)
        pickers = [
            registry.key(spec, index, agent.name)
            for index, spec in enumerate(agent.toolsets)
            if spec.type == "model_picker"
        ]
        states = live.patience(self._store.sessions.tool_states, session.id) if pickers else {}
        name = next((name for key in pickers if (name := chosen(states.get(key), under=under))), "")
        try:
            picked = own.with_(models=team.models(name)) if name else own
        except InvalidRequest:
            return own  # the agent's file has changed since
        return at_level(picked, chosen_level(team, session, agent))

    def _hook(self, cancellation: Cancellation, ground: Ground, session: Session, agent: Agent) -> HookRunner:
        def read(names: Sequence[str]) -> Surroundings:
            return surroundings(ground, session, agent.with_(add_prompt_files=tuple(names)))

        return HookRunner(
            agent.hooks,
            session_id=session.id,
            working_dir=Path(session.working_dir),
            environment=self._environment,
            cancellation=cancellation,
            cage=self._cage,
            read=read,
            ground=ground,
        )

    def _equip(
        self,
        team: Team,
        live: LiveRun,
        ground: Ground,
        copies: WorkingCopies,
        shared: dict[str, Any],
        session: Session,
        agent: Agent,
    ) -> Toolbox:
        facts = RunFacts(
            team=team.key,
            file=team.source,
            owner=session.owner,
            working_dir=Path(session.working_dir),
            ground=ground,
            headers=live.headers,
            cancellation=live.cancellation,
            shared=shared,
            colleagues=agent.sub_agents,
            work=self._work(team, live, session),
            delegates=self._may_delegate(live, session),
            models=partial(self._priced_models, team, session, agent),
            sessions=OwnersSessions(self._store, session, live.patience),
            model=asked_for(team, session, agent),
            copies=copies,
        )
        states = live.known.states(session.id)
        if states is None:
            states = live.patience(self._store.sessions.tool_states, session.id) if agent.toolsets else {}
        notices = [
            *without_effect(agent),
            *unserved(team, session, agent),
            *self._unpriced(session, agent),
            *uncounted(team, agent),
        ]
        return self.toolboxes.toolbox(agent, states, facts, notices)

    def _work(self, team: Team, live: LiveRun, session: Session) -> BackgroundWork:
        if self._background is None:
            return NoWork()
        return self._background.work_for(TaskParent(live.baton, live.headers, session, team.key, live.clock))

    def _priced_models(
        self, team: Team, session: Session, agent: Agent, reference: str
    ) -> tuple[ModelSpec, ...]:
        """At the agent's thinking level. InvalidRequest for a model that the session's budget could not count."""
        found = team.models(reference)
        for model in found:
            try:
                if model.cost is None:
                    self._pricing.check(session.parent_id or session.id, model.model)
            except UnpricedModel as error:
                raise InvalidRequest(error.message) from None
        return specs_at(found, chosen_level(team, session, agent))

    def _unpriced(self, session: Session, agent: Agent) -> list[str]:
        """A budget that can't be kept is not kept in silence."""
        if not self._pricing.allowed:
            return []
        root = session.parent_id or session.id
        models = (*agent.models, *agent.fallback_models)
        unknown = [
            model.id for model in models if model.cost is None and self._pricing.escapes(root, model.model)
        ]
        if not unknown:
            return []
        return [f"The price of {unknown[0]} is not known: what it costs does not count towards the budget."]


def _is_interrupted(live: LiveRun, session_id: str) -> bool:
    """Has a client of another door interrupted this thread of the run?"""
    return live.translator is not None and live.patience(live.translator.is_interrupted, session_id)


def _placed(session: Session, working_dir: Path) -> Session:
    return replace(session, working_dir=str(working_dir))


def _holder(team: Team, session: Session, default: Agent) -> Agent:
    """The agent that a hand-off gave the session to, if it is still one of this team."""
    name = session.holder(team.key)
    return next((agent for agent in team.agents if agent.name == name), default)
