"""Lists an agent's tools before each turn, and tells readers how that went."""

from __future__ import annotations

from app.agent.loop_steps import ServerLeftOut, Steps
from app.agent.questions import elicitation
from app.agent.resumption import Resumption
from app.agent.toolbox import Toolbox
from app.agent.toolset import QuestionFirst
from app.conversation import events


class ToolListing:
    """Owned by the run's thread. `toolbox` is that of the agent that has the session; another one takes its place when
    another agent takes over."""

    def __init__(self, session_id: str, resumption: Resumption) -> None:
        self._session_id = session_id
        self._question = resumption.question
        self._answer = resumption.answer_to("elicitation", session_id)

    @property
    def has_answer(self) -> bool:
        """Is there an answer to a toolset of this session that asked in another process, before it started?"""
        return self._answer is not None

    def take(self, toolbox: Toolbox, agent: str) -> None:
        self._toolbox = toolbox
        self._agent = agent

    def steps(self) -> Steps:
        toolbox = self._toolbox
        tools = toolbox.list_tools()
        asks = False
        while questions := toolbox.take_questions():
            if not asks:
                asks = True
                yield events.McpInitStarted(agent_name=self._agent)
            for question in questions:
                yield from self._settle(question)
            tools = toolbox.list_tools()
        for notice in toolbox.take_notices():
            yield events.Warning(agent_name=self._agent, message=notice)
        for lost in toolbox.take_lost():
            yield ServerLeftOut(self._session_id, lost.server, str(lost), lost.is_unauthorized)
        if problems := toolbox.take_problems():
            details = "\n".join(f"- {problem}" for problem in problems)
            words = f"Some toolsets failed to initialize for agent '{self._agent}'.\n\nDetails:\n\n{details}"
            yield events.Warning(agent_name=self._agent, message=words)
        if toolbox.has_toolsets:
            if not asks:
                yield events.McpInitStarted(agent_name=self._agent)
            yield events.McpInitFinished(agent_name=self._agent)
        yield events.ToolsetInfo(agent_name=self._agent, available_tools=len(tools))

    def _settle(self, asked: QuestionFirst) -> Steps:
        """Asks a toolset's question before it starts. It asks again in a process that goes on with the run."""
        ask = elicitation(asked.question, session_id=self._session_id, agent=self._agent)
        answer, earlier = self._answer, self._question
        if answer is not None and earlier is not None and earlier.details == ask.question.details:
            self._answer = None
        else:
            answer = yield ask
        if asked.settle(answer.decision, answer.content):
            yield events.AuthorizationEvent(agent_name=self._agent)
