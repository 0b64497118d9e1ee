"""`run.config`: the values that a run was started with, as a dict with attribute access."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from runstream.base.plain import fields_of, key_text, to_plain
from runstream.errors import UsageError


class Config(MutableMapping[str, Any]):
    """The configuration of a run. Keys are strings; nested dicts are read by item, attribute or dotted name.

    Changing a key that has a value raises UsageError unless `update(..., allow_val_change=True)` is called:
    a configuration that changes while training runs is rarely meant.
    """

    def __init__(
        self,
        values: Mapping[str, object],
        on_change: Callable[[str, object], None],
        allow_val_change: bool = False,
        fixed: Mapping[str, object] | None = None,
    ) -> None:
        """Take the values.

        `fixed` are a sweep's parameters; they win over values that are set here or later, as in W&B.
        """
        object.__setattr__(self, "_fixed", dict(fixed or {}))
        object.__setattr__(self, "_values", merged(values, self._fixed))
        object.__setattr__(self, "_on_change", on_change)
        object.__setattr__(self, "_allow_change", allow_val_change)

    def update(self, *args: object, allow_val_change: bool | None = None, **kwargs: object) -> None:
        """Set several keys from a mapping, an argparse namespace, the path of a YAML file, or keywords."""
        for source in (*args, kwargs):
            for key, value in as_mapping(source).items():
                self._set(key, value, allow_val_change)

    def setdefaults(self, values: object) -> None:
        """Set the keys that have no value yet."""
        for key, value in as_mapping(values).items():
            if key not in self._values:
                self._set(key, value, None)

    def as_dict(self) -> dict[str, Any]:
        return dict(self._values)

    def _set(self, key: str, value: object, allow_change: bool | None = None) -> None:
        key = key_text(key)
        if key in self._fixed:
            value = self._keep_fixed(key, value)
        may = self._allow_change if allow_change is None else allow_change
        if not may and key in self._values and not _same(self._values[key], value):
            raise UsageError(
                f"config.{key} is {self._values[key]!r} already: "
                "use config.update({...}, allow_val_change=True) to change it"
            )
        self._values[key] = value
        self._on_change(key, value)

    def _keep_fixed(self, key: str, value: object) -> object:
        kept = merged({key: value}, {key: self._fixed[key]})[key]
        if not _same(kept, value) and not isinstance(value, Mapping):
            from runstream.base.notices import warn_once

            warn_once(f"config.{key} is a parameter of the sweep, {self._fixed[key]!r}: setting it is ignored")
        return kept

    def __getitem__(self, key: str) -> Any:
        if key not in self._values and "." in key:
            return _reach(self._values, key)
        return _readable(self._values[key])

    def get(self, key: str, default: object = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __setitem__(self, key: str, value: object) -> None:
        self._set(key, value)

    def __delitem__(self, key: str) -> None:
        raise UsageError("config keys cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"config has no key {key!r}") from None

    def __setattr__(self, key: str, value: object) -> None:
        self[key] = value

    def __repr__(self) -> str:
        return f"Config({self._values!r})"


class Section(dict[str, Any]):
    """A nested dict of a config, with attribute access: `config.optimizer.lr`."""

    def __getattr__(self, key: str) -> Any:
        try:
            return _readable(self[key])
        except KeyError:
            raise AttributeError(f"config has no key {key!r} here") from None


def _readable(value: object) -> Any:
    return Section(value) if type(value) is dict else value


def _reach(values: Mapping[str, object], path: str) -> Any:
    found: object = values
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise KeyError(path)
        found = found[part]
    return _readable(found)


def _same(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # arrays compare element by element
        return str(one) == str(other)


def merged(values: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Return `values` with `over` on top; two mappings under the same key are merged key by key."""
    found = dict(values)
    for key, value in over.items():
        below = found.get(key)
        if isinstance(value, Mapping) and not isinstance(below, Mapping):
            below = to_plain(below)  # an object's fields: only those that `value` names are replaced
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        found[key] = merged(below, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return found


def as_mapping(source: object) -> Mapping[str, object]:
    """Return the keys, as text, and values of `source`.

    `source` is a mapping, a namespace, a dataclass or another object with fields, or the path of a YAML or JSON file.
    The values are unchanged, except that OmegaConf's nodes become plain. Raises UsageError, and any exception that a
    foreign mapping raises when it is read.
    """
    if source is None:
        return {}
    if isinstance(source, (str, Path)):
        return _read_file(Path(source))
    if type(source).__module__.startswith("omegaconf"):
        source = to_plain(source)  # interpolations are resolved; those that cannot be resolved are kept as written
    if isinstance(source, Mapping):
        return {key_text(key): value for key, value in source.items()}
    fields = fields_of(source)
    if fields is None and isinstance(getattr(source, "_mapping", None), Mapping):
        fields = getattr(source, "_mapping", {})
    if fields is None and hasattr(source, "__dict__"):
        fields = {key: value for key, value in vars(source).items() if not key.startswith("_")}
    if fields is None:
        raise UsageError(f"a config is a dict, a namespace or a YAML file's path, not {type(source).__name__}")
    return {key_text(key): value for key, value in fields.items()}


def _read_file(path: Path) -> Mapping[str, object]:
    """Read a YAML or JSON file. W&B's config files have `{key: {value: ...}}`: the values are taken from it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"config is {str(path)!r}, a file that cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".json":
        import json

        try:
            found = json.loads(text)
        except ValueError as error:
            raise UsageError(f"the config file {path} is no JSON: {error}") from error
    else:
        try:
            import yaml
        except ImportError:
            raise UsageError("a config from a YAML file needs PyYAML: pip install pyyaml") from None
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"the config file {path} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"the config file {path} holds no mapping of names to values")
    found.pop("wandb_version", None)
    return {
        str(key): value["value"]
        if isinstance(value, dict) and "value" in value and value.keys() <= {"value", "desc"}
        else value
        for key, value in found.items()
    }


def selected(
    values: Mapping[str, object], include: Iterable[str] | None, exclude: Iterable[str] | None
) -> dict[str, object]:
    """Return `values` with only the keys in `include`, or without those in `exclude`.

    Raises UsageError when both are given.
    """
    if include and exclude:
        raise UsageError("give config_include_keys or config_exclude_keys, not both")
    if include:
        return {key: values[key] for key in include if key in values}
    left_out = set(exclude or ())
    return {key: value for key, value in values.items() if key not in left_out}
