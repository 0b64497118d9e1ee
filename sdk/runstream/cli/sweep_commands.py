"""The commands `runstream sweep` and `runstream agent`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType

from runstream.errors import InvalidRequestError, UsageError
from runstream.sweeps import view
from runstream.sweeps.client import Client
from runstream.sweeps.create import as_json, create, described, import_yaml, read_yaml
from runstream.sweeps.front import front_of
from runstream.sweeps.registration import check_place, open_session
from runstream.sweeps.sweep_info import SweepInfo, TrialInfo, flat, parse_path

_ORDERS = {
    "pause": "no new trials for now",
    "resume": "go on",
    "stop": "no new trials; those that run go on to their end",
    "cancel": "end it, and the trials that run",
}
_USAGE = """runstream sweep CONFIG.yaml [--project P] [--entity T] [--name N] [--prior-run RUN]
       runstream sweep CONFIG.yaml --update SWEEP
       runstream sweep show SWEEP [--watch] [--top K] [--json]
       runstream sweep best SWEEP [--yaml | --json]
       runstream sweep list [--project P] [--entity T]
       runstream sweep --pause | --resume | --stop | --cancel SWEEP"""


def sweep(argv: list[str]) -> int:
    """Create a sweep from its configuration, show it, and control it."""
    commands = {"show": _show, "best": _best, "list": _list}
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    parser = argparse.ArgumentParser(prog="runstream sweep", usage=_USAGE, description=sweep.__doc__)
    parser.add_argument(
        "target",
        help="the configuration file (YAML or JSON); with an order: SWEEP, project/SWEEP or team/project/SWEEP",
    )
    parser.add_argument("-p", "--project", help="made where it does not exist")
    parser.add_argument("-e", "--entity", "--team", help="default: the API key's team")
    parser.add_argument("--name", help="in place of the configuration's")
    parser.add_argument(
        "--prior-run",
        "--prior_run",
        "-R",
        action="append",
        default=[],
        metavar="RUN",
        help="a run of the project to learn from; may be repeated",
    )
    parser.add_argument("--check", action="store_true", help="make nothing; say what would be made")
    parser.add_argument(
        "--update",
        metavar="SWEEP",
        help="change a sweep that was made: its run_cap, max_parallel, retries, budget, name, description",
    )
    orders = parser.add_mutually_exclusive_group()
    for order, meaning in _ORDERS.items():
        orders.add_argument(f"--{order}", dest="order", action="store_const", const=order, help=meaning)
    arguments = parser.parse_args(argv)
    if arguments.order and arguments.update:
        raise UsageError(f"--update and --{arguments.order}: one at a time")
    if arguments.update:
        return _update(arguments)
    return _order(arguments) if arguments.order else _create(arguments)


def _create(arguments: argparse.Namespace) -> int:
    config = read_yaml(Path(arguments.target))
    if arguments.name:
        config["name"] = arguments.name
    client = Client()
    info = create(client, config, arguments.entity, arguments.project, arguments.prior_run, check_only=arguments.check)
    if arguments.check:
        print(*(f"note: {note}\n" for note in info.notes), f"this is a sweep: {described(info)}", sep="")
        return 0
    # In a pipe or `$(...)` only the id goes to standard output; the text for people goes to standard error.
    people = sys.stdout if sys.stdout.isatty() else sys.stderr
    for note in info.notes:
        print(f"note: {note}", file=people)
    print(f"sweep {info.id} made: {described(info)}", file=people)
    print(f"  start agents:  runstream agent {info.path}", file=people)
    print(f"  look at it:    runstream sweep show {info.path} --watch", file=people)
    if people is not sys.stdout:
        print(info.id)
    return 0


def _update(arguments: argparse.Namespace) -> int:
    client = Client()
    config = read_yaml(Path(arguments.target))
    info = _find(client, arguments.update, arguments)
    if arguments.name:
        config["name"] = arguments.name
    now = SweepInfo.of(client.call("UpdateSweep", sweep=info.id, definition_json=as_json(config)))
    print(f"sweep {now.id} changed: {described(now)}")
    if now.state == "finished":
        print(f"  it is finished ({now.reason}); go on with:  runstream sweep --resume {now.path}")
    return 0


def _order(arguments: argparse.Namespace) -> int:
    client = Client()
    info = _find(client, arguments.target, arguments)
    found = client.call("CommandSweep", sweep=info.id, command=f"SWEEP_COMMAND_{arguments.order.upper()}")
    now = SweepInfo.of(found)
    print(f"sweep {now.id} is {now.state}" + (f": {now.reason}" if now.reason else ""))
    return 0


def _show(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="runstream sweep show", description="How a sweep stands: trials, best so far, rate, time left."
    )
    _add_sweep(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="again and again, until the sweep is over")
    parser.add_argument("--interval", type=float, default=2.0, metavar="S", help="seconds between two looks")
    parser.add_argument("-k", "--top", type=int, default=10, help="how many of the best (1 to 100)")
    parser.add_argument("--json", action="store_true", help="what the server says, as JSON")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.top <= 100:
        raise InvalidRequestError(f"--top is {arguments.top}: 1 to 100")
    client = Client()
    info = _find(client, arguments.sweep, arguments)
    if arguments.json:
        print(json.dumps(client.call("GetSweepSummary", sweep=info.id, top=arguments.top), indent=1))
        return 0
    if arguments.watch:
        _watch(client, info.id, arguments.top, max(arguments.interval, 0.2))
    else:
        _print(view.look(client, info.id, arguments.top))
    return 0


def _watch(client: Client, sweep: str, top: int, interval_s: float) -> None:
    rich = _rich()
    seen = view.look(client, sweep, top)
    if rich is None or not sys.stdout.isatty():
        while True:
            clear = "\033[2J\033[H" if sys.stdout.isatty() else ""
            print(clear + view.plain(seen, _width()), end="\n\n", flush=True)
            if seen.over:
                return
            time.sleep(interval_s)
            seen = view.look(client, sweep, top)
    import rich.live

    with rich.live.LiveMethods(view.rich_view(seen, rich), auto_refresh=False) as live:
        while not seen.over:
            time.sleep(interval_s)
            seen = view.look(client, sweep, top)
            live.update(view.rich_view(seen, rich), refresh=True)


def _print(seen: view.View) -> None:
    rich = _rich()
    if rich is None or not sys.stdout.isatty():
        print(view.plain(seen, _width()))
    else:
        import rich.console

        rich.console.Console().print(view.rich_view(seen, rich))


def _rich() -> ModuleType | None:
    try:
        import rich
    except ImportError:
        return None
    return rich


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def _best(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="runstream sweep best", description="The best trial's configuration, ready to copy."
    )
    _add_sweep(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--yaml", action="store_true", help="as YAML: what init(config=FILE) takes")
    form.add_argument("--json", action="store_true", help="as JSON")
    arguments = parser.parse_args(argv)
    client = Client()
    info = _find(client, arguments.sweep, arguments)
    trials = list(front_of(client, info.id))
    if not trials:
        print(f"runstream sweep best: the sweep {info.id} has no trial with a value yet", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(trials[0].parameters if len(trials) == 1 else [one.parameters for one in trials], indent=1))
    elif arguments.yaml:
        yaml = import_yaml()
        parts = [f"# {_said(info, one)}\n{yaml.safe_dump(one.parameters, sort_keys=False)}" for one in trials]
        print("---\n".join(parts), end="")
    else:
        for one in trials:
            print(_said(info, one))
            for name, value in flat(one.parameters).items():
                print(f"  {name} = {value!r}")
    return 0


def _said(info: SweepInfo, trial: TrialInfo) -> str:
    values = ", ".join(
        f"{objective.metric} {view.value_text(value)}"
        for objective, value in zip(info.objectives, trial.values, strict=False)
    )
    return f"sweep {info.id}, trial {trial.number}, run {trial.run or '-'}: {values}"


def _list(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="runstream sweep list", description="The sweeps of a project.")
    parser.add_argument("-p", "--project", help="default: RUNSTREAM_PROJECT")
    parser.add_argument("-e", "--entity", "--team", help="default: the API key's team")
    arguments = parser.parse_args(argv)
    client = Client()
    settings = client.settings
    table = view.list_sweeps(client, arguments.entity or settings.entity, arguments.project or settings.project)
    print(view.plain_table(table, _width()) if table.rows else "there are no sweeps")
    return 0


def agent(argv: list[str]) -> int:
    """Run a sweep's trials on this machine until none are left."""
    from runstream.sweeps.command_agent import CommandAgent, check_parallel
    from runstream.sweeps.gpu_binding import Devices, find_devices, lock_folder

    parser = argparse.ArgumentParser(prog="runstream agent", description=agent.__doc__)
    _add_sweep(parser)
    parser.add_argument("--count", type=int, metavar="N", help="end after so many trials")
    parser.add_argument(
        "--gpus-per-trial",
        type=int,
        metavar="K",
        help="bind each trial to K free GPUs, and run as many at once as that allows",
    )
    parser.add_argument(
        "--gpus",
        metavar="LIST",
        help="the GPUs that may be used, by index or UUID; default: CUDA_VISIBLE_DEVICES, else all",
    )
    parser.add_argument("--parallel", type=int, metavar="N", help="trials at once; default: 1, or what the GPUs allow")
    parser.add_argument("--name", default="", help="this agent's name; default: made of the host's")
    arguments = parser.parse_args(argv)
    if arguments.count is not None and arguments.count < 1:
        raise UsageError(f"--count is {arguments.count}: 1 or more")
    client = Client()
    devices = None
    if arguments.gpus_per_trial is not None or arguments.gpus:
        names, check_busy = find_devices(arguments.gpus or client.settings.agent_gpus, os.environ)
        devices = Devices(names, arguments.gpus_per_trial or 1, check_busy, lock_folder())
    parallel = check_parallel(arguments.parallel, devices)
    session = open_session(arguments.sweep, arguments.entity, arguments.project, arguments.name, client)
    try:
        number = CommandAgent(session, arguments.count, parallel, devices).run()
    finally:
        session.close()
    return 128 + number if number else 0


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="SWEEP, project/SWEEP or team/project/SWEEP")
    parser.add_argument("-p", "--project", help=argparse.SUPPRESS)
    parser.add_argument("-e", "--entity", "--team", help=argparse.SUPPRESS)


def _find(client: Client, path: str, arguments: argparse.Namespace) -> SweepInfo:
    """Return the sweep at a path. Raises ApiError."""
    team, project, sweep = parse_path(path, arguments.entity, arguments.project)
    info = SweepInfo.of(client.call("GetSweep", sweep=sweep))
    check_place(info, team, project)
    return info
