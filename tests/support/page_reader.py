"""Reads a page as a browser would: its tags, attributes, texts and data; and what the tests of pages make them of.

reader = Reader(page(small_board(), [with_study(tmp_path / "x")]))
reader.text, reader.ids()
"""

import json
import re
from html.parser import HTMLParser

from made_up_boards import made_up_board, made_up_study

from harness.api.escaping import visible

HOSTILE = "</script><img src=x onerror=alert(1)><!-- {{ 7 * 7 }} \x1b[31m \u202eturned"
SHOWN = visible(HOSTILE)


class Reader(HTMLParser):
    """Headings, links, tags and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.inside = [], [], [], []
        self.scripts = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        if "script" in self.inside:
            self.scripts.append(data)
        elif "style" not in self.inside:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def ids(self):
        return {value for _, name, value in self.attributes if name == "id"}


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def with_study(folder, **more):
    document = made_up_study(
        backbones={"small": 1e7, "middle": 1e8, "large": 1e9}, settings=["mnli", "squad"], targets={"xnli": ["en", "de"]}, **more
    )
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(document), encoding="utf-8")
    return document


def small_board(**more):
    return made_up_board(
        models=more.pop("models", ["small", "large"]),
        settings=more.pop("settings", ["none", "mnli"]),
        tasks={"xnli": ["en", "de", "sw"], "panx": ["en", "th"]},
        **more,
    )
