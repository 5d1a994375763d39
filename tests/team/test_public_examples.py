"""The combinations of features that docker-agent's public examples use, in files of our own."""

from __future__ import annotations

import pytest

from tests.team.public_examples import expected
from tests.team.teams import problems, team

LOADS = {
    "one agent and nothing else": """
        agents:
          root:
            model: anthropic/claude-haiku-4-5
            description: Answers in rhymes
            instruction: |
              Answer every question in two rhyming lines.
        """,
    "a named model, several toolsets and a block of instructions": """
        version: "2"
        agents:
          root:
            model: sonnet
            instruction: |
              # Task
              Improve the code. Use `make`: it knows the targets.
            add_environment_info: true
            toolsets:
              - type: filesystem
              - type: shell
              - type: todo
              - type: think
        models:
          sonnet:
            provider: anthropic
            model: claude-sonnet-4-0
            max_tokens: 64000
            temperature: 0.2
        metadata:
          author: somebody
          license: Apache-2.0
          readme: |
            What it is for.
        """,
    "a lead, specialists, and servers of Docker's catalogue": """
        agents:
          root: {model: m, sub_agents: [searcher, scribe], add_date: true}
          searcher:
            model: m
            toolsets: [{type: mcp, ref: "docker:duckduckgo", tools: [search]}]
          scribe: {model: m, description: writes, toolsets: [{type: memory, path: ./notes.db}]}
        models: {m: {provider: anthropic, model: claude-sonnet-4-5}}
        """,
    "specialists that hand the conversation around in a circle": """
        agents:
          root: {model: auto, handoffs: [first]}
          first: {model: auto, handoffs: [second, root]}
          second: {model: auto, handoffs: [root], toolsets: [{type: filesystem, tools: [read_file]}]}
        """,
    "tool servers by command, by address, and shared under a name": """
        mcps:
          forge: {ref: "docker:github-official", env: {TOKEN: $FORGE_TOKEN}}
        agents:
          root:
            model: auto
            toolsets:
              - {type: mcp, ref: forge, tools: [list_issues], instruction: Read only., toon: "list_.*"}
              - {type: mcp, command: uvx, args: ["some-server@1.2", "--port", 8080], name: local}
              - type: mcp
                remote:
                  url: https://mcp.example.test/sse
                  transport_type: sse
                  headers: {Authorization: "Bearer ${env.MCP_TOKEN}"}
        """,
    "tools made of shell commands": """
        agents:
          root:
            model: auto
            toolsets:
              - type: script
                shell:
                  where:
                    cmd: "find . -name \\"*${pattern}*\\""
                    description: Finds files by name
                    args: {pattern: {type: string, description: Part of the name}}
                    required: [pattern]
                  now: {cmd: date, env: {TZ: UTC}, working_dir: .}
        """,
    "an interface as a tool, by description and by specification": """
        agents:
          root:
            model: auto
            toolsets:
              - type: api
                api_config:
                  name: weather
                  endpoint: "https://weather.example.test/${city}"
                  method: GET
                  instruction: Tells the weather of a city
                  args: {city: {type: string}}
                  required: [city]
              - type: openapi
                url: https://shop.example.test/openapi.json
                headers: {X-Key: "${headers.X-Key}"}
        """,
    "permissions with arguments and a welcome": """
        agents:
          root: {model: auto, welcome_message: "# Hello\\n", toolsets: [{type: shell}, {type: filesystem}]}
        permissions:
          allow: [read_*, "shell:cmd=git log*", "mcp:forge:get_*"]
          ask: [write_file]
          deny: ["shell:cmd=sudo*", "shell:cmd=rm*"]
        """,
    "commands with placeholders": """
        agents:
          root:
            model: auto
            commands:
              hello: "Say hello to $USER in ${PLACE}"
              fix:
                description: Mends typos
                instruction: |
                  Mend the typos in $1, then show !`git diff`.
        """,
    "hooks at every point": """
        agents:
          root:
            model: auto
            toolsets: [{type: shell}]
            hooks:
              pre_tool_use:
                - matcher: "shell|write_file"
                  hooks: [{type: command, timeout: 30, command: "./check.sh"}]
              post_tool_use: [{matcher: "*", hooks: [{type: command, command: "echo done"}]}]
              session_start: [{type: command, command: "date"}]
              session_end: [{type: command, command: "date"}]
              on_user_input: [{type: command, command: "date"}]
        """,
    "fallbacks, a mix of models, routing, and a model for one toolset": """
        agents:
          root:
            model: fast,strong
            fallback: {models: [strong, anthropic/claude-haiku-4-5], retries: 1, cooldown: 2m}
            toolsets: [{type: shell, model: fast}, {type: model_picker, models: [fast, strong]}]
          other: {model: by_topic}
        models:
          fast: {provider: anthropic, model: claude-haiku-4-5}
          strong: {provider: anthropic, model: claude-opus-4-5, thinking_budget: 4096}
          by_topic:
            provider: anthropic
            model: claude-sonnet-4-5
            routing:
              - {model: fast, examples: ["hello", "thanks"]}
              - {model: anthropic/claude-opus-4-5, examples: ["prove that"]}
        """,
    "an answer in a fixed shape": """
        agents:
          root:
            model: auto
            structured_output:
              name: person
              strict: true
              schema:
                type: object
                properties: {name: {type: string}, age: {type: integer, minimum: 0}}
                required: [name, age]
                additionalProperties: false
        """,
    "toolsets of every other kind": """
        agents:
          root:
            model: auto
            sub_agents: [helper]
            skills: true
            toolsets:
              - {type: fetch, timeout: 10, defer: true}
              - {type: filesystem, post_edit: [{path: "*.go", cmd: "gofmt -w $path"}], ignore_vcs: false}
              - {type: todo, shared: true, instruction: "{ORIGINAL_INSTRUCTIONS} Be brief."}
              - {type: tasks, path: work.json, defer: [list_tasks]}
              - {type: lsp, command: gopls, args: [serve], file_types: [.go], version: golang/tools}
              - {type: a2a, url: "http://localhost:9000", name: friend}
              - {type: user_prompt}
              - {type: background_agents}
          helper: {model: auto, skills: [local, "https://skills.example.test"]}
        """,
    "retrieval with and without models of others": """
        agents:
          root: {model: auto, rag: [library]}
        models: {embedder: {provider: openai, model: text-embedding-3-small}}
        rag:
          library:
            tool: {description: Searches the library, instruction: Search first.}
            docs: [./docs, ./more.txt]
            respect_vcs: false
            strategies:
              - {type: bm25, database: ./b.db, k1: 1.5, b: 0.75, chunking: {size: 900, overlap: 90}}
              - {type: chunked-embeddings, embedding_model: embedder, docs: [./x], vector_dimensions: 1536}
            results:
              limit: 5
              fusion: {strategy: rrf, k: 60}
              reranking: {model: embedder, top_k: 3, criteria: "Newer is better."}
        """,
}

