"""What is taken for a secret, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runstream.capture.environment import kept_variables
from runstream.capture.masking import MASK, is_secret_name, mask, mask_code, mask_command, mask_config, mask_line
from runstream.capture.secret_patterns import BY_SIGN


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "--api-key", "AWS_SECRET_ACCESS_KEY", "dbPass", "MYSQL_PWD", "github_token", "apiKey",
     "model.openai.api_key", "PAT", "slack_webhook", "pass", "clientSecret"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["eos_token", "max_tokens", "tokenizer", "sort_key", "key", "num_passes", "forward_pass", "keyboard", "path",
     "password_file", "secret_name", "patience", "author", "compass", "image_key", "passenger", ""],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


def test_a_config_keeps_everything_that_is_no_secret() -> None:
    config = {"lr": 0.1, "tokens": ["<pad>", "</s>"], "pad_token": "<pad>", "data": {"path": "s3://bucket/a", "n": 3},
              "revision": "9b1d2e8c4a5f60718293a4b5c6d7e8f901234567", "password": None, "use_password": True,
              "notes": "the token is kept elsewhere", "id": "3f2c1a7e-9b1d-4c5f-8071-8293a4b5c6d7"}  # fmt: skip
    assert mask_config(config) == config


def test_a_config_loses_its_secrets_at_any_depth() -> None:
    config = {
        "stores": [{"password": "x"}, {"url": "redis://:pw@h"}],
        "a": {"api_keys": ["k1", "k2"]},
        "token": "aB3" * 6,
    }
    assert mask_config(config) == {
        "stores": [{"password": MASK}, {"url": f"redis://{MASK}@h"}],
        "a": {"api_keys": [MASK, MASK]},
        "token": MASK,
    }


def test_a_config_that_holds_itself_ends() -> None:
    config: dict[str, object] = {"lr": 0.1}
    config["self"] = config
    assert mask_config(config)["lr"] == 0.1


def test_what_follows_an_option_with_a_secrets_name_is_masked() -> None:
    command = ["train.py", "--token", "abc", "--epochs", "3", "--db.password=x", "--password", "--fast", "k" * 30]
    expected = ["train.py", "--token", MASK, "--epochs", "3", f"--db.password={MASK}", "--password", "--fast", "k" * 30]
    assert mask_command(command) == expected


@pytest.mark.parametrize(
    "line",
    ["+token = tokens[0]", "+def ask(self, credential: Credential, request: Any) -> Any:", "-password = read(file)",
     "+    api_key=self._api_key,", "index 1234567..89abcde 100644", "+token: str", "+from a.b import pass_through",
     "git@github.com:org/repo.git", "ssh://git@host/repo.git", "tokens/s=13442 lr=1e-4 loss=0.4331"],
)  # fmt: skip
def test_code_stays_readable(line: str) -> None:
    assert mask_code(line) == line


def test_what_is_assigned_in_code_is_masked() -> None:
    assert mask_code('+PASSWORD = "hunter"') == f'+PASSWORD = "{MASK}"'
    assert mask_code("+DB_PASSWORD=hunter") == f"+DB_PASSWORD={MASK}"
    assert mask_code("+  password: hunter") == f"+  password: {MASK}"
    assert mask_line("login with password: hunter2, then") == f"login with password: {MASK}, then"


def test_urls_keep_what_is_no_secret() -> None:
    assert mask("https://u:p@h/x?sig=abc&page=2") == f"https://{MASK}@h/x?sig={MASK}&page=2"
    assert mask("https://token@git.example/x.git") == f"https://{MASK}@git.example/x.git"


def test_every_shape_is_looked_for_by_a_text_that_it_contains() -> None:
    for sign, shape in BY_SIGN:
        assert sign and sign in shape.pattern.replace("\\", "")


def test_variables_are_kept_by_name() -> None:
    variables = {
        "CUDA_VISIBLE_DEVICES": "0",
        "RUNSTREAM_API_KEY": "k",
        "DB_PASS": "p",
        "MY_FLAG": "1",
        "MY_SECRET": "s",
    }
    assert kept_variables(variables) == {"CUDA_VISIBLE_DEVICES": "0", "RUNSTREAM_API_KEY": MASK}
    assert kept_variables(variables, ["MY_*"])["MY_FLAG"] == "1"
    assert kept_variables(variables, ["MY_*"])["MY_SECRET"] == MASK


@pytest.mark.parametrize("masked", [mask_line, mask_code])
@pytest.mark.parametrize("word", ["step", "x" * 5000, "é "])
def test_a_long_line_is_kept_whole_and_searched_to_its_end(masked: Callable[[str], str], word: str) -> None:
    line = f"{word} " * (20_000 // len(word)) + "password: hunter2"
    assert masked(line) == line.removesuffix("hunter2") + MASK


@pytest.mark.parametrize("masked", [mask_line, mask_code])
@pytest.mark.parametrize(
    "secret", ["password: hunter2", "Authorization: Bearer abcdefgh12345678", "token = s3cretvalue99"]
)
def test_a_long_line_is_not_parted_between_a_secret_and_its_name(masked: Callable[[str], str], secret: str) -> None:
    for shift in range(60):
        line = "w " * ((4096 - shift) // 2) + secret + " tail" * 900
        assert secret.split()[-1] not in masked(line)
