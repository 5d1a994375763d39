"""The `model_picker` toolset: an agent chooses by which model it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.agent.tools.parameters import parameters, text
from app.agent.toolset import ModelChange, Tool, ToolContext, ToolResult, string
from app.errors import InvalidRequest
from app.team.model_definition import ModelSpec

FindModels = Callable[[str], tuple[ModelSpec, ...]]
"""The models that a reference of the agent's file stands for. Raises InvalidRequest."""


class ModelPickerToolset:
    """Lets an agent choose among `models`, by their names in its file. Its choice lasts for the session, until it
    chooses again or a request chooses another model than the one that was asked until then (`under`)."""

    def __init__(
        self, models: Sequence[str], *, find: FindModels, under: str = "", state: Any = None
    ) -> None:
        self._models = models
        self._find = find
        self._under = under
        self._state: Mapping[str, str] | None = state if isinstance(state, dict) else None

    @property
    def instructions(self) -> str:
        return (
            "You can choose the model that you run on. Take with change_model the one that fits what is to be done "
            "next, and go back with revert_model when that is done. There are: "
            f"{', '.join(self._models)}."
        )

    def tools(self) -> Sequence[Tool]:
        listed = ", ".join(self._models)
        return [
            Tool(
                name="change_model",
                title="Change Model",
                category="model",
                description="Changes the model that you run on, from your next turn on.",
                parameters=parameters({"model": text(f"The model's name, one of: {listed}")}),
                read_only=True,
                in_order=True,
                handler=self._change,
            ),
            Tool(
                name="revert_model",
                title="Revert Model",
                category="model",
                description="Goes back to the model that you run on by default.",
                read_only=True,
                in_order=True,
                handler=self._revert,
            ),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return self._state

    def _change(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult | ModelChange:
        model = string(arguments, "model").strip()
        if not model:
            return ToolResult.error("model parameter is required")
        if model not in self._models:
            listed = ", ".join(self._models)
            return ToolResult.error(f'model "{model}" is not in the allowed list. Available models: {listed}')
        try:
            found = self._find(model)
        except InvalidRequest as problem:
            return ToolResult.error(f"failed to set model: {problem.message}")
        self._state = {"model": model, "under": self._under}
        return ModelChange(f"Model changed to {model}", found)

    def _revert(self, _arguments: Mapping[str, Any], _context: ToolContext) -> ModelChange:
        self._state = {"model": "", "under": self._under}
        return ModelChange("Model reverted to the agent's default model")


def chosen(state: Any, *, under: str) -> str:
    """The name of the model that an agent has chosen in an earlier run; empty for none that still counts."""
    if not isinstance(state, dict) or state.get("under") != under:
        return ""
    return str(state.get("model") or "")
