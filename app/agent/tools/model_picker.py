"""The `model_picker` toolset: an agent chooses by which model it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.agent.tools.function_tool import FunctionToolset, function_tool, tool
from app.agent.toolset import ModelChange, Tool, ToolResult
from app.errors import InvalidRequest
from app.team.model_definition import ModelSpec

FindModels = Callable[[str], tuple[ModelSpec, ...]]
"""The models that a reference of the agent's file stands for. Raises InvalidRequest."""


class ModelPickerToolset(FunctionToolset):
    """Lets an agent choose among `models`, by their names in its file. Its choice lasts for the session, until it
    chooses again or a request chooses another model than the one that was asked until then (`under`)."""

    category = "model"

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
        model = f"The model's name, one of: {', '.join(self._models)}"
        return [
            function_tool(self.change_model, self.category, model=model),
            function_tool(self.revert_model, self.category),
        ]

    def state(self) -> Any:
        return self._state

    @tool(read_only=True, in_order=True)
    def change_model(self, model: str) -> ToolResult | ModelChange:
        """Changes the model that you run on, from your next turn on."""
        model = model.strip()
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

    @tool(read_only=True, in_order=True)
    def revert_model(self) -> ModelChange:
        """Goes back to the model that you run on by default."""
        self._state = {"model": "", "under": self._under}
        return ModelChange("Model reverted to the agent's default model")


def chosen(state: Any, *, under: str) -> str:
    """The name of the model that an agent has chosen in an earlier run; empty for none that still counts."""
    if not isinstance(state, dict) or state.get("under") != under:
        return ""
    return str(state.get("model") or "")
