"""The budgets that an agent file sets for each run: dollars, tokens and time, shared by all who work in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.conversation.transcript import Usage
from app.errors import BudgetReached
from app.team.agent import AgentDefinition
from app.team.config import RunBudget
from app.team.durations import render_duration

WARNING: Final = 0.8
"""The part of a limit at which readers are warned, once."""


@dataclass(slots=True)
class _Account:
    """One budget and what was used of it. `name` is its place in the agent file."""

    name: str
    limits: RunBudget
    used: dict[str, float] = field(
        default_factory=lambda: {"max_cost": 0.0, "max_tokens": 0.0, "max_time": 0.0}
    )
    warned: set[str] = field(default_factory=set)

    def most(self, part: float) -> Iterator[str]:
        """The limits of which this part is used up."""
        for limit, used in self.used.items():
            most = getattr(self.limits, limit)
            if most and used >= most * part:
                yield limit

    def words(self, limit: str) -> str:
        used, most = self.used[limit], getattr(self.limits, limit)
        return f"{self.name}.{limit} ({_amount(limit, used)} of {_amount(limit, most)})"


class RunBudgets:
    """For one run and the tasks that it waits for. Owned by the run's thread. `worked` is how many seconds the run has
    worked so far. An agent draws on the file's `budget`, and on the `budgets` that it names."""

    def __init__(
        self,
        whole: RunBudget | None = None,
        named: Mapping[str, RunBudget] | None = None,
        worked: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._whole = _Account("budget", whole) if whole is not None else None
        self._named = {name: _Account(f"budgets.{name}", one) for name, one in (named or {}).items()}
        self._worked = worked
        self._seconds = 0.0
        self._at_work: AgentDefinition | None = None

    def spend(self, agent: AgentDefinition, usage: Usage | None, cost: float) -> None:
        """An agent's model was asked, or a failed call of it has cost something."""
        tokens = usage.context_tokens if usage is not None else 0
        for account in self._of(agent):
            account.used["max_cost"] += cost
            account.used["max_tokens"] += tokens

    def check(self, agent: AgentDefinition) -> Iterator[str]:
        """Before a turn of an agent. Gives warnings, in words; BudgetReached if nothing is left."""
        self._take_time(agent)
        for account in self._of(agent):
            for limit in account.most(1.0):
                raise BudgetReached(f"The run has used up its budget {account.words(limit)}.")
        for account in self._of(agent):
            for limit in account.most(WARNING):
                if limit not in account.warned:
                    account.warned.add(limit)
                    yield f"The run has used most of its budget {account.words(limit)}; it stops when that is used up."

    def _take_time(self, agent: AgentDefinition) -> None:
        """The time since the last turn began is that of its agent; a task's is its own agent's."""
        now = self._worked()
        for account in self._of(self._at_work or agent):
            account.used["max_time"] += now - self._seconds
        self._seconds, self._at_work = now, agent

    def _of(self, agent: AgentDefinition) -> list[_Account]:
        whole = [self._whole] if self._whole is not None else []
        return [*whole, *(self._named[name] for name in agent.budgets if name in self._named)]


def _amount(limit: str, amount: float) -> str:
    if limit == "max_cost":
        return f"${amount:.2f}" if amount >= 0.01 else f"${amount:.6f}"
    return f"{amount:.0f} tokens" if limit == "max_tokens" else (render_duration(round(amount)) or "0s")
