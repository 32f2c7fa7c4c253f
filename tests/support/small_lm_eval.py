"""A few rows of eight datasets that lm-eval's task directories read, in the columns that those datasets have on the hub.

    write_mirror(tmp_path / "mirror")       # <folder>/<org>/<name>/<config>/<split>-00000-of-00001.parquet
    TASKS, SHOTS                            # names of lm-eval's tasks that these rows serve

The rows are made up, and awkward on purpose: scripts whose letters are several tokens each, texts that end in white space,
quotes, brackets and line breaks inside of lists that go through a template, answers of digits, empty choices (not in the first
row, where lm-eval fails on them), several answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets import ClassLabel, Features, Value

DIRECTORIES = ("xnli", "paws-x", "xquad", "mlqa", "xcopa", "xstorycloze", "belebele", "okapi")
"Folders of lm_eval/tasks."
XNLI_LANGUAGES = ("ar", "zh", "sw", "th")
"""The rows of XNLI are real: see `copy_xnli`."""

TEXT, WHOLE, SHORT = Value("string"), Value("int64"), Value("int32")
ANSWERS = {"text": datasets.List(TEXT), "answer_start": datasets.List(SHORT)}
LETTERS = {f"option_{letter}": TEXT for letter in "abcde"}

COLUMNS: dict[str, dict[str, Any]] = {
    "google-research-datasets/paws-x": {
        "id": SHORT, "sentence1": TEXT, "sentence2": TEXT, "label": ClassLabel(names=["0", "1"]),
    },
    "google/xquad": {"id": TEXT, "context": TEXT, "question": TEXT, "answers": ANSWERS},
    "facebook/mlqa": {"context": TEXT, "question": TEXT, "answers": ANSWERS, "id": TEXT},
    "cambridgeltl/xcopa": {
        "premise": TEXT, "choice1": TEXT, "choice2": TEXT, "question": TEXT, "label": SHORT, "idx": SHORT,
        "changed": Value("bool"),
    },
    "juletxara/xstory_cloze": {
        "story_id": TEXT, **{f"input_sentence_{n}": TEXT for n in (1, 2, 3, 4)}, "sentence_quiz1": TEXT,
        "sentence_quiz2": TEXT, "answer_right_ending": SHORT,
    },
    "facebook/belebele": {
        "link": TEXT, "question_number": WHOLE, "flores_passage": TEXT, "question": TEXT,
        **{f"mc_answer{n}": TEXT for n in (1, 2, 3, 4)}, "correct_answer_num": TEXT, "dialect": TEXT, "ds": TEXT,
    },
    "alexandrainst/m_arc": {"id": TEXT, "instruction": TEXT, **LETTERS, "answer": TEXT},
    "alexandrainst/m_hellaswag": {
        "ind": WHOLE, "activity_label": TEXT, "ctx_a": TEXT, "ctx_b": TEXT, "ctx": TEXT, "endings": datasets.List(TEXT),
        "source_id": TEXT, "split": TEXT, "split_type": TEXT, "label": TEXT,
    },
    "alexandrainst/m_mmlu": {
        "instruction": TEXT, **{f"option_{letter}": TEXT for letter in "abcd"}, "answer": TEXT, "id": TEXT,
    },
    "alexandrainst/m_truthfulqa": {
        "question": TEXT, "mc1_targets_choices": datasets.List(TEXT), "mc1_targets_labels": datasets.List(WHOLE),
        "mc2_targets_choices": datasets.List(TEXT), "mc2_targets_labels": datasets.List(WHOLE),
    },
}  # fmt: skip
"Columns of each repository, in the order of the values below."

Rows = Sequence[Sequence[Any]]
ROWS: dict[str, dict[tuple[str, str], Rows]] = {
    "google-research-datasets/paws-x": {
        ("fr", "test"): [
            (1, "L' été ( 1998 ) n't , dit-il .", "Le « 1998 » n'était pas l'été.", 1),
            (2, "", "Sans première phrase, la ligne ne compte pas.", 0),
            (3, 'Il dit " oui " puis \\n part ;', "Élodie part\\puis dit « oui »  ", 0),
        ],
        ("ja", "test"): [
            (1, "彼は1997年に東京へ移った。", "東京へ彼は1997年に移りました。 ", 1),
            (2, "", "「はい」と'いいえ'。", 0),
            (3, "行\n替え", "12", 0),
        ],
        ("zh", "test"): [
            (1, "他说：“不是”。", "他说:\"是\" 'q'。", 0),
            (2, "第 12 届  ", "", 1),
        ],
    },
    "google/xquad": {
        ("xquad.zh", "validation"): [
            ("a1", "电报于1893年由王先生发明。", "电报是哪一年发明的？", (["1893"], [3])),
            ("a2", "国王[1888]在山上建了一座塔。\n", "塔建在哪里？ ", (["[1888]", "山上"], [2, 9])),
        ],
        ("xquad.th", "validation"): [
            ("b1", "หอคอยสร้างในปี 1903", "สร้างเมื่อใด?", (["ปี 1903"], [12])),
        ],
        ("xquad.en", "validation"): [
            ("c1", "The mill was built in 1903 by Ada Lund on the hill.", "Who built the mill?", (["Ada Lund"], [31])),
            ("c2", "It was called [sic] \"the 'old' mill\".", "What was it called?", (["[sic]"], [14])),
        ],
    },
    "facebook/mlqa": {
        ("mlqa.zh.zh", "test"): [
            ("李小姐在2004年买了3本书。", "她买了几本书？", (["3本书", "3"], [11, 11]), "d1"),
        ],
        ("mlqa.es.de", "test"): [
            ("La casa 'vieja' costó \"1.500\" pesos.", "Was kostete das Haus?", (['"1.500" pesos', "1.500"], [22, 23]), "d2"),
            ("Ella vive en Lima. ", "Wo wohnt sie?", (["Lima"], [13]), "d3"),
        ],
    },
    "cambridgeltl/xcopa": {
        ("zh", "test"): [
            ("这个女孩打开了灯。", "房间变亮了。", "房间变暗了。", "effect", 0, 0, False),
            ("杯子碎了。 ", "3个杯子掉在地上。", "我洗了杯子。", "cause", 0, 1, True),
        ],
        ("th", "test"): [
            ("เด็กหญิงหกล้ม.", "พื้นเปียก", "เธอยิ้ม", "cause", 0, 0, False),
        ],
        ("sw", "test"): [
            ("Mtoto alilia.\n", " Alianguka chini.", "ALICHEKA sana.", "cause", 0, 0, False),
            ("Mvua ilinyesha.", "Ardhi ililowa.", "Jua liliwaka.", "effect", 0, 1, False),
        ],
    },
    "juletxara/xstory_cloze": {
        ("ar", "eval"): [
            ("e1", "ذهب علي إلى السوق.", "اشترى ٣ تفاحات.", "عاد إلى البيت.", "", "أكل التفاح.", "طار إلى القمر.", 1),
        ],
        ("my", "eval"): [
            ("e2", "သူ ထ မင်း စား", "၂", "", "ရေ သောက်", "သူ အိပ်", "သူ ပြေး", 2),
        ],
        ("en", "eval"): [
            ("e4", "2024", "", "", "", "7", "12", 2),
            ("e3", "Tom's dog ran.", "It found a \"bone\".", "He wrote [1, 2].", "Then it rained.", "It's wet.\n", "", 1),
        ],
    },
    "facebook/belebele": {
        ("tha_Thai", "test"): [
            ("l", 1, "แม่น้ำยาว 12 กม.\n", "แม่น้ำยาวเท่าไร?  ", "12 กม.", "2 กม.", "ไม่บอก", "", "4", "tha_Thai", "2023-05-03"),
            ("l", 2, "แมวดำ", "แมวสีอะไร", "ดำ", "ขาว", "แดง", "A", "1", "tha_Thai", "2023-05-03"),
            ("l", 3, "วันจันทร์", "วันอะไร", "A", "B", "จันทร์", "D", "3", "tha_Thai", "2023-05-03"),
        ],
        ("amh_Ethi", "test"): [
            ("l", 1, "ወንዙ ረጅም ነው።", "ወንዙ እንዴት ነው?", "ረጅም", "አጭር", "1", "'", "1", "amh_Ethi", "2023-05-03"),
        ],
    },
    "alexandrainst/m_arc": {
        ("ar", "test"): [
            ("f2", "ما لون السماء؟ [title] السماء", "أزرق", "أحمر", "", None, "أخضر  ", "B"),
            ("f1", "كم عدد أيام الأسبوع؟ ", "7", "٧ أيام", "10", "[حذف]", None, "A"),
        ],
        ("vi", "test"): [
            ("f3", "Nước sôi ở bao nhiêu độ?", "100", "'100'", '"0"', "50\n", None, "A"),
        ],
    },
    "alexandrainst/m_hellaswag": {
        ("ru", "val"): [
            (0, "Сон", "Кот [x] спит.", "Он видит", "", ["  сон", "рыбу", "2", "3"], "s~0", "val", "indomain", "1 "),
            (1, "Мытьё окон", "Мужчина берёт  ведро.", "ОН", "", ["моет окно.", "[step] спит.", "", "ест 2 яблока."],
             "s~1", "val", "indomain", " 0"),
        ],
        ("te", "val"): [
            (2, "వంట", "ఆమె నీరు పోసింది. ", "", "", ["ఉడికింది.", "పడింది", "3", "వెళ్ళింది [x]"], "s~2", "val", "zeroshot", "2"),
        ],
    },
    "alexandrainst/m_mmlu": {
        ("zh", "train"): [
            ("二加二等于几？", "3", "4", "5", "6", "B", "t1"),
            ("哪个是水果？", "苹果", "石头", "铁", "盐", "A", "t2"),
        ],
        ("zh", "test"): [
            (" 太阳从哪边升起？\n", "东", "西", "南", "北", "A", "g1"),
            ("函数 f(x) = {x|x>0} 是什么？", "'a'", "[1]", "{{x}}", "", "C", "g2"),
        ],
    },
    "alexandrainst/m_truthfulqa": {
        ("zh", "val"): [
            ("吃西瓜籽会怎样？", ["什么也不会发生", "会长出西瓜"], [1, 0], ["什么也不会发生", "没事 ", "会长出西瓜"], [1, 1, 0]),
        ],
        ("ar", "val"): [
            ("ما عاصمة القمر؟ [x]", ["لا عاصمة له", "42"], [1, 0], ["42", "لا عاصمة له"], [0, 1]),
        ],
    },
}  # fmt: skip

TASKS = (
    *(f"xnli_{lang}" for lang in XNLI_LANGUAGES),
    "paws_fr", "paws_ja", "paws_zh",
    "xquad_zh", "xquad_th", "xquad_en",
    "mlqa_zh_zh", "mlqa_es_de",
    "xcopa_zh", "xcopa_th", "xcopa_sw",
    "xstorycloze_ar", "xstorycloze_my", "xstorycloze_en",
    "belebele_tha_Thai", "belebele_amh_Ethi",
    "arc_ar", "arc_vi", "hellaswag_ru", "hellaswag_te", "m_mmlu_zh",
    "truthfulqa_zh_mc1", "truthfulqa_zh_mc2", "truthfulqa_ar_mc2",
)  # fmt: skip
"At least two tasks of each directory."
SHOTS = {"belebele_tha_Thai": 2, "m_mmlu_zh": 2}
"Tasks that always show the same examples: first_n, from the test split (the question itself left out) and from train."


def write_mirror(folder: Path) -> Path:
    """Lay the rows as a mirror of hub repositories; gives the folder."""
    for hub, splits in ROWS.items():
        for (config, split), rows in splits.items():
            write_split(folder / hub / config, split, _dicts(COLUMNS[hub], rows), COLUMNS[hub])
    return folder


NO_ANSWER = "[1888]"
"A right answer that lm-eval takes for a list, and stops at where it is one of a solved example."


def write_grown_mirror(folder: Path, *, times: int = 5) -> Path:
    """The same rows several times over, most copies with a mark of their own, in every split that examples come from."""
    for hub, splits in ROWS.items():
        for (config, split), rows in splits.items():
            first = [row for row in _dicts(COLUMNS[hub], rows) if NO_ANSWER not in str(row)]
            grown = [_marked(row, number) for number in range(times + 1) for row in first]
            for name in {"train", "validation", split}:
                if name == split or (config, name) not in splits:
                    write_split(folder / hub / config, name, grown, COLUMNS[hub])
    return folder


def _marked(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A copy whose longest text ends otherwise; the first two copies are the row itself."""
    texts = {key: value for key, value in row.items() if isinstance(value, str) and key not in ("answer", "label")}
    longest = max(texts, key=lambda key: len(texts[key]))
    return {**row, longest: f"{texts[longest]}{' ~' * (number - 1)}"} if number > 1 else dict(row)


def write_split(folder: Path, split: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any]) -> None:
    """Write one split as the hub does; `columns` are features of `datasets`."""
    folder.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(list(rows), features=Features(columns)).to_parquet(folder / f"{split}-00000-of-00001.parquet")


def _dicts(columns: Mapping[str, Any], rows: Rows) -> list[dict[str, Any]]:
    """Rows by column name."""
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    for row in found:
        if "answers" in row:
            row["answers"] = dict(zip(ANSWERS, row["answers"], strict=True))
    return found


def copy_xnli(
    hub: Path,
    folder: Path,
    *,
    languages: Iterable[str] = XNLI_LANGUAGES,
    rows: Sequence[int] = (907, 1841),
    split: str = "validation",
) -> None:
    """Put some rows of the real XNLI validation set into a mirror, as one split or another."""
    import pyarrow.parquet

    for lang in languages:
        source = hub / "facebook/xnli" / lang / "validation-00000-of-00001.parquet"
        target = folder / "facebook/xnli" / lang / f"{split}-00000-of-00001.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(source).take(list(rows)), target)
