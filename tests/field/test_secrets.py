"""Secrets that lie about where a training is started: nothing that is stored or printed has them (kind 13).

W&B's public reports of keys in recorded arguments, environments and diffs; MLflow's of passwords in tracking URIs.
"""

from __future__ import annotations

import os
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

from tests.field.user import rows
from tests.support.stack import ServiceStack

_DRAW = random.Random(4)


def drawn(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    """So that no detector of other people's takes this file for a leak."""
    return "".join(_DRAW.choice(letters) for _ in range(length - 1)) + "7"


HEX, UPPER = "0123456789abcdef", string.ascii_uppercase + string.digits
SECRETS = {
    "gitlab": "glpat-" + drawn(20),
    "github": "ghp_" + drawn(36),
    "aws": "AKIA" + drawn(16, UPPER),
    "openai": "sk-proj-" + drawn(40),
    "hugging face": "hf_" + drawn(34),
    "slack": "https://hooks.slack.com/services/T" + drawn(8, UPPER) + "/B" + drawn(8, UPPER) + "/" + drawn(24),
    "jwt": "eyJ" + drawn(20) + ".eyJ" + drawn(30) + "." + drawn(40),
    "stripe": "sk_live_" + drawn(24),
    "sendgrid": "SG." + drawn(22) + "." + drawn(43),
    "google": "AIza" + drawn(35),
    "npm": "npm_" + drawn(36),
    "telegram": drawn(9, "123456789") + ":" + drawn(35),
    "ours": "rs_" + drawn(12, HEX) + "_" + drawn(43),
}
PLAIN = {
    name: "Swordfish-" + drawn(6) for name in ("db", "mysql", "config", "nested", "flag", "url", "diff", "console")
}
SIGNATURE, RANDOM_WORD, KEY_BODY = drawn(43) + "%3D", drawn(40), drawn(64)
SCRIPT = """
import os, runstream, sys
run = runstream.init(id="r", config={
    "lr": 0.1, "db_password": os.environ["S_config"], "eos_token": "</s>", "sort_key": "name", "max_tokens": 512,
    "store": {"user": "u", "passwd": os.environ["S_nested"], "urls": ["postgres://u:" + os.environ["S_url"] + "@h/db"]},
    "hub": os.environ["S_hugging face"], "revision": "9b1d2e8c4a5f60718293a4b5c6d7e8f901234567",
})
run.config.update({"late": {"api_key": os.environ["S_config"]}, "gitlab": os.environ["S_gitlab"]})
print("password:", os.environ["S_console"])
print("GET https://x.example/a?sig=" + os.environ["S_sig"] + "&x=1")
for name, value in os.environ.items():
    if name.startswith("T_"):
        print("found", value, "there")
run.log({"loss": 1.0})
run.finish()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with a token in its remote, and secrets in what is not committed."""
    folder = tmp_path / "code"
    folder.mkdir()
    for arguments in (
        ("init", "-q"),
        ("config", "user.email", "a@b"),
        ("config", "user.name", "a"),
        ("remote", "add", "origin", f"https://oauth2:{SECRETS['gitlab']}@git.example/x.git"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    (folder / "settings.py").write_text("import os\n")
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    subprocess.run(["git", "commit", "-qm", "one"], cwd=folder, check=True)
    lines = [
        "import os",
        f'PASSWORD = "{PLAIN["diff"]}"',
        f"client = Client('{RANDOM_WORD}')",
        "-----BEGIN RSA PRIVATE KEY-----",
        KEY_BODY,
        "-----END RSA PRIVATE KEY-----",
        "learning_rate = 0.25",
        *(f"k{number} = '{secret}'" for number, secret in enumerate(SECRETS.values())),
    ]
    (folder / "settings.py").write_text("\n".join(lines) + "\n")
    (folder / "train.py").write_text(SCRIPT)
    return folder


def test_no_secret_is_stored_or_printed(stack: ServiceStack, project: str, place: Path, spool: Path) -> None:
    variables = {
        **{f"S_{name}": secret for name, secret in (SECRETS | PLAIN).items()},
        **{f"T_{name}": secret for name, secret in SECRETS.items()},
        "S_sig": SIGNATURE,
        "S_random": RANDOM_WORD,
        "OMP_NUM_THREADS": "3",
        "DB_PASS": PLAIN["db"],
        "MYSQL_PWD": PLAIN["mysql"],
        "PAT": SECRETS["gitlab"],
        "HF_TOKEN": "short-5",
        "SLURM_JOB_COMMENT": f"use {SECRETS['aws']}",
        "RUNSTREAM_CONSOLE": "auto",
    }
    arguments = ["--db-pass", PLAIN["flag"], f"--dsn=mysql://u:{PLAIN['url']}@h/db", RANDOM_WORD, *SECRETS.values()]
    done = subprocess.run(
        [sys.executable, "train.py", "--epochs", "3", *arguments],
        cwd=place,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stored = everything(stack, f"main/{project}")
    kept = [path for path in spool.rglob("*") if path.is_file() and path.name != "credentials.json"]
    printed = (*(path.read_text(errors="replace") for path in kept), *logs(stack), done.stderr)
    values = {**SECRETS, **PLAIN, "sig": SIGNATURE, "random": RANDOM_WORD, "key": KEY_BODY}
    found = {name for name, value in values.items() if value in stored}
    assert not found, f"stored: {sorted(found)}"
    assert not {name for name, value in values.items() if any(value in text for text in printed)}
    for kept_word in (
        "0.25",
        "OMP_NUM_THREADS",
        "</s>",
        "512",
        "9b1d2e8c4a5f60718293a4b5c6d7e8f901234567",
        "git.example",
    ):
        assert kept_word in stored, f"{kept_word} is no secret"
    assert "--epochs" in stored and "postgres://***@h/db" in stored and "short-5" not in stored


def everything(stack: ServiceStack, project: str) -> str:
    """All texts of a project, of each table that has any."""
    tables = rows(stack, "SELECT DISTINCT table FROM system.columns WHERE database = 'default' AND name = 'project'")
    found = [rows(stack, f"SELECT * FROM `{table}` WHERE project = {{p:String}}", p=project) for (table,) in tables]
    text = "\n".join(str(value) for part in found for row in part for value in row)
    return text.replace("\\/", "/")


def logs(stack: ServiceStack) -> list[str]:
    return [path.read_text(errors="replace") for path in stack.folder.glob("*.log")]


def test_a_well_kept_detector_finds_nothing_in_what_is_left(place: Path) -> None:
    """The shapes of `shapes.py` against those that others keep: it finds what is planted, and nothing after."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    from runstream.capture.masking import mask, mask_code

    planted = {
        "ArtifactoryDetector": " AKC" + drawn(12),
        "AWSKeyDetector": "AKIA" + drawn(16, UPPER),
        "AzureStorageKeyDetector": "AccountKey=" + drawn(86) + "==",
        "BasicAuthDetector": "https://user:" + drawn(12) + "@host/x",
        "DiscordBotTokenDetector": "M" + drawn(23) + "." + drawn(6) + "." + drawn(27),
        "GitHubTokenDetector": "ghs_" + drawn(36),
        "GitLabTokenDetector": "glpat-" + drawn(20),
        "JwtTokenDetector": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + drawn(43),
        "MailchimpDetector": drawn(32, HEX) + "-us11",
        "NpmDetector": "//registry.example/:_authToken=npm_" + drawn(36),
        "OpenAIDetector": "sk-" + drawn(20) + "T3BlbkFJ" + drawn(20),
        "PrivateKeyDetector": "-----BEGIN OPENSSH PRIVATE KEY-----",
        "PypiTokenDetector": "pypi-AgEIcHlwaS5vcmc" + drawn(80),
        "SendGridDetector": "SG." + drawn(22) + "." + drawn(43),
        "SlackDetector": "xoxb-" + drawn(12, "0123456789") + "-" + drawn(24),
        "SquareOAuthDetector": "sq0csp-" + drawn(43),
        "StripeDetector": "sk_live_" + drawn(24),
        "TelegramBotTokenDetector": drawn(10, "123456789") + ":" + drawn(35),
        "TwilioKeyDetector": "SK" + drawn(32, HEX),
    }
    with transient_settings({"plugins_used": [{"name": name} for name in planted]}):
        for name, text in planted.items():
            assert list(scan_line(text)), f"{name} does not know {text}"
            assert not list(scan_line(mask(text))), f"{name} still finds {mask(text)}"
        for line in mask_code((place / "settings.py").read_text()).split("\n"):
            assert not list(scan_line(line)), line
