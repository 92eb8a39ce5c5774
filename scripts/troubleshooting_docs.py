"""Write the numbered part of docs/troubleshooting.md from the catalogue of errors; what stands above it is kept."""

from pathlib import Path
from string import Formatter

from spacy_tinydistill.errors import MESSAGES

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"

MARK = (
    "<!-- From here on written by scripts/troubleshooting_docs.py (`make docs`) from spacy_tinydistill/errors.py. -->\n"
)

# What each hundred of numbers is about, and what helps with many of them.
PARTS = {
    0: (
        "The config",
        "`python -m spacy init distill-config TEACHER student.cfg` writes a config that is right; comparing with it "
        "shows what is different. [config.md](config.md) explains every key.",
    ),
    1: ("Text and annotations", "A file's kind is told by its name. Bad lines are found before the teacher is asked."),
    2: (
        "Teacher and student together",
        "`python -c \"import spacy; print(spacy.load('TEACHER').pipe_names)\"` shows what a teacher has, and whether "
        "it loads at all.",
    ),
    3: ("The distillation loop", "Whatever happens here, `model-best` and the last good checkpoint stay as they were."),
    4: ("Reports", "Nothing is written before both pipelines were measured."),
    5: ("Writing students and vectors", "Nothing that exists is overwritten without `--force`."),
    6: (
        "Recorded targets",
        "A store holds what one teacher said about certain texts for certain pipes, and checks that it is asked for "
        "no more.",
    ),
    7: (
        "Exporting for the web",
        "What has no counterpart in JavaScript is found before anything is written: [web.md](web.md) says what has "
        "one.",
    ),
}

# Causes and mends for which a message has no room.
NOTES = {
    "TD004": "What a package of yours registers by an entry point is found without `--code`.",
    "TD005": "Often a string without quotes, or an override for a block that is not there.",
    "TD101": "A config from `init distill-config` has `[paths] distill = null`: say it on the command line or in the "
    "file.",
    "TD105": "JSONL is one JSON object a line. A file that is one long list is not; `jq -c '.[]' OLD > NEW` makes "
    "JSONL of it.",
    "TD108": "Text in another encoding: `iconv -f latin1 -t utf-8 OLD > NEW`.",
    "TD201": "A name is first looked for among the installed packages, then as a folder. `python -m spacy download "
    "en_core_web_trf` installs one of spaCy's own.",
    "TD202": "spaCy's own pipelines on transformers need spacy-curated-transformers since 3.7. A teacher with "
    "components or architectures of your own needs `--code`.",
    "TD203": "The usual cause is a config that was written for another teacher.",
    "TD204": "Soft labels are learned token by token, so both must see the same tokens. A config from `init "
    "distill-config` has the teacher's tokenizer.",
    "TD205": "A pipe that only writes to the Doc, such as a function or an LLM's, can be named too; it teaches hard "
    "labels.",
    "TD209": "A teacher of many languages (`xx`) has students of many languages.",
    "TD210": "The reason is spaCy's own message. Architectures of your own need `--code`.",
    "TD211": 'spaCy runs on a GPU by CuPy: `pip install "spacy[cuda12x]"` for CUDA 12. That PyTorch sees the GPU is '
    "not enough.",
    "TD220": "A label that a teacher never met in training is missing from its pipe: [initialize.components.PIPE] "
    "labels can name all of them when it is trained.",
    "TD222": "Hard labels, such as an LLM's, are decisions, and these have no mean.",
    "TD301": "Try a tenth of the learning rate: `--distillation.optimizer.learn_rate.initial_rate 0.0002`. With "
    "`--resume` the run goes on from its last evaluation.",
    "TD303": "A resumed run may have more `max_steps`. In a config from `init distill-config` the learning rate then "
    "falls towards the new end.",
    "TD411": "-9 is most often Linux, out of memory.",
    "TD501": "Neither option removes a file that no run wrote.",
    "TD505": "Pipes of your own are added to the config by hand: see [own-component.md](own-component.md).",
    "TD603": "The fingerprint is of the teacher's weights and settings, not of its name: one that was trained again is "
    "another one.",
    "TD605": "What is there already is not asked about again.",
    "TD608": "A recording is of all its texts in their order. Record the longer list to a store of its own.",
    "TD609": "Only while a recording is not complete. Once it is, students with other settings, such as another "
    "temperature, can learn from it.",
    "TD621": "`ray status` on one of its machines shows the cluster.",
    "TD624": "A single worker that is lost is replaced, and its shard done again; this is the whole cluster going.",
    "TD631": "With a cache (`[components.NAME.cache] path`) spacy-llm does not ask again about the texts of a shard "
    "that was not finished.",
    "TD633": "Gold and dev data are recorded too: give the same --paths.gold and --paths.dev.",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(PAGE.read_text(encoding="utf8")), encoding="utf8")


def make_page(page: str) -> str:
    """Put the numbered part, made anew, in the place of the one that a page has."""
    by_hand, _, _ = page.partition(MARK)
    parts = [by_hand + MARK]
    for part, (title, said) in PARTS.items():
        parts.append(f"## TD{part}xx: {title}\n\n{said}\n")
        parts += [describe(code) for code in sorted(MESSAGES) if int(code[2:]) // 100 == part]
    return "\n".join(parts)


def describe(code: str) -> str:
    """A section for one number: its message, with the names of what it is filled with, and what else is known."""
    pieces = Formatter().parse(MESSAGES[code].replace("\n", " "))
    message = "".join(text + (f"*{name.replace('_', ' ')}*" if name else "") for text, name, _, _ in pieces)
    return f"### {code}\n\n> {message}\n" + (f"\n{NOTES[code]}\n" if code in NOTES else "")


if __name__ == "__main__":
    main()
