"""Changes to files that their readers must survive: of bytes, and of what a format states.

Each takes the bytes of a file and a generator of random numbers, and gives other bytes.
"""

import gzip
import io
import json
import struct
import warnings
import zipfile
import zlib

HOSTILE = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    (2**63 - 1).to_bytes(8, "little"),
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e400",
    b"9" * 400,
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"null",
    b"true",
    b'"\\ud800"',
    b"\\u202e",
    b"\n\x1b[2J",
    b"x" * 10_000,
    b"__class__",
    b"O",
    b"(" * 200,
]


def change_bytes(data, rng):
    """Flip, overwrite, insert, delete, repeat or cut bytes anywhere."""
    result = bytearray(data)
    place = int(rng.integers(len(result) + 1))
    length = int(min(rng.geometric(0.2), 64))
    match rng.integers(6):
        case 0 if result:
            place = min(place, len(result) - 1)
            result[place] ^= 1 << int(rng.integers(8))
        case 1:
            result[place : place + length] = rng.bytes(length)
        case 2:
            result[place:place] = rng.bytes(length)
        case 3:
            del result[place : place + length]
        case 4:
            result[place:place] = result[place : place + length] * int(rng.integers(1, 20))
        case _:
            del result[place:]
    return bytes(result)


def insert_hostile(data, rng):
    """Put something that breaks parsers anywhere, most often near the beginning."""
    place = int(rng.integers(min(len(data), 600) + 1))
    width = int(rng.integers(9))
    return data[:place] + HOSTILE[rng.integers(len(HOSTILE))] + data[place + width :]


def change_text(text, rng):
    """Replace a word, a number or a sign of a text (JSON, a header) by another one or by junk."""
    words = split_words(text)
    places = [i for i, word in enumerate(words) if word.strip()]
    if not places:
        return text
    place = places[rng.integers(len(places))]
    match rng.integers(4):
        case 0:
            words[place] = words[places[rng.integers(len(places))]]
        case 1:
            words[place] = HOSTILE[rng.integers(len(HOSTILE))]
        case 2 if words[place].isdigit():
            jumps = [-1, 0, 1, 2, 2**31, 2**32, 2**47, 2**48, 2**63, 2**64, 10**30]
            number = int(words[place][:300]) + int(rng.integers(-2, 3))
            words[place] = str(jumps[rng.integers(len(jumps))] or number).encode()
        case _:
            words[place] = words[place] * int(rng.integers(0, 4))
    return b"".join(words)


def split_words(text):
    """Runs of letters, runs of digits, and single signs."""
    words, kind = [], None
    for byte in text:
        character = bytes((byte,))
        now = 1 if character.isdigit() else 2 if character.isalpha() else 0
        if now and now == kind:
            words[-1] += character
        else:
            words.append(character)
        kind = now
    return words


def change_safetensors(data, rng):
    """Change the header's text, or what it says, and state its length truly (or nearly so)."""
    length = int.from_bytes(data[:8], "little")
    header, numbers = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.5:
        header = change_text(header, rng)
    else:
        try:
            fields = json.loads(header)
            change_fields(fields, rng)
            header = json.dumps(fields).encode()
        except (ValueError, RecursionError, TypeError, AttributeError):
            header = change_text(header, rng)
    stated = len(header) + int(rng.integers(-2, 3)) * int(rng.random() < 0.1)
    return max(stated, 0).to_bytes(8, "little") + header + numbers


VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2,
    3,
    2**31,
    2**63,
    10**400,
    0.5,
    1e308,
    float("nan"),
    "",
    "x",
    [],
    {},
]
VALUES += [
    "relu",
    "tanh",
    "F16",
    "F32",
    "I64",
    "BF16",
    "BOOL",
    "l1",
    "l2",
    "linf",
    "proof",
    "\ud800",
]
VALUES += [[0], [0, 0], [1, 2, 3], [2**48, 0], ["a"], {"a": 1}, "x" * 5000, "\n\x1b[2J\u202e"]


def change_fields(fields, rng):
    """Change a value, rename, add or drop a name somewhere in nested JSON."""
    while True:
        names = list(fields) if isinstance(fields, dict) else list(range(len(fields)))
        if not names:
            return
        name = names[rng.integers(len(names))]
        below = fields[name]
        if isinstance(below, str) and below.startswith("{") and rng.random() < 0.8:
            inner = json.loads(below)  # JSON in a text of the metadata
            change_fields(inner, rng)
            fields[name] = json.dumps(inner)
            return
        if not isinstance(below, dict | list) or not below or rng.random() < 0.2:
            break
        fields = below
    value = VALUES[rng.integers(len(VALUES))]
    match rng.integers(4):
        case 0 if isinstance(fields, dict):
            fields[str(value)] = fields.pop(name)
        case 1:
            del fields[name]
        case 2 if isinstance(fields, dict):
            fields[f"{name}{rng.integers(20)}"] = below
        case _:
            fields[name] = value


def change_npy(data, rng):
    """Change the text of the header and state its length truly."""
    length = int.from_bytes(data[8:10], "little")
    header, numbers = data[10 : 10 + length], data[10 + length :]
    header = change_text(header, rng)[:65535]
    return data[:8] + len(header).to_bytes(2, "little") + header + numbers


def change_png(data, rng):
    """Change, drop, repeat or add a chunk, with a true checksum."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return change_bytes(data, rng)
    i = int(rng.integers(len(chunks)))
    name, body = chunks[i]
    match rng.integers(6):
        case 0:
            chunks[i] = (name, change_bytes(body, rng))
        case 1:
            chunks[i] = (name, insert_hostile(body, rng))
        case 2:
            del chunks[i]
        case 3:
            chunks.insert(i, chunks[rng.integers(len(chunks))])
        case 4:
            more = [b"tRNS", b"gAMA", b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"acTL", b"fcTL"]
            more += [b"fdAT", b"PLTE", b"pHYs", b"cHRM", b"sRGB", b"IEND", b"\xff\xff\xff\xff"]
            content = [rng.bytes(int(rng.integers(40))), b"x\0\0" + zlib.compress(bytes(10**6))]
            chunks.insert(i, (more[rng.integers(len(more))], content[rng.integers(2)]))
        case _:
            try:
                unpacked = zlib.decompress(body)
                chunks[i] = (name, zlib.compress(change_bytes(unpacked, rng)))
            except zlib.error:
                chunks[i] = (name, body[::-1])
    return data[:8] + b"".join(
        len(body).to_bytes(4, "big") + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def change_idx(data, rng):
    """Change one of the lengths, the type or the number of axes."""
    place = int(rng.integers(2, 17))
    return (
        data[:place] + bytes((int(rng.choice([0, 1, 2, 3, 8, 28, 127, 255])),)) + data[place + 1 :]
    )


BOMB = gzip.compress(bytes(2_000_000))


def change_gzip(data, rng):
    """Change what is zipped, or how: several members, other levels, a bomb at the end."""
    try:
        content = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return change_bytes(data, rng)
    match rng.integers(4):
        case 0:
            cut = int(rng.integers(len(content) + 1))
            return gzip.compress(content[:cut]) + gzip.compress(content[cut:])
        case 1:
            return gzip.compress(content) + BOMB
        case _:
            return gzip.compress(change_idx(change_bytes(content, rng), rng), 1)


def change_zip(data, rng):
    """Change a member of an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # a mutant is no valid archive
        return change_bytes(data, rng)
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(name + "x" * int(rng.integers(2)), change_bytes(content, rng))
    return stream.getvalue()
