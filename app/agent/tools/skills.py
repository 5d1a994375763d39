"""The tools of an agent with skills: instructions for special work, read when they are needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from xml.sax.saxutils import escape

from app.agent.model_client import Cancellation
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.skill_files import Skill, SkillUnreadable, local_skills, remote_skills
from app.agent.tools.skill_head import MAIN
from app.agent.toolset import Tool, ToolContext, ToolResult
from app.roots import Ground
from app.team.skill_definitions import InlineSkill

log = logging.getLogger(__name__)

LOCAL = "local"
MAX_LISTED = 200_000
"""Characters of the prompt that the list of skills may take."""


class SkillsToolset(FunctionToolset):
    """`sources` are `local`, addresses, skills themselves, and names. A later one's skills replace those of the same
    name. With names, only skills that are called so are taken from places, and from `local` if there is no other. They
    are looked for when a run begins."""

    category = "skills"

    def __init__(
        self,
        sources: Sequence[str | InlineSkill],
        *,
        ground: Ground,
        working_dir: Path,
        cancellation: Cancellation,
    ) -> None:
        texts = [source for source in sources if isinstance(source, str)]
        self._places = [text for text in texts if text == LOCAL or text.startswith(("http://", "https://"))]
        self._names = frozenset(texts) - {*self._places}
        if self._names and not self._places:
            self._places = [LOCAL]
        self._written = [source for source in sources if isinstance(source, InlineSkill)]
        self._ground = ground
        self._working_dir = working_dir
        self._cancellation = cancellation
        self._skills: dict[str, Skill] = {}

    @property
    def instructions(self) -> str:
        if not self._skills:
            return ""
        left, described = MAX_LISTED, []
        for skill in self._skills.values():
            words = _listed(skill)
            left -= len(words)
            if left < 0:
                log.warning("skill %s and those after it are left out: the list is too long", skill.name)
                break
            described.append(words)
        listed = "\n".join(described)
        return (
            "There are instructions for special kinds of work. Before you begin with one of these, read what there "
            f"is for it with read_skill.\n<available_skills>\n{listed}\n</available_skills>"
        )

    def tools(self) -> Sequence[Tool]:
        """No skills, no tools; and none that reads files where no skill has one."""
        if not self._skills:
            return []
        read_skill, read_file = super().tools()
        has_files = any(skill.files for skill in self._skills.values())
        return [read_skill, read_file] if has_files else [read_skill]

    def listed(self) -> Sequence[Skill]:
        """Those that were found when it started."""
        return list(self._skills.values())

    def start(self) -> None:
        """A web server that does not answer is left out, and logged."""
        for source in self._places:
            try:
                found = (
                    local_skills(self._ground, self._working_dir)
                    if source == LOCAL
                    else remote_skills(source, self._cancellation)
                )
            except SkillUnreadable as failure:
                log.warning("the skills of %s are left out: %s", source, failure)
                continue
            wanted = self._names or found.keys()
            self._skills |= {name: skill for name, skill in found.items() if name in wanted}
        for one in self._written:
            self._skills[one.name] = Skill(one.name, one.description, "", text=one.instructions)

    @tool(read_only=True)
    def read_skill(self, context: ToolContext, name: Annotated[str, "The name of the skill"]) -> ToolResult:
        """Reads the instructions of a skill."""
        return self._read(name, MAIN, context)

    @tool(read_only=True)
    def read_skill_file(
        self,
        context: ToolContext,
        skill_name: Annotated[str, "The name of the skill"],
        path: Annotated[str, "The file, as the skill's list of files names it"],
    ) -> ToolResult:
        """Reads another file of a skill."""
        return self._read(skill_name, path, context)

    def _read(self, name: str, path: str, context: ToolContext) -> ToolResult:
        skill = self._skills.get(name)
        if skill is None:
            return ToolResult.error(f'skill "{name}" not found')
        try:
            return ToolResult(skill.read(path, context.cancellation))
        except SkillUnreadable as failure:
            return ToolResult.error(str(failure))


def _listed(skill: Skill) -> str:
    files = "".join(f"\n    <file>{escape(file)}</file>" for file in skill.files)
    return (
        f"  <skill>\n    <name>{escape(skill.name)}</name>\n"
        f"    <description>{escape(skill.description)}</description>{files}\n  </skill>"
    )
