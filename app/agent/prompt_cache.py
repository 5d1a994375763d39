"""The frozen prompts of one agent in one session: found, or made and stored; one for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

from app.agent.history import History
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import PromptFrozen, Step
from app.agent.prompt_builder import definition_digest, freeze
from app.agent.toolbox import Toolbox
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.session import Session
from app.team.agent import Agent
from app.team.model_definition import ModelSpec


class PromptCache:
    """Owned by the run's thread. A compaction begins new prompts: earlier thinking belongs to another conversation."""

    def __init__(
        self, context: LoopContext, session: Session, agent: Agent, toolbox: Toolbox, history: History
    ) -> None:
        self._context = context
        self._session = session
        self._agent = agent
        self._toolbox = toolbox
        self._history = history
        self._in_use: dict[str, FrozenPrompt] = {}  # by model
        self._renewals = Counter[str]()  # how often the API refused thinking made under an earlier prompt

    def frozen(self, spec: ModelSpec) -> Generator[Step, Any, FrozenPrompt]:
        """The prompt for this model; made and stored when there is none yet.

        A prompt under which the API refused the thinking was renewed, and the newest counts: the older one
        would be refused in every later turn.
        """
        model = spec.model
        used = self._in_use.get(model)
        if used is not None and used.definition == self._definition(model, self._renewals[model]):
            return used
        prompt = self._find(model)
        if prompt is None:
            prompt = self._make(model)
            yield PromptFrozen(self._session.id, prompt)
        self._in_use[model] = prompt
        return prompt

    def renew(self, spec: ModelSpec) -> None:
        """The API refused what this model has thought under its prompt."""
        self._renewals[spec.model] += 1

    def _make(self, model: str) -> FrozenPrompt:
        return freeze(
            self._agent,
            self._context.team,
            model=model,
            tools=self._toolbox.tools,
            toolset_instructions=self._toolbox.instructions,
            surroundings=self._context.surroundings(self._session, self._agent),
            definition=self._definition(model, self._renewals[model]),
            calls_of_others=self._calls_of_others,
        )

    def _find(self, model: str) -> FrozenPrompt | None:
        while True:
            definitions = [self._definition(model, self._renewals[model] + more) for more in (0, 1)]
            found = self._context.find_prompt(self._session.id, self._agent.name, definitions)
            if found is None or found.definition == definitions[0]:
                return found
            self._renewals[model] += 1

    def _definition(self, model: str, renewals: int) -> str:
        renewal = f"thinking refused {renewals} times" if renewals else ""
        renewal += "calls-of-others" if self._calls_of_others else ""
        renewal += f"summary {self._history.summary.number}" if self._history.summary else ""
        return definition_digest(self._context.team, self._agent, model, self._toolbox.tools, renewal)

    @property
    def _calls_of_others(self) -> bool:
        return not self._toolbox.tools and self._history.has_calls
