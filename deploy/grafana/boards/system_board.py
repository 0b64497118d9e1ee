"""System metrics and GPUs, by node."""

from __future__ import annotations

from dashboard_model import OF_RUN, PROJECT, RUN, TEAM, Panel, dashboard, panel, query_variable, sql


def make() -> Panel:
    hosts = f"(SELECT run, rank, any(host) AS node FROM streams_now WHERE {OF_RUN} GROUP BY run, rank) AS hosts"
    join = f"INNER JOIN {hosts} ON hosts.run = points_now.run AND hosts.rank = points_now.rank"
    nodes = "hosts.node IN (${node:sqlstring})"

    def curve(title: str, metric: str, unit: str, width: int = 12, **more: object) -> Panel:
        """One curve a node, of one metric."""
        return panel(
            "timeseries",
            title,
            sql(
                f"""SELECT $__timeInterval(points_now.time) AS at, hosts.node AS node, avg(value) AS value
                FROM points_now {join} WHERE {OF_RUN.replace("run IN", "points_now.run IN")} AND metric = '{metric}'
                AND {nodes} AND $__timeFilter(points_now.time) GROUP BY at, node ORDER BY at, node""",
                "timeseries",
            ),
            width,
            unit=unit,
            **more,
        )

    def of_gpus(title: str, name: str, unit: str, width: int = 12, **more: object) -> Panel:
        """One curve a GPU of a node."""
        return panel(
            "timeseries",
            title,
            sql(
                f"""SELECT $__timeInterval(points_now.time) AS at,
                concat(hosts.node, ' GPU ', extract(metric, '^system/gpu[.]([0-9]+)[.]')) AS gpu, avg(value) AS value
                FROM points_now {join} WHERE {OF_RUN.replace("run IN", "points_now.run IN")}
                AND match(metric, '^system/gpu[.][0-9]+[.]{name}$') AND {nodes} AND $__timeFilter(points_now.time)
                GROUP BY at, gpu ORDER BY at, gpu""",
                "timeseries",
            ),
            width,
            unit=unit,
            **more,
        )

    return dashboard(
        "runstream-system",
        "System metrics and GPUs",
        "What each node's sampler saw: processors, memory, GPUs, network, disks.",
        [
            TEAM,
            PROJECT,
            RUN,
            query_variable(
                "node",
                "Nodes",
                f"SELECT DISTINCT host FROM streams_now WHERE {OF_RUN} AND host != '' ORDER BY host LIMIT 1000",
                many=True,
                everything=True,
            ),
        ],
        [
            of_gpus("GPU utilisation", "utilization_percent", "percent", 24, min=0, max=100),
            of_gpus("GPU memory", "memory_used_bytes", "bytes"),
            of_gpus("GPU power", "power_watts", "watt"),
            of_gpus("GPU temperature", "temperature_celsius", "celsius"),
            panel(
                "table",
                "Idlest GPUs",
                sql(
                    f"""SELECT hosts.node AS node, extract(metric, '^system/gpu[.]([0-9]+)[.]') AS gpu,
                    avg(value) AS mean_percent, quantile(0.1)(value) AS p10_percent, max(value) AS max_percent
                    FROM points_now {join} WHERE {OF_RUN.replace("run IN", "points_now.run IN")}
                    AND match(metric, '^system/gpu[.][0-9]+[.]utilization_percent$') AND {nodes}
                    AND $__timeFilter(points_now.time) GROUP BY node, gpu ORDER BY mean_percent LIMIT 50"""
                ),
                12,
            ),
            curve("CPU of the node", "system/cpu_percent", "percent"),
            curve("Memory of the node", "system/memory_percent", "percent"),
            curve("Memory of the process", "system/process.memory_rss_bytes", "bytes"),
            curve("CPU of the process", "system/process.cpu_percent", "percent"),
            curve("Network, received", "system/network_received_bytes_per_s", "Bps"),
            curve("Network, sent", "system/network_sent_bytes_per_s", "Bps"),
            curve("Disk, read", "system/disk_read_bytes_per_s", "Bps"),
            curve("Disk, written", "system/disk_written_bytes_per_s", "Bps"),
        ],
        since="now-6h",
    )
