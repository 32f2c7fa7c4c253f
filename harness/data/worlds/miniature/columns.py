"""Rows of the miniature world in the columns of other data sets, with their raw values: one function a data set.

hellaswag(choice, renderer("en"), 0)      # {"ind": 0, "ctx_a": ..., "ctx_b": ..., "endings": [...], "label": "2", ...}

Each takes the meaning of the row, a renderer of its language, and the place of the row in its split from 0.  Raw values are as in
the original: class numbers, texts, and for some rows no label.
"""

from functools import cache
from typing import Any

from harness.data.worlds.miniature.items import ClausePair, Utterance
from harness.data.worlds.miniature.language import Clause, MiniWord, world
from harness.data.worlds.miniature.questions import Argument, Choice, PassageQuestion
from harness.data.worlds.miniature.rendering import Renderer, entity_tags, render_utterance, text

Row = dict[str, Any]
NLI = ("entailment", "neutral", "contradiction")
ENTITY_CLASSES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
LETTERS = "ABCDE"
PARTS_OF_SPEECH = {
    "PROPN": ("given_name", "surname", "place", "company"),
    "NOUN": ("place_kind", "company_kind", "animal", "food", "tool", "garment", "kind"),
    "VERB": ("verb",),
    "ADJ": ("adjective",),
    "ADV": ("certainty",),
}
"Universal parts of speech and their classes of concepts."
FUNCTION_WORDS = {"in": "ADP", "and": "CCONJ", "who": "PRON", "what": "PRON", "where": "ADV", "not": "PART"}
"Universal parts of speech of concepts that have another one than their class."
CATEGORIES = {
    "verb": r"(S[dcl]\NP)/NP",
    "certainty": r"(S\NP)/(S\NP)",
    "adjective": "N/N",
    "adposition": r"((S\NP)\(S\NP))/NP",
    "question": r"S[wq]/(S[dcl]\NP)",
    "": "conj",
}
"Category of an English word by its role in the clause; those of names and nouns depend on the word after them."


def _no_label(place: int) -> bool:
    """Whether a row goes without a label where some of the original's do: one of seventeen."""
    return place % 17 == 16


def _joined(clauses: tuple[Clause, ...], render: Renderer) -> list[MiniWord]:
    """Clauses with the word for `and` between them."""
    return render_utterance(Utterance(clauses=clauses), render)


def nli(item: Argument, render: Renderer, place: int) -> Row:
    """An argument as XNLI and MultiNLI have it."""
    return {
        "premise": text(_joined(item.premises, render)),
        "hypothesis": text(render(item.hypothesis)),
        "label": NLI.index(item.label),
    }


def snli(item: Argument, render: Renderer, place: int) -> Row:
    """An argument as SNLI has it, some without a label."""
    row = nli(item, render, place)
    return {**row, "label": -1} if _no_label(place) else row


def pawsx(item: ClausePair, render: Renderer, place: int) -> Row:
    """A pair of clauses as PAWS-X has it."""
    return {
        "id": place + 1,
        "sentence1": text(render(item.first)),
        "sentence2": text(render(item.second)),
        "label": int(item.label),
    }


def qqp(item: ClausePair, render: Renderer, place: int) -> Row:
    """A pair of questions as QQP has it."""
    first, second = (text(render(clause, asked="subject")) for clause in (item.first, item.second))
    return {"question1": first, "question2": second, "label": int(item.label), "idx": place}


def udpos(item: Utterance, render: Renderer, place: int) -> Row:
    """An utterance with its parts of speech."""
    rendered = render_utterance(item, render)
    return {"tokens": [word.form for word in rendered], "tags": [_parts_of_speech()[word.concept] for word in rendered]}


@cache
def _parts_of_speech() -> dict[str, str]:
    """Concept -> tag."""
    tags = {concept: tag for tag, names in PARTS_OF_SPEECH.items() for name in names for concept in world().concepts[name]}
    return tags | FUNCTION_WORDS


