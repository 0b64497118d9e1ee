"""The elements of dashboards: panels, queries, variables.

Panels flow from left to right and then down, on Grafana's grid of 24 columns. SQL uses the macros of Grafana's
ClickHouse datasource; it is run in a test as that datasource runs it.
"""

from __future__ import annotations

from typing import Any

CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "runstream-clickhouse"}
PROMETHEUS = {"type": "prometheus", "uid": "runstream-prometheus"}
COLUMNS = 24
Panel = dict[str, Any]


def sql(text: str, shape: str = "table", ref: str = "A") -> Panel:
    """`shape`: timeseries (the first column is a time; text columns become labels) or table."""
    return {
        "datasource": CLICKHOUSE,
        "editorType": "sql",
        "format": {"timeseries": 0, "table": 1}[shape],
        "queryType": shape,
        "rawSql": " ".join(text.split()),
        "refId": ref,
    }


def prom(expression: str, legend: str = "", ref: str = "A") -> Panel:
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend or "__auto",
        "range": True,
        "refId": ref,
    }


def panel(kind: str, title: str, targets: Panel | list[Panel], width: int, height: int = 8, **more: Any) -> Panel:
    """`more`: unit, description, options, custom, transformations, overrides."""
    targets = targets if isinstance(targets, list) else [targets]
    defaults: Panel = {"custom": {**_CUSTOM.get(kind, {}), **more.get("custom", {})}}
    for name in ("unit", "min", "max", "decimals"):
        if name in more:
            defaults[name] = more[name]
    return {
        "type": kind,
        "title": title,
        "description": more.get("description", ""),
        "datasource": targets[0]["datasource"],
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": {**_OPTIONS.get(kind, {}), **more.get("options", {})},
        "transformations": more.get("transformations", []),
        "gridPos": {"w": width, "h": height},
    }


_LINE = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "never", "spanNulls": True}
_CUSTOM: dict[str, Panel] = {"timeseries": _LINE, "trend": _LINE, "table": {"filterable": True}}
_LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
_ALL = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
_ROWS = {"values": True, "calcs": [], "fields": ""}
_OPTIONS: dict[str, Panel] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "none"}},
    "trend": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "none"}, "xField": "step"},
    "stat": {"reduceOptions": _ALL, "colorMode": "value", "graphMode": "none", "textMode": "auto"},
    "table": {"showHeader": True, "cellHeight": "sm"},
    "barchart": {"legend": {**_LEGEND, "showLegend": False}, "orientation": "auto", "showValue": "never"},
    "piechart": {"reduceOptions": _ROWS, "legend": {**_LEGEND, "placement": "right"}, "pieType": "donut"},
    "xychart": {"legend": {**_LEGEND, "showLegend": False}, "mapping": "auto", "series": []},
}
BY_SERIES = [
    {"id": "partitionByValues", "options": {"fields": ["series"], "keepFields": False, "naming": {"asLabels": False}}},
    {"id": "joinByField", "options": {"byField": "step", "mode": "outer"}},
]
"""Rows of step, series, value as one column a series, which is what a trend draws."""


def query_variable(name: str, label: str, text: str, *, many: bool = False, everything: bool = False) -> Panel:
    """Return a variable whose values a query gives: one column, or value and shown text."""
    current: Panel = {"text": ["All"], "value": ["$__all"]} if everything else {}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": CLICKHOUSE,
        "query": " ".join(text.split()),
        "definition": " ".join(text.split()),
        "refresh": 1,
        "sort": 0,
        "multi": many,
        "includeAll": everything,
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
        "current": current,
    }


def choice(name: str, label: str, values: list[str]) -> Panel:
    options = [{"text": value, "value": value, "selected": value == values[0]} for value in values]
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ",".join(values),
        "options": options,
        "current": {"text": values[0], "value": values[0]},
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "skipUrlSync": False,
    }


TEAM = query_variable("team", "Team", "SELECT DISTINCT team FROM streams_now ORDER BY team")
PROJECT = query_variable(
    "project",
    "Project",
    "SELECT DISTINCT project_name FROM streams_now WHERE team = ${team:sqlstring} ORDER BY project_name",
)
OF_PROJECT = "project = concat(${team:sqlstring}, '/', ${project:sqlstring})"
"""By the primary key: the two are put together before anything is read."""
OF_RUN = f"{OF_PROJECT} AND run IN (${{run:sqlstring}})"
_RUNS = f"""SELECT run, concat(name, ' (', run, ')') AS shown FROM runs_now
    WHERE {OF_PROJECT} ORDER BY created DESC LIMIT 200"""
RUNS = query_variable("run", "Runs", _RUNS, many=True)
RUN = query_variable("run", "Run", _RUNS)


def dashboard(
    uid: str, title: str, description: str, variables: list[Panel], panels: list[Panel], **more: Any
) -> Panel:
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["runstream"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": more.get("refresh", "30s"),
        "time": {"from": more.get("since", "now-24h"), "to": "now"},
        "fiscalYearStartMonth": 0,
        "templating": {"list": variables},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Runstream",
                "tags": ["runstream"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "icon": "external link",
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "panels": laid_out(panels),
    }


def laid_out(panels: list[Panel]) -> list[Panel]:
    """With ids and places: a row as high as its highest panel."""
    x = y = height = 0
    for number, one in enumerate(panels, start=1):
        place = one["gridPos"]
        if x + place["w"] > COLUMNS:
            x, y, height = 0, y + height, 0
        one["id"] = number
        one["gridPos"] = {"x": x, "y": y, **place}
        x, height = x + place["w"], max(height, place["h"])
    return panels


def unit_of(field: str, unit: str) -> Panel:
    """Return an override that sets a column's unit."""
    return {"matcher": {"id": "byName", "options": field}, "properties": [{"id": "unit", "value": unit}]}
