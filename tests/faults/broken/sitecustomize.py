"""Takes one guard out of the product, in processes that have this folder on their path: see `tests.faults.sabotage`."""

import os
import sys

_NAME = os.environ.get("FAULTS_SABOTAGE", "")


class _Finder:
    """Breaks a module as soon as it is imported."""

    def __init__(self, module: str, breaker: str) -> None:
        self._module = module
        self._breaker = breaker

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != self._module:
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(name)
        loader, execute = spec.loader, spec.loader.exec_module

        def exec_module(module: object) -> None:
            del loader.get_code
            execute(module)
            getattr(_breakers(), self._breaker)(module)

        def get_code(name: str) -> object:
            """For `python -m`, which would run the module's text: run the broken module's `main`."""
            sys.meta_path.insert(0, self)
            return compile(f"import importlib\nimportlib.import_module({name!r}).main()", name, "exec")

        loader.exec_module = exec_module
        loader.get_code = get_code
        return spec


def _breakers():
    """By its place: a service of `runstream up` imports nothing from the current folder."""
    import importlib.util
    from pathlib import Path

    place = Path(__file__).resolve().parents[1] / "breakers.py"
    spec = importlib.util.spec_from_file_location("breakers", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if _NAME:
    _module, _, _breaker = _NAME.partition(":")
    sys.meta_path.insert(0, _Finder(_module, _breaker))
