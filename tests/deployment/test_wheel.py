"""The program as it is installed from the wheel, without a checkout."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from app import distribution
from app.distribution import Extra
from app.web.console import FILES
from tests.deployment.conftest import linted


def output(*command: str | Path, directory: Path) -> str:
    return subprocess.check_output(command, cwd=directory, env={"PATH": "/usr/bin:/bin"}, text=True)


def test_the_command_knows_its_version(wheel: Path, tmp_path: Path) -> None:
    assert output(wheel / "baton", "--version", directory=tmp_path).strip() == "baton, version 0.2.0"


def test_an_index_could_show_the_wheel(wheel: Path) -> None:
    """Its description, and classifiers that there are."""
    (built,) = wheel.parents[1].glob("*.whl")
    linted("twine", "check", "--strict", built)


@pytest.mark.parametrize(
    ("extra", "packages"),
    [
        ("mcp", {"mcp"}),
        ("postgres", {"psycopg[binary]"}),
        ("otel", {"opentelemetry-api", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"}),
    ],
)
def test_its_advice_names_packages_of_the_index_with_ranges(
    wheel: Path, tmp_path: Path, extra: Extra, packages: set[str]
) -> None:
    """A package without a range, or ours, would be one that the wheel was not made for."""
    code = f"from {distribution.__name__} import install_command; print(install_command({extra!r}))"
    words = shlex.split(output(wheel / "python", "-P", "-c", code, directory=tmp_path))
    assert words[:2] == ["pip", "install"]
    assert {word.partition("<")[0] for word in words[2:]} == packages
    assert all("<" in word and ">=" in word for word in words[2:])


def test_it_has_an_agent_for_a_place_without_any(wheel: Path, tmp_path: Path) -> None:
    code = "from app.settings import Settings; print(*(file.name for file in Settings().stand_in_agents.iterdir()))"
    assert output(wheel / "python", "-P", "-c", code, directory=tmp_path) == "assistant.yaml\n"


def test_it_has_both_clients(wheel: Path, tmp_path: Path) -> None:
    """Type checkers take their types, as `py.typed` says."""
    code = "import pathlib, baton_client.asynchronous as it; print(*sorted(p.name for p in {}.iterdir()))"
    code = code.format("pathlib.Path(it.__file__).parents[1]")
    assert {"asynchronous", "py.typed"} <= set(
        output(wheel / "python", "-P", "-c", code, directory=tmp_path).split()
    )


def test_it_has_the_files_for_a_deployment(wheel: Path, tmp_path: Path) -> None:
    written = output(wheel / "baton", "deploy", "compose", "--directory", "there", directory=tmp_path).split()
    assert written == ["there/compose.yaml", "there/nginx.conf", "there/baton.env.example"]


def test_all_files_of_the_console_are_installed(wheel: Path, tmp_path: Path) -> None:
    names = "sorted(str(path.relative_to(FILES)) for path in FILES.rglob('*') if path.is_file())"
    code = f"from app.web.console import FILES; print(*{names}, sep='\\n')"
    installed = output(wheel / "python", "-P", "-c", code, directory=tmp_path).splitlines()
    assert installed == sorted(str(path.relative_to(FILES)) for path in FILES.rglob("*") if path.is_file())
