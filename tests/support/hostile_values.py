"""Hostile values, and files with them: what the fuzzers put where a value, a text or some bytes should be.

yaml_value(rng)                                        # '!!int x', '2020-13-45', an alias bomb, ...
mangled(b"a\\tb\\n", rng)                              # cut, torn, doubled, in another encoding
document = HostileDocument(values, rng)
document.change([("version",)]); document.written()    # the YAML text of the values after a change
"""

import copy
import random

import yaml

TOKEN = "RAW{}RAW"
"Stands for a text that the YAML writer must not touch."
TEXTS = (
    "", " ", "\t", "\n", "\r\n", "\x00", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x7f", "\x9b2J", "\u202egnp.exe",
    "\ud800", "a\udfffb", "\ufeff", "\ufffe", "é" * 200, "x" * 300, "x" * 5000, "中" * 100, "../..", "/", "//", "/etc/passwd",
    "~", "~root", "~nobody/x", "a/../b", "a\\b", "C:\\x", "-", "--help", "*", "**", "[", "[a-", "?", "{", "}", "{}", "{lang}",
    "{lang", "{{", "%s", "%", "$HOME", "`id`", "NaN", "nan", "inf", "-inf", "1e999", "1e-999", "0x1F", "1_000", "9" * 400,
    "9" * 5000, "-1", "0", "1.5", "٣", "²", "true", "no", "null", "none", "test[:2]", "test[:-999999]", "test+train",
    "train[50%:]", "test[::2]", "a,b", "a=b", "a::b", "@de", "lm_eval/x", "con", "I" * 64, "ß", "İ", "a b", "\u2028",
    "\u0000a", "😀", "e\u0301" * 30, "__class__", "\\d+(", "(a+)+$", "(?P<x>",
)  # fmt: skip
"Texts that names, values and rows may hold."

YAML_VALUES = (
    "!!int x", "!!int 1e3", "!!float x", "!!float '1_'", "!!bool maybe", "!!null x", "!!timestamp x",
    "!!timestamp 2020-13-45", "!!binary '%%%'", "!!binary aGVsbG8=", "!!binary é", "!!set {a, b}", "!!set [a]",
    "!!omap [a: 1]", "!!omap {a: 1}", "!!pairs [a: 1]", "!!str [a]", "!!str {a: 1}", "!!seq {a: 1}", "!!seq x", "!!map [a]",
    "!!map x", "!!int [1]", "!!float {a: 1}", "!!merge x", "!!value x", "!!python/object/apply:os.system ['true']",
    "!!python/name:os.system", "!!python/tuple [1, 2]", "!!python/none x", "!unknown x", "!<tag:example.org,2000:x> y",
    "!function x", "!function utils.f", "!function [a]", "! x", "!!int ''", "!!float ''", "!!bool ''", "!!int 0x",
    "!!int '-'", "!!float '-.inf_'", "!!int 1:99:3", "!!timestamp ''", "2020-01-31", "2020-13-45", "2020-02-30",
    "2001-12-14t21:59:43.10-05:00", "2020-01-01 99:99:99", "0000-00-00", "12:30:45", "190:20:30", ".nan", ".inf", "-.inf",
    "1e400", "-1e400", "1.0e-400", "0", "-1", "-0.0", "1" + "0" * 400, "9" * 5000, "0x" + "f" * 5000, "0b" + "1" * 20000,
    "0o7777777777777777777777", "1_0", "1.5", "0.1", "null", "~", "true", "no", "[]", "{}", "[[]]", "[null]", "[{}]",
    "{a: {}}", "{null: 1}", "{1: 2}", "{1.5: x}", "{true: x}", "{[a]: b}", "{{a: b}: c}", "{.nan: x, .nan: y}",
    "{2020-01-01: x}", "[1, a, null, [2]]", "[a, a]", "{a: 1, a: 2}", "{<<: {a: 1}}", "{<<: [a, 2]}", "{<<: x}", "&a [*a]",
    "&a {b: *a}", "&x y", "[&q x, *q, *q]", "[" * 60 + "]" * 60, "|\n  text", ">-\n  text", '"\\ud800"', '"a\\udfffb"',
    '"\\0"', '"\\e[31mred"', '"\\x9b"', '"\\u202e"', '"\\U0010ffff"', "#", "'#'", "---", "...",
)  # fmt: skip
"What may stand in a YAML file in place of a value."
BROKEN_YAML = (
    "-" + "9" * 5000, "? [a, b]", "{<<: *nowhere}", "*nowhere", "&a [&a x, *a]", "[" * 3000 + "]" * 3000,
    "{a: " * 1500 + "1" + "}" * 1500, "- - - - x", "'unfinished", '"\\U00110000"', '"\\q"', "@x", "`x`", "%x", "x: y: z",
    ", ,", "[,]", "{,}", "- x", "? x", "\ttab", "\x07", "\ud800",
)  # fmt: skip
"What is no YAML in place of a value."