REFUSED = {
    "a model of others, inline": (
        "agents: {root: {model: openai/gpt-5}}",
        "agents.root.model: model 'gpt-5' is of provider 'openai'",
    ),
    "a model of others, in a mix": (
        "agents: {root: {model: a/b}, two: {model: 'auto,m'}}\nmodels: {m: {provider: google, model: gem}}",
        "models.m.provider: model 'gem' is of provider 'google'",
    ),
    "Claude by way of another cloud": (
        "agents: {root: {model: m}}\nmodels: {m: {provider: amazon-bedrock, model: anthropic.claude}}",
        "models.m.provider: model 'anthropic.claude' is of provider 'amazon-bedrock'",
    ),
    "a provider of one's own": (
        "providers: {mine: {base_url: 'https://x.test'}}\nagents: {root: {model: mine/x}}",
        "agents.root.model: model 'x' is of provider 'mine'",
    ),
    "an agent out of a registry": (
        "agents: {root: {model: auto, sub_agents: [somewhere/pirate]}}",
        "agents.root.sub_agents[0]: agent 'root' references 'somewhere/pirate'; this server loads no agents",
    ),
    "tools called from JavaScript": (
        "agents: {root: {model: auto, code_mode_tools: true}}",
        "agents.root.code_mode_tools: is not supported: this server has no JavaScript engine",
    ),
}


@pytest.mark.parametrize("name", LOADS)
def test_what_the_public_examples_combine_loads(name: str) -> None:
    loaded = team(LOADS[name].strip("\n"))
    assert all(agent.models for agent in loaded.agents)
    assert len(loaded.wire()["agents"]) == len(loaded.agents)


@pytest.mark.parametrize("name", REFUSED)
def test_what_this_server_can_not_do_is_refused_with_its_reason(name: str) -> None:
    text, problem = REFUSED[name]
    assert problem in "\n".join(problems(text))


def test_the_list_of_public_examples_names_an_outcome_for_each() -> None:
    listed = expected()
    assert len(listed) == 166
    assert all(one.loads != bool(one.problem) for one in listed.values())
