"""Puts the parts together: the one module that knows every concrete class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from flask import Flask

from app.agent.model_client import ModelClient
from app.agent.tools.mcp.tool_servers import ToolServers
from app.managed.agent_catalogue import AgentCatalogue
from app.managed.agents import AgentCalls
from app.managed.directories import SWEEP_SECONDS, Directories
from app.managed.door import ManagedDoor
from app.managed.environments import EnvironmentCalls
from app.managed.events import EventCalls
from app.managed.files.calls import FileCalls
from app.managed.files.mounts import Mounts
from app.managed.files.resources import ResourceCalls
from app.managed.files.session_files import SessionFiles
from app.managed.memory.memory_calls import MemoryCalls, MemoryStoreCalls, MemoryVersionCalls
from app.managed.memory.mounted_memory import MemoryMounter
from app.managed.new_sessions import NewSessions
from app.managed.resuming import RESUME_SECONDS, Resuming
from app.managed.run_answers import STRANDED_SECONDS, RunAnswers
from app.managed.served_tools import ServedTools
from app.managed.sessions import SessionCalls
from app.managed.sessions_elsewhere import SessionsElsewhere
from app.managed.skills.session_skills import SessionSkills
from app.managed.skills.skills import SkillCalls
from app.managed.stream_poller import StreamPoller
from app.managed.teams import EveryTeam
from app.managed.threads import ThreadCalls
from app.managed.translators import Translators
from app.managed.vaults.credential_calls import CredentialCalls
from app.managed.vaults.secret_box import SecretBox
from app.managed.vaults.server_tokens import ServerTokens
from app.managed.vaults.validation import CredentialCheck
from app.managed.vaults.vault_calls import VaultCalls
from app.managed.work import SETTLE_SECONDS, WorkCalls, WorkEnds
from app.managed.worker_access import WorkerAccess
from app.runtime.agent_planner import AgentPlanner
from app.runtime.agent_prompts import AgentPrompts
from app.runtime.agent_tools import AgentTools
from app.runtime.background_runs import BackgroundRuns
from app.runtime.braked_model import BrakedModel, Brakes
from app.runtime.changed_arguments import ChangedArguments
from app.runtime.contexts import Contexts
from app.runtime.conversation_editor import ConversationEditor
from app.runtime.gauges import Gauges
from app.runtime.lazy_model import LazyModel, load_anthropic
from app.runtime.measured_model import MeasuredModel
from app.runtime.pricing import Pricing
from app.runtime.process_identity import probe, this_process
from app.runtime.run_control import RunControl
from app.runtime.run_timeline import Timelines
from app.runtime.runtime import Runtime
from app.runtime.search_filler import SearchFiller
from app.runtime.sent_requests import SentRequests
from app.runtime.session_agents import SessionAgents
from app.runtime.session_trees import SessionTrees
from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.reader_factory import ReaderFactory
from app.runtime.streams.stream_slots import Slots
from app.runtime.streams.stream_writer import StreamWriter
from app.runtime.titles import Titles
from app.runtime.turn_control import TurnControl
from app.runtime.webhooks import Webhooks
from app.selfcheck.cage_check import cage_of
from app.selfcheck.own_files import roots_of
from app.settings import Settings
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.quotas import Limits
from app.store.store import Store
from app.team.team_directory import TeamDirectory
from app.telemetry.telemetry import Telemetry, load_tracing
from app.web import metrics_route
from app.web.access import Access
from app.web.agent_info import AgentInfoResource
from app.web.agent_introduction import AgentIntroductionResource
from app.web.agents import AgentResource
from app.web.application import make_application
from app.web.audit_trail import AuditResource
from app.web.batches import BatchResource
from app.web.caller_route import CallerResource
from app.web.console import ConsoleResource
from app.web.delegation_policy import DelegationResource
from app.web.effective_permissions import EffectivePermissionsResource
from app.web.first_use import on_first_use
from app.web.health import HealthResource
from app.web.long_poll import LongPoll
from app.web.message_limits import MessageLimitsResource
from app.web.messages import MessageResource
from app.web.models import ModelsResource
from app.web.owners import OwnerResource
from app.web.queue import QueueResource
from app.web.rate_limit import RateLimit
from app.web.reference import ReferenceResource
from app.web.run_request import RunRequestResource
from app.web.run_start import RunStartResource
from app.web.run_timeline import RunTimelineResource
from app.web.runs import RunResource
from app.web.session_branches import SessionBranchResource
from app.web.session_context import SessionContextResource
from app.web.session_history import SessionHistoryResource
from app.web.session_models import SessionModelsResource
from app.web.session_prompts import SessionPromptsResource
from app.web.session_question import SessionQuestionResource
from app.web.session_reads import SessionReadsResource
from app.web.session_recovery import SessionRecoveryResource
from app.web.session_search import SessionSearchResource
from app.web.session_settings import SessionSettingsResource
from app.web.session_todos import SessionTodosResource
from app.web.session_tools import SessionToolsResource
from app.web.session_tree import SessionTreeResource
from app.web.sessions import SessionResource
from app.web.sse import Streams
from app.web.stream_body import HEARTBEAT_SECONDS, PING
from app.web.thinking_level import ThinkingLevelResource
from app.web.token_book import TokenBook
from app.web.turns import TurnResource
from app.web.wire_generation import Generation, set_generation


@dataclass(frozen=True, slots=True)
class Server:
    """The parts that outlive a request. `close` ends them in order."""

    settings: Settings
    app: Flask
    runtime: Runtime
    control: RunControl
    store: Store
    titles: Titles
    model: LazyModel | None
    telemetry: Telemetry
    gauges: Gauges
    tool_servers: ToolServers
    webhooks: Webhooks | None

    def close(self, *, drain_seconds: float = 0.0) -> None:
        self.runtime.supervisor.drain(drain_seconds)
        self.titles.stop()
        if self.webhooks is not None:
            self.webhooks.stop()
        self.tool_servers.close()
        if self.model is not None:
            self.model.close()
        self.store.database.close()
        self.telemetry.tracing.close()


def _client(settings: Settings, model: ModelClient, store: Store, telemetry: Telemetry) -> ModelClient:
    """The model client of the agents. A call that is held back is not measured meanwhile."""
    measured = MeasuredModel(model, telemetry)
    brakes = Brakes(store.brakes)
    return BrakedModel(measured, brakes, api_key=settings.api_key, base_url=settings.api_base_url)


def _webhooks(settings: Settings, store: Store, telemetry: Telemetry) -> Webhooks | None:
    """At work, if an endpoint is configured."""
    if not settings.webhook_url:
        return None
    told: Any = import_module("app.managed.webhooks")  # it takes a while, and few servers have an endpoint
    endpoint = told.Endpoint(
        settings.webhook_url, settings.webhook_secret, allow_private=settings.webhook_private
    )
    webhooks = Webhooks(store.deliveries, settings.webhook_url, endpoint.send, telemetry.metrics)
    webhooks.ensure_running()
    return webhooks


def _access(settings: Settings, store: Store) -> Access:
    return Access(
        TokenBook(settings.auth_tokens, settings.tokens_file),
        store,
        hosts=frozenset(settings.allowed_hosts),
        port=settings.port,
        requests=Slots(settings.all_threads, share=settings.share_of_a_name, what="requests"),
        rate=RateLimit(store.quotas, settings.requests_per_minute),
        audited=settings.audit_days > 0,
    )


def build(settings: Settings, *, telemetry: Telemetry | None = None) -> Server:
    """Call it after the fork: connections and threads begin here."""
    telemetry = telemetry or Telemetry(tracing=load_tracing(wanted=settings.traces))
    database = Database(
        settings.database_url,
        lease_seconds=settings.lease_seconds,
        observe=telemetry.metrics.transaction,
    )
    migrate(database)
    limits = Limits(
        settings.runs_per_token,
        settings.session_bytes,
        settings.session_budget,
        settings.token_budget,
        settings.memory_bytes,
        settings.objects_per_token,
    )
    owner = this_process()
    store = Store(
        database,
        lease_seconds=settings.lease_seconds,
        probe=partial(probe, seen_from=owner),
        limits=limits,
        audit_days=settings.audit_days,
        search=settings.search,
        file_bytes_per_name=settings.max_file_bytes_per_name,
    )
    directory = TeamDirectory(settings.agents, settings.environment, instead=settings.stand_in_agents)
    teams = EveryTeam(
        directory,
        store.managed,
        private_servers=settings.lets_servers_be_private,
        searches=settings.web_search,
    )
    writer = StreamWriter(heartbeat=PING, heartbeat_seconds=HEARTBEAT_SECONDS)
    load = partial(load_anthropic, settings.api_key, settings.api_base_url, reading=writer.batch)
    model = LazyModel(load, at_once=False) if settings.api_key else None
    titles = Titles(store.sessions, telemetry.tracing)
    box = SecretBox(settings.vault_keys)
    public_only = not settings.lets_servers_be_private
    tokens = ServerTokens(store.credentials, box, public_only=public_only)
    tool_servers = ToolServers(vaults=tokens)
    roots = roots_of(settings)
    session_files = SessionFiles(
        store, roots, box, most_bytes=settings.max_file_bytes, environment=settings.environment
    )
    mounts = Mounts(store.files, box)
    pricing = Pricing(store.quotas, allowed=settings.unpriced_models == "allow")
    planner = AgentPlanner(
        teams,
        _client(settings, model, store, telemetry) if model is not None else None,
        store,
        environment=settings.environment,
        roots=roots,
        titles=titles if settings.titles else None,
        deny_wins=settings.deny_wins,
        pricing=pricing,
        servers=tool_servers,
        run_seconds=settings.run_seconds,
        cage=cage_of(settings),
        translators=Translators(store, session_files, SessionSkills(store.skills, roots)).of,
        copies=MemoryMounter(store).of,
    )
    runtime = Runtime(
        store,
        planner,
        max_streams=settings.max_streams,
        share=settings.share_of_a_name,
        heartbeat_seconds=settings.heartbeat_seconds,
        history_bytes=settings.history_bytes,
        owner=owner,
        telemetry=telemetry,
    )
    control = RunControl(
        store,
        planner,
        runtime.runs,
        runtime.manager,
        runtime.claims,
        runtime.locks,
        runtime.logs,
        runtime.periodic_tasks,
        approval_seconds=settings.approval_seconds,
        share=settings.share_of_a_name,
        forget=runtime.kept.forget,
    )
    planner.offer(BackgroundRuns(store, planner, runtime.claims, runtime.manager, control.cancel))
    readers = ReaderFactory(store, runtime.runs, runtime.logs, runtime.services)
    gauges = Gauges(
        store,
        runtime.slots,
        control,
        telemetry.metrics,
        runtime.periodic_tasks,
        threads_limit=settings.all_threads,
    )
    SearchFiller(store, runtime.periodic_tasks)
    runtime.supervisor.recover()
    run_answers = RunAnswers(store, control)
    runtime.periodic_tasks.every(STRANDED_SECONDS, run_answers.give_stranded)
    resuming = Resuming(store, runtime.manager)
    runtime.periodic_tasks.every(RESUME_SECONDS, resuming.resume_stranded)
    work_ends = WorkEnds(store, run_answers)
    runtime.periodic_tasks.every(SETTLE_SECONDS, work_ends.settle_in_turn)
    poller = StreamPoller(store.told, runtime.periodic_tasks)
    directories = Directories(store, roots, host=owner.host)
    runtime.periodic_tasks.every(SWEEP_SECONDS, directories.sweep)
    disconnects = DisconnectWatcher()
    waits = LongPoll(runtime.runs, runtime.slots, disconnects)
    streams = Streams(disconnects, runtime.slots, writer)
    editor = ConversationEditor(store, runtime.manager)
    agents = SessionAgents(store, teams)
    agent_tools = AgentTools(store, teams, planner.toolboxes, roots)
    catalogue = AgentCatalogue(store.agents, directory)
    served = ServedTools(
        settings.lets_tools_run_unasked, caged=settings.sandbox != "off", searches=settings.web_search
    )
    app = make_application(
        [
            HealthResource(
                store, runtime.runs, waits, lambda: tool_servers.failing, lambda: not directory.is_default
            ),
            metrics_route.MetricsResource(telemetry, gauges.measure, runtime.services),
            ConsoleResource(),
            AgentResource(directory, agent_tools.count),
            AgentIntroductionResource(store, directory),
            SessionReadsResource(store, readers, waits),
            SessionSearchResource(store, runtime.services),
            ModelsResource(directory),
            SessionModelsResource(store, agents, pricing),
            ThinkingLevelResource(store, agents),
            SessionBranchResource(store, agents, editor),
            DelegationResource(store, control),
            EffectivePermissionsResource(agents),
            AgentInfoResource(store, agents),
            SessionToolsResource(store, agents, agent_tools, editor),
            SessionTreeResource(SessionTrees(store, teams)),
            SessionHistoryResource(store),
            SessionContextResource(agents, Contexts(store, roots)),
            SessionTodosResource(store, agents, editor),
            SessionPromptsResource(agents, AgentPrompts(planner.toolboxes, roots)),
            SessionQuestionResource(store),
            SessionRecoveryResource(store),
            SessionResource(store, control, roots=roots),
            SessionSettingsResource(store),
            BatchResource(store, control),
            RunResource(store, control, ChangedArguments(store, teams, deny_wins=settings.deny_wins)),
            RunStartResource(
                store,
                planner,
                runtime.runs,
                runtime.manager,
                control,
                readers,
                disconnects,
                streams,
                pricing,
                on_disconnect=settings.on_disconnect,
                key_for=SessionsElsewhere(store, teams, catalogue).key_for,
            ),
            RunTimelineResource(store, Timelines(store)),
            RunRequestResource(store, SentRequests(store, teams)),
            TurnResource(store, control, TurnControl(store, runtime.manager, control), waits),
            QueueResource(store, control),
            MessageResource(store, editor),
            MessageLimitsResource(max_body_bytes=settings.max_body_bytes),
            AuditResource(store.audit),
            OwnerResource(store, control, roots, directories.remove),
            CallerResource(store.quotas, stand_in=settings.stand_in),
            ReferenceResource(secured=settings.asks_for_tokens),
            AgentCalls(catalogue, store.skills, served),
            SkillCalls(store.skills, WorkerAccess(store.managed)),
            EnvironmentCalls(store.environments, caged=settings.sandbox != "off"),
            SessionCalls(
                store,
                control,
                runtime.manager,
                directories,
                served,
                NewSessions(store, directories, served, mounts, catalogue),
                resuming,
            ),
            VaultCalls(store.vaults),
            CredentialCalls(store.credentials, box, CredentialCheck(tokens, public_only=public_only)),
            managed_events := EventCalls(
                store, control, runtime.manager, readers, poller, streams, run_answers
            ),
            ThreadCalls(store, managed_events, run_answers),
            ResourceCalls(store, mounts, session_files),
            FileCalls(store.files, most_bytes=settings.max_file_bytes),
            MemoryStoreCalls(store),
            MemoryCalls(store),
            MemoryVersionCalls(store),
            WorkCalls(store, work_ends, waits),
        ],
        _access(settings, store),
        max_body_bytes=settings.max_body_bytes,
        doors=[ManagedDoor()],
    )
    set_generation(app, Generation(settings.wire))
    metrics_route.observe(app, telemetry)
    if model is not None:
        on_first_use(app, model.prepare)
    webhooks = _webhooks(settings, store, telemetry)
    server = Server(
        settings, app, runtime, control, store, titles, model, telemetry, gauges, tool_servers, webhooks
    )
    app.extensions["baton"] = server
    return server
