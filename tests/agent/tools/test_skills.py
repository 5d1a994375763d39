"""Skills: where they are found, which one counts, and that nothing else can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app.agent.tools.run_facts import NeverCancelled
from app.agent.tools.skill_head import MAX_FILE
from app.agent.tools.skills import SkillsToolset
from app.roots import Ground
from app.team.skill_definitions import InlineSkill
from tests.agent.tools.web_site import WebSite, running
from tests.agent.tools.workbench import Workbench, find

HOME = "../home"


@pytest.fixture
def site() -> Iterator[WebSite]:
    with running() as site:
        yield site


def skill(bench: Workbench, place: str, description: str = "Does it", *, name: str = "") -> None:
    named = f"name: {name}\n" if name else ""
    bench.write(f"{place}/SKILL.md", f"---\n{named}description: {description}\n---\nText of {place}.")


def skills(bench: Workbench, *sources: str | InlineSkill, below: str = ".") -> SkillsToolset:
    toolset = SkillsToolset(
        sources or ["local"],
        ground=Ground(roots=(bench.root.resolve(),), home=(bench.root / HOME).resolve()),
        working_dir=bench.root / below,
        cancellation=NeverCancelled(),
    )
    toolset.start()
    return toolset


def read(bench: Workbench, toolset: SkillsToolset, name: str, path: str = "") -> str:
    if path:
        return bench.call(toolset, "read_skill_file", skill_name=name, path=path).output
    return bench.call(toolset, "read_skill", name=name).output


def test_without_skills_there_are_no_tools(bench: Workbench) -> None:
    bench.write(".claude/skills/empty/other.md", "x")
    bench.write(".claude/skills/silent/SKILL.md", "no front matter")
    bench.write(".claude/skills/broken/SKILL.md", "---\ndescription: [\n---\n")
    toolset = skills(bench)
    assert (list(toolset.tools()), toolset.instructions) == ([], "")


def test_a_skill_is_listed_with_its_files_and_read(bench: Workbench) -> None:
    skill(bench, ".claude/skills/paint", "Paints <walls>", name="painting")
    bench.write(".claude/skills/paint/colours/red.md", "Red.")
    toolset = skills(bench)
    assert [(tool.name, tool.title, tool.category, tool.read_only) for tool in toolset.tools()] == [
        ("read_skill", "Read Skill", "skills", True),
        ("read_skill_file", "Read Skill File", "skills", True),
    ]
    assert "<available_skills>" in toolset.instructions
    assert "<name>painting</name>" in toolset.instructions
    assert "<description>Paints &lt;walls&gt;</description>" in toolset.instructions
    assert "<file>colours/red.md</file>" in toolset.instructions
    assert read(bench, toolset, "painting").endswith("Text of .claude/skills/paint.")
    assert read(bench, toolset, "painting", "colours/red.md") == "Red."


def test_the_second_tool_is_there_only_for_skills_with_more_files(bench: Workbench) -> None:
    skill(bench, ".claude/skills/paint")
    assert [tool.name for tool in skills(bench).tools()] == ["read_skill"]


def test_what_is_nearer_to_the_working_directory_counts(bench: Workbench) -> None:
    places = [
        f"{HOME}/.codex/skills/deep/er/a",
        f"{HOME}/.claude/skills/a",
        f"{HOME}/.agents/skills/deep/er/a",
        "sub/.claude/skills/a",
        ".agents/skills/a",
        "sub/.agents/skills/deep/a",
    ]
    (bench.root / ".git").mkdir()
    for place in places:
        skill(bench, place)
        assert read(bench, skills(bench, below="sub"), "a").endswith(f"Text of {place}.")


def test_claude_skills_are_looked_for_one_level_deep_and_nothing_above_the_repository(
    bench: Workbench,
) -> None:
    skill(bench, ".claude/skills/deep/er")
    skill(bench, "../.agents/skills/above")
    (bench.root / ".git").mkdir()
    assert list(skills(bench).tools()) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../../secret", 'invalid file path "../../secret"'),
        ("/etc/passwd", 'invalid file path "/etc/passwd"'),
        ("link", 'path "link" escapes skill directory'),
        ("gone", "reading file: No such file or directory"),
        ("big", f"reading file: larger than {MAX_FILE} bytes"),
    ],
)
def test_nothing_outside_the_skill_can_be_read(bench: Workbench, path: str, words: str) -> None:
    skill(bench, ".claude/skills/a")
    secret = bench.write("secret", "s")
    (bench.root / ".claude/skills/a/link").symlink_to(secret)
    bench.write(".claude/skills/a/big", "x" * (MAX_FILE + 1))
    result = bench.call(skills(bench), "read_skill_file", skill_name="a", path=path)
    assert (result.output, result.is_error) == (words, True)


def test_an_unknown_skill_is_named(bench: Workbench) -> None:
    skill(bench, ".claude/skills/a")
    assert bench.call(skills(bench), "read_skill", name="b").output == 'skill "b" not found'


def test_a_web_server_may_have_skills_too(bench: Workbench, site: WebSite) -> None:
    skill(bench, ".claude/skills/a")
    index = {"skills": [{"name": "a", "description": "Of the web", "files": ["SKILL.md", "more.md"]}]}
    site.add("/.well-known/skills/index.json", json.dumps(index))
    site.add("/.well-known/skills/a/SKILL.md", "From the web")
    site.add("/.well-known/skills/a/more.md", "More")
    toolset = skills(bench, "local", site.url("/"))
    assert "Of the web" in toolset.instructions
    assert read(bench, toolset, "a") == "From the web"
    assert read(bench, toolset, "a", "more.md") == "More"
    assert find(toolset, "read_skill_file")


@pytest.mark.parametrize("index", ["[]", "{}", '{"skills": [1]}', "nonsense"])
def test_a_web_server_without_skills_is_left_out(bench: Workbench, site: WebSite, index: str) -> None:
    skill(bench, ".claude/skills/a")
    site.add("/.well-known/skills/index.json", index)
    assert "<name>a</name>" in skills(bench, site.url("/"), "local").instructions


def test_names_choose_among_the_skills_of_their_places(bench: Workbench) -> None:
    skill(bench, ".claude/skills/paint", name="painting")
    skill(bench, ".claude/skills/draw", name="drawing")
    for sources in (("painting",), ("local", "painting")):
        toolset = skills(bench, *sources)
        assert "<name>painting</name>" in toolset.instructions
        assert read(bench, toolset, "drawing") == 'skill "drawing" not found'


def test_a_skill_that_the_agent_file_writes_out_needs_no_place(bench: Workbench) -> None:
    skill(bench, ".claude/skills/paint", name="painting")
    own = InlineSkill(name="ours", description="Does it", instructions="Do it well.")
    toolset = skills(bench, own)
    assert "painting" not in toolset.instructions
    assert "<name>ours</name>" in toolset.instructions
    assert read(bench, toolset, "ours") == "Do it well."
    assert [tool.name for tool in toolset.tools()] == ["read_skill"]
    both = skills(bench, "painting", own)
    assert [read(bench, both, name)[:5] for name in ("painting", "ours")] == ["---\nn", "Do it"]
