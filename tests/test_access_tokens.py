"""How tokens are written down, and which files of them are read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.access_tokens import AccessToken, digest, parse_token, read_tokens_file

TOKEN = "0123456789abcdef0123456789abcdef"
HEX = hashlib.sha256(TOKEN.encode()).hexdigest()
ENVIRONMENT = "env_01AAAAAAAAAAAAAAAAAAAAAA"


def tokens_file(tmp_path: Path, text: str, *, mode: int = 0o600) -> Path:
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "name", "role"),
    [
        (f"ann:{TOKEN}", "ann", "user"),
        (f"ann/user:{TOKEN}", "ann", "user"),
        (f"ann/operator:{TOKEN}", "ann", "operator"),
        (f"ops.team-1/readonly:{TOKEN}", "ops.team-1", "readonly"),
        (f"ann:sha256:{HEX}", "ann", "user"),
        (f"ann/operator:sha256:{HEX.upper()}", "ann", "operator"),
        (f"ann/worker={ENVIRONMENT}:sha256:{HEX}", "ann", "worker"),
    ],
)
def test_a_token_has_a_name_a_role_and_only_its_digest_is_kept(text: str, name: str, role: str) -> None:
    token = parse_token(text)
    assert (token.name, token.role, token.digest) == (name, role, bytes.fromhex(HEX))
    assert TOKEN not in repr(token)
    assert HEX not in repr(token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        TOKEN,
        f":{TOKEN}",
        f"ann/root:{TOKEN}",
        f"ann/:{TOKEN}",
        f"ann/Operator:{TOKEN}",
        "ann:too-short",
        f"ann:{TOKEN} x",
        f"ann:{TOKEN}ü",
        f"ann:sha256:{HEX[1:]}",
        f"ann:sha256:{HEX}0",
        f"ann:sha256:{TOKEN}",
        f"ann b:{TOKEN}",
        f"ann/worker:{TOKEN}",
        f"ann/worker=env_x:{TOKEN}",
        f"ann/worker={ENVIRONMENT}x:{TOKEN}",
        f"ann/operator={ENVIRONMENT}:{TOKEN}",
        f"ann/={ENVIRONMENT}:{TOKEN}",
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"write|at least|printable|hexadecimal|names its environment"
    ) as refused:
        parse_token(text)
    assert TOKEN not in str(refused.value)


def test_a_file_has_one_token_a_line_and_comments(tmp_path: Path) -> None:
    text = f"# ours\n\n  ann:{TOKEN}  \nann/operator:{TOKEN}x\nbob/readonly:sha256:{'0' * 64}\n"
    assert read_tokens_file(tokens_file(tmp_path, text)) == (
        AccessToken("ann", "user", digest(TOKEN)),
        AccessToken("ann", "operator", digest(f"{TOKEN}x")),
        AccessToken("bob", "readonly", bytes(32)),
    )


def test_a_wrong_line_is_named_by_its_number_and_not_repeated(tmp_path: Path) -> None:
    path = tokens_file(tmp_path, f"# ours\nann:{TOKEN}\nbob {TOKEN}x\n")
    with pytest.raises(ValueError, match="line 3: ") as refused:
        read_tokens_file(path)
    assert TOKEN not in str(refused.value)


def test_one_token_of_two_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        read_tokens_file(tokens_file(tmp_path, f"ann:{TOKEN}\nbob:sha256:{HEX}\n"))


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o601, 0o666])
def test_a_file_that_strangers_could_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match="chmod 600"):
        read_tokens_file(tokens_file(tmp_path, f"ann:{TOKEN}\n", mode=mode))


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_file_that_only_its_owner_writes_is_read(tmp_path: Path, mode: int) -> None:
    assert len(read_tokens_file(tokens_file(tmp_path, f"ann:{TOKEN}\n", mode=mode))) == 1
