#!/usr/bin/env python3
"""Makes *.hex, the bytes of each frame in *.json, from the tables of docs/protocol.md.

A second encoder, which shares nothing with src/wire: the golden vectors are only worth something if
they do not come from the code that they test. Run it after the protocol or a JSON file has changed.
"""

import json
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).parent
PROTOCOL = HERE.parents[2] / "docs" / "protocol.md"

NUMBERS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "f32": "f", "f64": "d"}
ENUMERATORS = {"hop": {"f32": 1, "f16": 2}, "values": {"tokens": 0, "f32": 1, "f16": 2}}


def read_protocol():
    """{heading: (kind number or None, [(field, type)])} of every field table."""
    layouts = {}
    fields = None
    for line in PROTOCOL.read_text().splitlines():
        heading = re.match(r"### ([\w-]+)(?: \((\d+)\))?$", line)
        field = re.match(r"\| `(\w+)` \| `([\w ]+)` \|", line)
        if line.startswith("#"):
            fields = []
            if heading:
                number = int(heading[2]) if heading[2] else None
                layouts[heading[1]] = (number, fields)
        elif field and fields is not None:
            fields.append((field[1], field[2]))
    return layouts


def encode(layouts, kind, value, out):
    """Appends `value`, of the type named `kind`, to the bytearray `out`."""
    if kind in NUMBERS:
        number = float(value) if kind in ("f32", "f64") else int(value)
        out += struct.pack("<" + NUMBERS[kind], number)
    elif kind == "bool":
        out.append(1 if value else 0)
    elif kind == "string":
        text = value.encode()
        out += struct.pack("<I", len(text)) + text
    elif kind == "bytes":
        data = bytes.fromhex(value)
        out += struct.pack("<I", len(data)) + data
    elif kind == "sha256":
        assert len(value) == 64
        out += bytes.fromhex(value)
    elif kind == "payload":
        data = bytes.fromhex(value)
        out += struct.pack("<I", len(data))
        out += bytes(-len(out) % 4) + data
    elif kind in ENUMERATORS:
        out.append(ENUMERATORS[kind][value])
    elif kind.startswith("list of "):
        out += struct.pack("<I", len(value))
        for item in value:
            encode(layouts, kind.removeprefix("list of "), item, out)
    else:
        fields = layouts[kind][1]
        assert fields and set(value) == {name for name, _ in fields}, (kind, value)
        for name, field_kind in fields:
            encode(layouts, field_kind, value[name], out)


def main():
    layouts = read_protocol()
    for path in sorted(HERE.glob("*.json")):
        frame = json.loads(path.read_text())
        number = layouts[frame["kind"]][0]
        out = bytearray(struct.pack("<HBBIII", 0x4853, 1, number, frame["to"], frame["from"], 0))
        encode(layouts, frame["kind"], frame["body"], out)
        out[12:16] = struct.pack("<I", len(out) - 16)
        lines = [out[at : at + 32].hex() for at in range(0, len(out), 32)]
        path.with_suffix(".hex").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
