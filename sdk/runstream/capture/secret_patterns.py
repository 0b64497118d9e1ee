"""The form of secrets, as those who issue them publish it: prefixes and lengths."""

from __future__ import annotations

import re

_PREFIXED = {
    r"[\w-]{20,}": ("rs_[0-9a-f]{6,16}_",),  # runstream's keys
    r"[\w-]{16,}": ("sk-", "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glimt-", "glft-", "gloas-", "glagent-")
    + ("glsoat-", "glffct-", "tskey-", "nvapi-", "dop_v1_", "doo_v1_", "dor_v1_", "sq0atp-", "sq0csp-", "sq0idp-"),
    r"\w{20,}": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "api_org_", "glsa_", "glc_", "lin_api_")
    + ("gsk_", "r8_", "xai-", "ntn_", "npm_", "whsec_"),
    r"\w{10,}": ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "pk_test_"),
    r"[\w-]{10,}": ("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
    r"[\w.-]{20,}": (
        "ya29.",
        "GOCSPX-",
        "AIza",
        "GR1348941",
        "hvs.",
        "hvb.",
        "hvr.",
        "pypi-",
        "PMAK-",
        "ATATT3",
        "SG.",
    ),
    r"[A-Z0-9]{16}\b": ("AKIA", "ASIA", "AGPA", "AIDA", "AROA", "AIPA", "ANPA", "ANVA", "ABIA", "ACCA"),
    r"[0-9a-f]{32}\b": ("dapi",),
    r"[A-Z0-9]{50,}": ("AGE-SECRET-KEY-1",),
    r"[A-Za-z0-9]{10,}": ("AKC",),  # Artifactory
    r"[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?": ("eyJ",),  # JSON web tokens
    r"=*[\w+/=-]{20,}": ("AccountKey", "SharedAccessKey", "SharedAccessSignature"),
}
"""Maps the pattern of a secret's rest to the prefixes that it follows."""
_WEBHOOKS = (
    *("hooks.slack.com/", "webhook.office.com/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"),
    *("chat.googleapis.com/v1/spaces/", "hooks.zapier.com/", "maker.ifttt.com/", "open.feishu.cn/open-apis/bot/"),
    *("oapi.dingtalk.com/robot/", "qyapi.weixin.qq.com/cgi-bin/webhook/"),
)
"""Addresses of webhooks: whoever has one may write there."""


def _sign(prefix: str) -> str:
    """Return a text that every secret with this prefix contains."""
    return prefix.partition("[")[0]


BY_SIGN = tuple(
    (_sign(prefix), re.compile(rf"(?<![A-Za-z0-9]){prefix if '[' in prefix else re.escape(prefix)}{rest}"))
    for rest, prefixes in _PREFIXED.items()
    for prefix in prefixes
) + tuple((address, re.compile(re.escape(address) + r"\S+")) for address in _WEBHOOKS)
"""Patterns, each with a text that every match contains: to look for this text first is a hundred times as fast."""
WITHOUT_SIGN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,38}"  # Discord
    r"|\d{8,10}:[\w-]{35}"  # Telegram
    r"|(?:AC|SK)[0-9a-f]{32}"  # Twilio
    r"|[0-9a-z]{32}-us\d{1,2}"  # Mailchimp
    r")(?![\w-])"
)
