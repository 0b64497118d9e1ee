"""Many hostile documents for little: a stock that hypothesis drew, and what chance makes of it.

Hypothesis takes a tenth of a second for an example of this kind; a document that is bred takes microseconds.
"""

from __future__ import annotations

import copy
import random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

ALARMING = tuple("\ud800\udcfc\udfff\0\x1e\x1f\n\r\\\"'`é\U0001f600") + ("%s", "{}")
_STOCK = 400
_SEPARATORS = (".", "/", "*", " ", "")


def drawn(strategy: st.SearchStrategy[Any], count: int, seed: int) -> list[Any]:
    """Return about so many examples, the same for the same seed."""
    found: list[Any] = []

    def keep(one: Any) -> None:
        found.append(one)

    bounded = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seeded(seed)(bounded(given(strategy)(keep)))()
    return found


class Breeder:
    """Texts and documents without end, the same for the same seed."""

    def __init__(self, texts: st.SearchStrategy[str], documents: st.SearchStrategy[Any], seed: int) -> None:
        self._texts = drawn(texts, _STOCK, seed)
        drawn_documents = drawn(documents, _STOCK, seed)
        self._documents = [one for one in drawn_documents if _is_cheap(one)]
        self._dear = [one for one in drawn_documents if not _is_cheap(one)]
        self._random = random.Random(seed)

    def other(self, seed: int) -> Breeder:
        """Return one of the same stock for another thread."""
        found = copy.copy(self)
        found._random = random.Random(seed)
        return found

    def text(self) -> str:
        """Return one that is short most of the time, and 300,000 characters long once in ten thousand."""
        chance = self._random
        text = self._short()
        match chance.randrange(8):
            case 0:
                at = chance.randint(0, len(text))
                text = text[:at] + chance.choice(ALARMING) + text[at:]
            case 1 | 2:
                text += chance.choice(_SEPARATORS) + self._short()
            case 3:
                text = text[::-1]
            case 4:
                text = f"{text}{chance.getrandbits(chance.choice((8, 64)))}"
        if chance.random() < 0.005:
            return text * chance.randint(2, 200)
        if chance.random() < 0.0001 and text:
            return (text * (300_000 // len(text) + 1))[:300_000]
        return text

    def document(self) -> Any:
        """Return one that is small most of the time, deep or long once in fifty, up to 1200 levels deep once in a
        thousand, and 2 MiB large once in fifty thousand."""
        chance = self._random
        found = chance.choice(self._documents if chance.random() < 0.98 else self._dear)
        match chance.randrange(8):
            case 0:
                found = {self.text(): found}
            case 1:
                found = [found, self.text()]
            case 2:
                found = {self._short(): found, self._short(): self.text()}
            case 3 | 4:
                found = self.text()
            case 5:
                found = chance.choice((chance.random(), chance.getrandbits(80), -1e308, None, 10**400, {1, 2}))
        if chance.random() < 0.001:
            for level in range(chance.randint(20, 1200)):
                found = [found] if level % 3 else {"k": found}
        if chance.random() < 0.005:
            found = [found, float("nan")]
        if chance.random() < 0.00002:
            found = {"large": "\x7f" * (2 << 20), "beside": found}
        return found

    def _short(self) -> str:
        text = self._random.choice(self._texts)
        return text if len(text) < 200 or self._random.random() < 0.01 else text[:20]


def _is_cheap(document: Any, levels: int = 6) -> bool:
    if isinstance(document, (dict, list)):
        items = document.values() if isinstance(document, dict) else document
        return levels > 0 and all(_is_cheap(item, levels - 1) for item in items)
    return not isinstance(document, str) or len(document) < 2000
