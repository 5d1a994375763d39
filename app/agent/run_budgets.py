"""The budgets that an agent file sets for each run: dollars, tokens and time, shared by all who work in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from app.conversation.usage import Usage
from app.errors import BudgetReached
from app.team.agent import Agent, AgentDefinition
from app.team.config import RunBudget
from app.team.durations import render_duration

WARNING: Final = 0.8
"""The part of a limit at which readers are warned, once."""

_ALWAYS_TOLD: Final = frozenset({"name", "cost", "tokens", "elapsed_seconds"})


class Breach(NamedTuple):
    """A limit that is reached, in the words of the event that tells of it."""

    budget: str
    limit: str
    used: str
    max: str
    config_path: str
    message: str


@dataclass(slots=True)
class _Spent:
    """What one agent has used of a budget."""

    cost: float = 0.0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Account:
    """One budget and what was used of it. `name` is its place in the agent file."""

    name: str
    limits: RunBudget
    used: dict[str, float] = field(
        default_factory=lambda: {"max_cost": 0.0, "max_tokens": 0.0, "max_time": 0.0}
    )
    warned: set[str] = field(default_factory=set)
    by_agent: dict[str, _Spent] = field(default_factory=dict)
    unpriced: bool = False  # some of its answers have no known price

    def most(self, part: float) -> Iterator[str]:
        """The limits of which this part is used up."""
        for limit, used in self.used.items():
            most = getattr(self.limits, limit)
            if most and used >= most * part:
                yield limit

    def amounts(self, limit: str) -> tuple[str, str]:
        """What is used and the most that may be."""
        return _amount(limit, self.used[limit]), _amount(limit, getattr(self.limits, limit))

    def words(self, limit: str) -> str:
        used, most = self.amounts(limit)
        return f"{self.name}.{limit} ({used} of {most})"

    def of(self, agent: AgentDefinition) -> _Spent:
        return self.by_agent.setdefault(agent.name if isinstance(agent, Agent) else "", _Spent())

    @property
    def shown_name(self) -> str:
        """`run` for the file's `budget`, else its name among the `budgets`."""
        return self.name.partition(".")[2] or "run"

    def reading(self) -> dict[str, Any]:
        limits, used = self.limits, self.used
        agents = sorted(self.by_agent.items(), key=lambda one: (-one[1].cost, -one[1].tokens, one[0]))
        body = {
            "name": self.shown_name,
            "cost": used["max_cost"],
            "max_cost": limits.max_cost,
            "tokens": int(used["max_tokens"]),
            "max_tokens": limits.max_tokens,
            "elapsed_seconds": used["max_time"],
            "max_time_seconds": limits.max_time,
            "unpriced": self.unpriced,
            "per_agent": [
                {
                    "agent_name": name,
                    "cost": spent.cost,
                    "tokens": spent.tokens,
                    "active_seconds": spent.seconds,
                }
                for name, spent in agents
            ],
        }
        return {key: value for key, value in body.items() if value or key in _ALWAYS_TOLD}


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

    def spend(self, agent: AgentDefinition, usage: Usage | None, cost: float, *, priced: bool = True) -> None:
        """An agent's model was asked, or a failed call of it has cost something. The cost of a model that is not
        `priced` is not known."""
        tokens = usage.context_tokens if usage is not None else 0
        for account in self._of(agent):
            account.used["max_cost"] += cost
            account.used["max_tokens"] += tokens
            account.of(agent).cost += cost
            account.of(agent).tokens += tokens
            account.unpriced = account.unpriced or not priced

    def readings(self, agent: AgentDefinition) -> list[dict[str, Any]]:
        """What was used of the budgets that the run has drawn on, the file's `budget` first; none if this agent draws
        on none."""
        if not (mine := self._of(agent)):
            return []
        self._take_time(agent)
        drawn = [one for one in self._named.values() if one.by_agent or one in mine]
        whole = [self._whole] if self._whole is not None else []
        return [one.reading() for one in (*whole, *sorted(drawn, key=lambda one: one.name))]

    def breach(self, agent: AgentDefinition) -> Breach | None:
        """The first limit that leaves the agent nothing."""
        self._take_time(agent)
        for account in self._of(agent):
            for limit in account.most(1.0):
                words = f"The run has used up its budget {account.words(limit)}."
                path = f"{account.name}.{limit}"
                return Breach(account.shown_name, limit, *account.amounts(limit), path, words)
        return None

    def check(self, agent: AgentDefinition) -> Iterator[str]:
        """Before a turn of an agent. Gives warnings, in words; BudgetReached if nothing is left."""
        if (breach := self.breach(agent)) is not None:
            raise BudgetReached(breach.message)
        for account in self._of(agent):
            for limit in account.most(WARNING):
                if limit not in account.warned:
                    account.warned.add(limit)
                    yield f"The run has used most of its budget {account.words(limit)}; it stops when that is used up."

    def _take_time(self, agent: AgentDefinition) -> None:
        """The time since the last turn began is that of its agent; a task's is its own agent's."""
        now = self._worked()
        worker = self._at_work or agent
        for account in self._of(worker):
            account.used["max_time"] += now - self._seconds
            account.of(worker).seconds += now - self._seconds
        self._seconds, self._at_work = now, agent

    def _of(self, agent: AgentDefinition) -> list[_Account]:
        whole = [self._whole] if self._whole is not None else []
        return [*whole, *(self._named[name] for name in agent.budgets if name in self._named)]


def _amount(limit: str, amount: float) -> str:
    if limit == "max_cost":
        return f"${amount:.2f}" if amount >= 0.01 else f"${amount:.6f}"
    return f"{amount:.0f} tokens" if limit == "max_tokens" else (render_duration(round(amount)) or "0s")
