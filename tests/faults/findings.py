"""What a comparison found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    points: int = 0
    """Points and texts that are stored."""
    documents: int = 0
    """All else that is stored: histograms, tables, media, files, alerts, console lines, fields, ends of attempts."""
    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    incomplete: int = 0
    """Runs whose verdict is not `complete` although all is sent."""
    false_complete: int = 0
    """Runs that are called `complete` although a value is missing or wrong."""
    false_crashed: int = 0
    """Times that a run was seen crashed or failed while its processes lived."""
    lacking: set[str] = field(default_factory=set)
    """Runs of which a value is missing or wrong."""
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each of missing, doubled and wrong was found, by kind of what was logged."""
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (
            self.missing or self.doubled or self.wrong or self.incomplete or self.false_complete or self.false_crashed
        )

    def note(self, what: str, text: str, kind: str = "") -> None:
        """Count a finding. `kind`: of what was logged."""
        setattr(self, what, getattr(self, what) + 1)
        if kind:
            self.kinds[what, kind] += 1
        if len(self.examples) < 12 or (kind and self.kinds[what, kind] == 1):
            self.examples.append(f"{what}: {text}")

    def lack(self, what: str, key: tuple[object, ...], text: str) -> None:
        """Count a value of a run that is missing or wrong. `key`: kind, run, ..."""
        self.lacking.add(str(key[1]))
        self.note(what, text, str(key[0]))

    def by_kind(self) -> str:
        """As a line: "missing 3 (media 2, tables 1), doubled 0, wrong 0"."""
        found = []
        for what in ("missing", "doubled", "wrong"):
            kinds = [f"{kind} {count}" for (named, kind), count in sorted(self.kinds.items()) if named == what]
            found.append(f"{what} {getattr(self, what)}" + (f" ({', '.join(kinds)})" if kinds else ""))
        return ", ".join(found)
