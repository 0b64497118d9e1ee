"""`make graph`: print which room of each package imports which, floor by floor, and every circle.

A room is a module or a folder directly below a package, or below a folder that is asked for:
`python -m tests.support.import_graph runstream_query.runs`. Imports for types count.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = (
    "runstream",
    "runstream_common",
    "runstream_control",
    "runstream_ingestor",
    "runstream_query",
    "runstream_deploy",
)


def rooms_of(graph: grimp.ImportGraph, package: str) -> dict[str, dict[str, int]]:
    """Return for each room of `package` the rooms beside it that it imports, and by how many imports."""
    rooms: dict[str, dict[str, int]] = {child: {} for child in graph.find_children(package)}
    depth = package.count(".") + 2

    def room(module: str) -> str:
        return ".".join(module.split(".")[:depth])

    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = room(module), room(imported)
            if pair[0] != pair[1] and pair[0] in rooms and pair[1] in rooms:
                rooms[pair[0]][pair[1]] = rooms[pair[0]].get(pair[1], 0) + 1
    return rooms


def circle_of(graph: grimp.ImportGraph, package: str) -> list[str]:
    """Return the modules of one circle of imports within `package`; an empty list where there is none."""
    imports = {
        module: {one for one in graph.find_modules_directly_imported_by(module) if one.startswith(package)}
        for module in graph.modules
        if module == package or module.startswith(f"{package}.")
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def floors_of(rooms: dict[str, dict[str, int]]) -> list[list[str]]:
    """Return the rooms by floor, the lowest first. A room stands above all that it imports."""
    sorter = TopologicalSorter({room: set(below) for room, below in rooms.items()})
    sorter.prepare()
    floors = []
    while sorter.is_active():
        floor = sorted(sorter.get_ready())
        floors.append(floor)
        sorter.done(*floor)
    return floors


def main(arguments: list[str]) -> int:
    broken = False
    for package in arguments or PACKAGES:
        graph = grimp.build_graph(package.split(".")[0], cache_dir=None)
        rooms = rooms_of(graph, package)
        arrows = sum(len(below) for below in rooms.values())
        print(f"\n{package}: {len(rooms)} rooms, {arrows} arrows")
        if circle := circle_of(graph, package):
            broken = True
            print("  circle of modules: " + " -> ".join(circle))
        try:
            floors = floors_of(rooms)
        except CycleError as error:
            broken = True
            print("  circle of rooms: " + " -> ".join(error.args[1]))
            continue
        users: dict[str, int] = defaultdict(int)
        for below in rooms.values():
            for room in below:
                users[room] += 1
        for number, floor in reversed(list(enumerate(floors))):
            for room in floor:
                below = ", ".join(f"{name.split('.')[-1]} {count}" for name, count in sorted(rooms[room].items()))
                print(f"  {number:2}  {room.split('.')[-1]:22} <- {users[room]:2}   {below}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