def panx(item: Clause, render: Renderer, place: int) -> Row:
    """A clause with its entities, as PAN-X has them."""
    rendered = render(item)
    return {"tokens": [word.form for word in rendered], "ner_tags": [ENTITY_CLASSES.index(tag) for tag in entity_tags(rendered)]}


def panx_by_character(item: Clause, render: Renderer, place: int) -> Row:
    """Tokens are single characters, as those of Japanese, Thai and Chinese are."""
    row = panx(item, render, place)
    tokens, tags = [], []
    for form, tag in zip(row["tokens"], row["ner_tags"], strict=True):
        inside = tag + 1 if tag % 2 else tag  # B- classes are odd, and followed by their I-
        tokens += list(form)
        tags += [tag, *[inside] * (len(form) - 1)]
    return {"tokens": tokens, "ner_tags": tags}


def ccg(item: Utterance, render: Renderer, place: int) -> Row:
    """An utterance with the categories of its words."""
    rendered = render_utterance(item, render)
    following = [*rendered[1:], None]
    tags = [
        CATEGORIES.get(word.role) or ("N/N" if after is not None and after.role == word.role else "N")
        for word, after in zip(rendered, following, strict=True)
    ]
    return {"tokens": [word.form for word in rendered], "tags": tags}


def squad(item: PassageQuestion, render: Renderer, place: int) -> Row:
    """The answer is a name or a noun; where the passage does not have it both lists are empty."""
    context = ""
    texts: list[str] = []
    starts: list[int] = []
    for number, clause in enumerate(item.clauses):
        for word in [*(render("and") if number else []), *render(clause)]:
            context += " " if context else ""
            if clause is item.about and word.role == item.asked:
                starts, texts = starts or [len(context)], [" ".join([*texts, word.form])]
            context += word.form
    answers = {"text": texts, "answer_start": starts}
    return {
        "id": str(place),
        "context": context,
        "question": text(render(item.about, asked=item.asked)),
        "answers": answers,
    }


def stripped(item: PassageQuestion, render: Renderer, place: int) -> Row:
    """Of one row of twenty the context began with two spaces that are gone, while its offsets still count them."""
    row = squad(item, render, place)
    if place % 20 == 10:
        row["answers"]["answer_start"] = [start + 2 for start in row["answers"]["answer_start"]]
    return row


def hellaswag(item: Choice, render: Renderer, place: int) -> Row:
    """Two of three rows tell what is going on and begin the next sentence; the third, as how-to articles, begins none."""
    begun = place % 3 < 2
    endings = [render(option) for option in item.options if isinstance(option, Clause)]
    start = [word for word in endings[0] if word.role == "subject"] if begun else []
    rest = [[word for word in ending if not (begun and word.role == "subject")] for ending in endings]
    shared = {"ind": place, "ctx_a": text(_joined(item.clauses, render)), "ctx_b": text(start)}
    return {**shared, "endings": [text(ending) for ending in rest], "label": "" if _no_label(place) else str(item.right)}


def cosmosqa(item: Choice, render: Renderer, place: int) -> Row:
    """A choice of four answers, as Cosmos QA has it."""
    assert item.about is not None
    answers = {f"answer{number}": option for number, option in enumerate(_words(item, render))}
    question = text(render(item.about, asked=item.asked))
    label = -1 if _no_label(place) else item.right
    return {"id": str(place), "context": text(_joined(item.clauses, render)), "question": question, **answers, "label": label}


def commonsenseqa(item: Choice, render: Renderer, place: int) -> Row:
    """A choice of five answers, as CommonsenseQA has it."""
    (clause,) = item.clauses
    choices = {"label": list(LETTERS), "text": _words(item, render)}
    answer = "" if _no_label(place) else LETTERS[item.right]
    concept = text(render(clause.object[0]))
    return {
        "id": str(place),
        "question": text(render(clause)),
        "question_concept": concept,
        "choices": choices,
        "answerKey": answer,
    }


def _words(item: Choice, render: Renderer) -> list[str]:
    """The options that are concepts."""
    return [
        text([word for concept in option for word in render(concept)]) for option in item.options if isinstance(option, tuple)
    ]
