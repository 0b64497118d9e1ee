"""How labs are numbered: up to three, the number of brokers."""

from __future__ import annotations

DISK_LAB = 11
"""The lab of one broker whose disks are small: `DiskLab`."""
FOREIGN_LAB = 12
"""The embedded lab with PostgreSQL and S3: `ForeignLab`."""
UP_LAB = 13
"""`runstream up`: `uplab.UpLab`."""
LAB_NAMES = {
    0: "embedded",
    1: "1 broker",
    3: "3 brokers",
    DISK_LAB: "small disk",
    FOREIGN_LAB: "foreign",
    UP_LAB: "up",
}
