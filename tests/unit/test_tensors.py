"""The safetensors container: what is refused, and that ours is the package's own."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from raiw.errors import InvalidTensors, TooLarge
from raiw.tensors import (
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    header_end,
    read_header,
    write_header,
)


def entry(dtype="F32", shape=(2, 3), offsets=(0, 24)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def container(document, payload=b""):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return len(text).to_bytes(8, "little") + text + payload


def test_reads_what_the_package_writes():
    arrays = {
        "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.zeros((3,), np.uint8),
        "scalar": np.array(1.5),
        "empty": np.zeros((0, 4), np.float16),
    }
    data = save(arrays, {"note": "é\n"})
    header = read_header(data, len(data))
    assert header.size == len(data)
    assert header.metadata == {"note": "é\n"}
    for name, array in arrays.items():
        tensor = header.tensors[name]
        assert tensor.shape == array.shape
        assert data[tensor.start : tensor.end] == array.tobytes()


def test_writes_the_packages_own_bytes():
    arrays = {
        "z": np.ones((3, 5), np.float32),
        "a": np.zeros(7, np.uint8),
        "h": np.ones(3, np.float16),
        "d": np.ones((2, 2)),
        "b": np.ones(2, np.bool_),
    }
    codes = {"float32": "F32", "uint8": "U8", "float16": "F16", "float64": "F64", "bool": "BOOL"}
    metadata = {"raiw": '{"é":"\\n"}'}
    start, tensors = write_header(
        ((name, codes[str(array.dtype)], array.shape) for name, array in arrays.items()), metadata
    )
    data = start + b"".join(arrays[tensor.name].tobytes() for tensor in tensors)
    assert data == save(arrays, metadata)
    assert all(np.array_equal(load(data)[name], array) for name, array in arrays.items())


def test_an_upload_is_judged_from_its_first_bytes():
    data = save({"w": np.zeros((64, 64), np.float32)})
    needed, prefix = header_end(b""), b""
    while len(prefix) < needed:
        prefix = data[:needed]
        needed = header_end(prefix)
    assert len(prefix) == len(data) - 64 * 64 * 4
    assert read_header(prefix, len(data)).size == len(data)
    assert read_header(prefix).size == len(data)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"[]", "not a safetensors file"),
        (b"{", "not valid JSON"),
        (b"{}}", "not valid JSON"),
        (b'{"a":\xff}', "not valid JSON"),
        (b'{"a":' + b"[" * 50_000, "not valid JSON"),
        (b'{"a":1' + b"0" * 5000 + b"}", "not valid JSON"),
        (b'{"a":{},"a":{}}', "'a' twice"),
        (b'{"a":{"dtype":"F32","dtype":"F64"}}', "'dtype' twice"),
        ({"a": []}, "exactly dtype"),
        ({"a": {**entry(), "x": 1}}, "exactly dtype"),
        ({"a": entry(dtype="F33")}, "unknown dtype 'F33'"),
        ({"a": entry(dtype=["F32"])}, "unknown dtype"),
        ({"a": entry(shape=(2, -3))}, "whole numbers"),
        ({"a": entry(shape=(2, 3.0))}, "whole numbers"),
        ({"a": entry(shape=(True, 6))}, "whole numbers"),
        ({"a": entry(shape=(2**63, 6))}, "whole numbers"),
        ({"a": entry(shape=(2**62, 2**62, 2**62))}, "needs"),
        ({"a": entry(shape=(2, 4))}, "needs 32 bytes"),
        ({"a": entry(offsets=(24, 0))}, "needs 24 bytes"),
        ({"a": entry(offsets=(0, 24, 24))}, "needs 24 bytes"),
        ({"a": entry(dtype="F4", shape=(3,), offsets=(0, 1))}, "needs 2 bytes"),
        ({"a": entry(offsets=(8, 32))}, "leaves a hole"),
        ({"a": entry(), "b": entry(offsets=(32, 56))}, "leaves a hole"),
        ({"a": entry(), "b": entry(offsets=(16, 40))}, "overlaps"),
        ({"a": entry(), "b": entry()}, "overlaps"),
        ({"": entry()}, "not allowed"),
        ({"x" * 257: entry()}, "not allowed"),
        ({'<script>"': entry()}, "not allowed"),
        ({"__metadata__": {"a": 1}}, "strings to strings"),
        ({"__metadata__": ["a"]}, "strings to strings"),
    ],
)
def test_a_malformed_header_is_refused(document, said):
    with pytest.raises(InvalidTensors, match=said):
        read_header(container(document))


@pytest.mark.parametrize(
    "document",
    [
        {"a": entry(shape=(1,) * 8 + (6,))},
        {"__metadata__": {"a": "b" * (64 << 10)}},
        {str(i): entry(shape=(), offsets=(4 * i, 4 * i + 4)) for i in range(MAX_TENSORS + 1)},
        b'{"a":[' + b"[]," * 200_000 + b"[]]}",
    ],
)
def test_a_header_over_a_limit_is_refused(document):
    with pytest.raises(TooLarge) as caught:
        read_header(container(document))
    assert caught.value.details["limit"] > 0


def test_a_header_of_100_megabytes_is_refused_by_nine_bytes():
    with pytest.raises(TooLarge, match=str(MAX_HEADER_BYTES)):
        header_end((100 << 20).to_bytes(8, "little") + b"{")


def test_files_of_other_formats_are_told_so():
    with pytest.raises(InvalidTensors, match="save_file"):
        header_end(b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00")


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 40, -1])
def test_a_truncated_file_is_refused(cut):
    data = save({"w": np.zeros((4, 4), np.float32)})[:cut]
    with pytest.raises(InvalidTensors, match="truncated"):
        read_header(data, len(data))


def test_bytes_after_the_last_tensor_are_refused():
    data = save({"w": np.zeros((4, 4), np.float32)}) + b"\0"
    with pytest.raises(InvalidTensors, match="followed by other bytes"):
        read_header(data, len(data))
