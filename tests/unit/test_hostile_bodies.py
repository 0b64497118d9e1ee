"""Bodies that cost more than they weigh."""

from __future__ import annotations

import time
import tracemalloc

import pytest
import zstandard

from runstream_common.clickhouse.http_protocol import BadRequestError, unpack
from runstream_common.clickhouse.multipart import form_fields
from runstream_proto.v1 import saved_pb2
from runstream_query.base.errors import InvalidRequestError
from runstream_query.runs.large_values import MOST_IN_PAGE, MOST_KEYS_IN_PAGE, fitting
from runstream_query.transport.http.forms import fill

FORM = "multipart/form-data; boundary=B"
MOST = 1 << 20


def part(head: bytes, value: bytes = b"1") -> bytes:
    return b"--B\r\nContent-Disposition: form-data" + head + b"\r\n\r\n" + value + b"\r\n"


def test_no_room_is_made_for_a_size_that_a_frame_declares() -> None:
    packer = zstandard.ZstdCompressor().compressobj(size=256 << 20)
    body = b"".join(packer.compress(bytes(16 << 20)) for _ in range(16)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(BadRequestError, match="unpacks to more than 1048576"):
            unpack(body, "zstd", MOST)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("declared", [True, False])
def test_what_fits_is_unpacked_and_what_does_not_is_refused(declared: bool) -> None:
    packer = zstandard.ZstdCompressor(write_content_size=declared)
    assert unpack(packer.compress(bytes(MOST)), "zstd", MOST) == bytes(MOST)
    with pytest.raises(BadRequestError):
        unpack(packer.compress(bytes(MOST + 1)), "zstd", MOST)


def test_a_form_is_read_as_clickhouse_connect_writes_it() -> None:
    body = part(b'; name="query"', b"SELECT {x:String}") + part(b'; name="param_x"', "a\r\nü".encode()) + b"--B--\r\n"
    assert form_fields(FORM, body) == {"query": "SELECT {x:String}", "param_x": "a\r\nü"}


@pytest.mark.parametrize(
    "body",
    [
        b"".join(part(b'; name="a%d"' % n) for n in range(1001)) + b"--B--\r\n",
        part(b'; name="a"' + b'; x="y' * 50_000) + b"--B--\r\n",
        b"--B\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(20_000)) + b"\r\n1\r\n--B--\r\n",
        part(b'; name="a"', b"\xff") + b"--B--\r\n",
        part(b""),
        b"",
    ],
)
def test_a_form_that_costs_more_than_it_weighs_is_refused(body: bytes) -> None:
    before = time.process_time()
    with pytest.raises(BadRequestError):
        form_fields(FORM, body)
    # Of processor time, and thirty times what it takes: the parser before took 19 s.
    assert time.process_time() - before < 3


@pytest.mark.parametrize("value", [10**400, [-(10**400)], {"a": 10**400}])
def test_a_number_beyond_a_double_is_the_caller_s_mistake(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="does not fit"):
        fill(saved_pb2.UpdateRunsRequest(), {"project": "p", "config": {"lr": value}})


def test_a_page_ends_where_its_documents_are_too_much_for_an_answer() -> None:
    assert fitting([(100, 5000)] * 200) == 200
    assert fitting([(MOST_KEYS_IN_PAGE // 2, 0)] * 5) == 2
    assert fitting([(1, MOST_IN_PAGE // 4)] * 9) == 4
    assert fitting([(MOST_KEYS_IN_PAGE * 9, 0), (1, 1)]) == 1, "one run is always carried"
    assert fitting([]) == 0