def yaml_bomb(levels: int = 9, width: int = 9) -> str:
    """An alias bomb: a small text of width**levels values."""
    lines = ["&b0 [" + ", ".join(["x"] * width) + "]"]
    lines += [f"&b{n} [" + ", ".join([f"*b{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "[" + ", ".join(lines) + "]"


def double_quoted(text: str) -> str:
    """A text as YAML writes it between double quotes, whatever it holds: also what UTF-8 cannot."""
    escaped = "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def yaml_value(rng: random.Random) -> str:
    """A hostile value as YAML text."""
    drawn = rng.random()
    if drawn < 0.6:
        return rng.choice(YAML_VALUES)
    if drawn < 0.66:
        return rng.choice(BROKEN_YAML)
    return double_quoted(rng.choice(TEXTS)) if drawn < 0.98 else yaml_bomb()


def mangled(data: bytes, rng: random.Random) -> bytes:
    """Bytes of a file after an accident: cut, torn, doubled, in another encoding, with what no text holds."""
    at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    lines = data.split(b"\n")
    line = rng.randrange(len(lines))
    pick = rng.randrange(12)
    if pick == 0:
        return data[:at]
    if pick == 1:
        return data[:at] + data[end:] if end - at < 200 else data[:at] + data[at + 20 :]
    if pick == 2:
        return b"\n".join([*lines[:line], lines[line], *lines[line:]])
    if pick == 3:
        return b"\n".join([*lines[:line], *lines[line + 1 :]])
    if pick == 4:
        return (
            data[:at]
            + rng.choice((b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b[2J", b"\t", b"\r", b"\x85", b"\xe2\x80\xa8"))
            + data[at:]
        )
    if pick == 5:
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04", b"PAR1")) + data
    if pick == 6:
        return data.decode("utf-8", "replace").encode(
            rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7")), "replace"
        )
    if pick == 7:
        return data.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\n", b" ")))
    if pick == 8:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    if pick == 9:
        return b""
    if pick == 10:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    return b"\n".join([*lines[:line], b"\t" + lines[line], *lines[line + 1 :]])


class HostileDocument:
    """The values of a YAML file while they are changed, and YAML texts that stand among them for values and keys."""

    def __init__(self, values, rng):
        self.values, self.rng, self.raw = values, rng, []

    def hostile(self):
        """A token for a hostile value."""
        return self.as_written(yaml_value(self.rng))

    def quoted(self, text):
        """A token for a text, also for one that no YAML writer would write."""
        return self.as_written(double_quoted(text))

    def as_written(self, yaml_text):
        """A token for a value that is written so."""
        self.raw.append(yaml_text)
        return TOKEN.format(len(self.raw) - 1)

    def places(self):
        """(container, key) of every value."""
        found, waiting = [], [self.values]
        while waiting:
            held = waiting.pop()
            for key in list(held) if isinstance(held, dict) else range(len(held)):
                found.append((held, key))
                if isinstance(held[key], dict | list):
                    waiting.append(held[key])
        return found

    def written(self):
        """The YAML text."""
        return self.with_raw(yaml.safe_dump(self.values, sort_keys=False, allow_unicode=True, width=200))

    def with_raw(self, text):
        """A text with what the tokens in it stand for."""
        for number in reversed(range(len(self.raw))):
            token = TOKEN.format(number)
            text = text.replace(f"'{token}'", self.raw[number]).replace(token, self.raw[number])
        return text

    def typed(self, value, default):
        """A name as a user would type it; the default for what nobody can type."""
        if isinstance(value, str) and value.startswith("RAW"):
            written = self.with_raw(value)
            try:
                value = yaml.safe_load(written) if len(written) < 6000 and "*" not in written else default
            except Exception:
                return default
        name = str(value)[:5000] if isinstance(value, str | float | bool) else default
        return default if not name or name.startswith("-") or "\0" in name else name

    def change(self, added):
        """One change; `added` are paths of keys that the file may not have yet.  Gives what was done."""
        pick = self.rng.random()
        if pick < 0.3:
            return self._value()
        if pick < 0.45:
            return self._top_value()
        if pick < 0.7:
            return self._added(self.rng.choice(added))
        return self.rng.choice((self._key, self._wrapped, self._moved, self._without))()

    def _place(self):
        """A place, found from the top: long lists do not take all the chances."""
        held, key = self.values, self.rng.choice(list(self.values))
        while isinstance(held[key], dict | list) and held[key] and self.rng.random() < 0.65:
            held = held[key]
            key = self.rng.choice(list(held)) if isinstance(held, dict) else self.rng.randrange(len(held))
        return held, key

    def _value(self):
        held, key = self._place()
        held[key] = self.hostile()
        return f"value of {key!r:.30}"

    def _top_value(self):
        key = self.rng.choice(list(self.values))
        self.values[key] = self.hostile()
        return f"value of {key!r:.30}"

    def _key(self):
        held, key = self.rng.choice([place for place in self.places() if isinstance(place[0], dict)])
        held[self.hostile() if self.rng.random() < 0.5 else self.quoted(self.rng.choice(TEXTS))] = held.pop(key)
        return f"key {key!r:.30}"

    def _wrapped(self):
        held, key = self._place()
        old = held[key]
        held[key] = self.rng.choice(([old], {"a": old}, [old, old], {key: old}, str(old), [[old]], None, {}, [], [old] * 2000))
        return f"{key!r:.30} wrapped"

    def _moved(self):
        (held, key), (other, name) = self.rng.choice(self.places()), self.rng.choice(self.places())
        held[key] = copy.deepcopy(other[name])
        return f"{name!r:.30} in place of {key!r:.30}"

    def _without(self):
        held, key = self._place()
        del held[key]
        return f"without {key!r:.30}"

    def _added(self, path):
        held = self.values
        for key in path[:-1]:
            if not isinstance(held.get(key), dict):
                held[key] = {}
            held = held[key]
        held[path[-1]] = self.hostile()
        return f"{'.'.join(path)} set"
