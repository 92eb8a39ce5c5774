"""Every message a user can cause, numbered: what was found, what was expected, what to do.

The hundreds say which part of the road speaks: 0 the config, 1 the text to learn on, 2 teacher and student
together, 3 the distillation loop, 4 reports and benchmarks, 5 writing the student.
"""

import copyreg
from typing import Any

MESSAGES: dict[str, str] = {
    # The config
    "TD001": "The config has no [distillation] block; it has {sections}. Write a complete one with `python -m spacy "
    "init distill-config TEACHER OUT.cfg`, or add the block.",
    "TD002": "[distillation] has a key that does not exist: {key}. {hint} The keys are: {known}.",
    "TD003": "[distillation] {key} = {value!r}: {reason}. Correct it in the config or override it on the command line.",
    "TD004": "A function that the config names cannot be made. {reason}\nCheck its name and arguments; functions of "
    "your own need --code.",
    "TD005": "The config cannot be read: {reason}. Expected spaCy's config format; `python -m spacy init "
    "distill-config` writes a complete file.",
    "TD006": "[distillation] {key} names {value!r}, which the config does not define. Expected the name of a block in "
    "[corpora], such as corpora.distill.",
    "TD007": "Neither [distillation] max_steps nor max_epochs sets an end, and [training] patience is 0. Set one.",
    "TD008": "A streamed corpus (max_epochs = -1) has no end to hold texts out from. Give a dev corpus with "
    "--paths.dev.",
    "TD009": "[distillation.optimizer.learn_rate] total_steps is 0, so nothing would be learned after the warm-up. "
    "It follows max_steps where nothing else is said. Set it to about the number of updates, with "
    "--distillation.optimizer.learn_rate.total_steps.",
    "TD010": "There is no option {option}. {hint} A value of the config goes by its block and name, such as "
    "--distillation.max_steps 1000.",
    "TD011": "There are two kinds of text to learn on: {texts} and --paths.distill {override}. Give one of them, and a "
    "config, if there is one, in place of the other: spacy distill TEACHER CONFIG --paths.distill TEXTS.",
    "TD012": "[training] {key} is {value}, and nothing can be done so often. Set it to 1 or more.",
    "TD013": "--{key} has no path, but {value!r}. Give one, such as --paths.distill texts.jsonl; an option without a "
    "value counts as true.",
    "TD014": "[distillation] teacher_weights has {found} numbers, and there are {expected} teachers. Give one for "
    "each, in their order, or none, and all count the same.",
    "TD015": "[distillation] teachers names {teachers}, and the command another one: {teacher}. Give - in its place "
    "to learn from those that the config names.",
    "TD016": "A streamed corpus (max_epochs = -1) is learned from one teacher, and there are {count}: of several, "
    "what each says is recorded first. Set [distillation] max_epochs to 0 or more.",
    "TD017": "{key} = {value} would run code that comes with a model from the Hugging Face Hub. Nothing that a config "
    "names may do so. Set it to false, and take a model that transformers knows by itself.",
    # The text to learn on
    "TD101": "There is no text to learn on: none was given that has tokens, and [paths] distill and gold are null or "
    "have none. Give a file or folder of JSONL, plain text or DocBins with --paths.distill.",
    "TD102": "There is no file or folder {path}. Expected text to learn on or annotated data; check the path, which "
    "counts from the folder that you are in.",
    "TD103": "The folder {path} holds no file whose name ends in one of {suffixes}. Expected at least one.",
    "TD104": "{path} is a file of an unknown kind. Expected a name that ends in one of {suffixes}.",
    "TD105": "{path}, line {line} is no JSON: {reason}. Correct the line, or set skip_bad_lines = true in the corpus's "
    "block to leave such lines out.",
    "TD106": "{path}, line {line} has no text: {found}. Expected a string in {column!r}. Correct the line, name "
    "another column with --corpora.distill.column (init distill-vectors: --column), or set skip_bad_lines = true in "
    "the corpus's block to leave such lines out.",
    "TD107": "{path} holds no text: it is empty or all white space. Expected at least one text.",
    "TD108": "{path} cannot be read: {reason}. Expected UTF-8 text, JSONL, or a DocBin as `spacy convert` writes it. "
    "Text in another encoding has to be converted, as by `iconv -f LATIN1 -t UTF-8`.",
    "TD109": "Only {found} different texts with tokens were found, and one has to be held out to score on. Give at "
    "least {expected}, or a dev corpus with --paths.dev.",
    "TD110": "{path} has no column {column!r}; its first line names {found}. Name the column that holds the text with "
    "--corpora.distill.column (init distill-vectors: --column).",
    "TD111": "The {corpus} corpus, in [paths] {corpus}, has no annotations: none of its {count} Docs has a tag, a "
    "head, an entity, a category or anything else. Expected gold annotations, as `spacy convert` writes them; text "
    "alone belongs in [paths] distill.",
    "TD112": "The teacher {teacher!r} has no word embeddings to find neighbours among: it has {pipes}. Expected a "
    "transformer of spacy-transformers.",
    "TD113": "The model {model!r} has no masked-LM head, or its tokenizer no mask, so it proposes no words. Name one "
    "with a head, such as bert-base-uncased, or use spacy-tinydistill.NeighbourAugmenter.v1.",
    "TD114": "Text {number} is no string but of the type {found}. Expected strings, or a path.",
    "TD115": "The pipe {pipe!r} cannot learn the gold categories of {text!r}: {cats}. Expected 1 or 0 for each, and of "
    "a textcat, whose categories exclude each other, one 1 at most. Leave out what nobody knows; several at once are "
    "for a textcat_multilabel.",
    "TD116": "The masked language model {model!r} cannot be loaded: {reason} Expected a folder, or a name on the "
    "Hugging Face hub, for transformers.",
    # Teacher and student together
    "TD201": "The teacher {name!r} cannot be loaded: {reason} Expected an installed pipeline package or a folder that "
    "`spacy.load` takes.",
    "TD202": "The teacher {name!r} needs something that is not installed or not compatible: {reason} For a teacher on "
    'a transformer: pip install "spacy-tinydistill[transformers]", or spacy-curated-transformers for one on that.',
    "TD203": "The student's pipe {pipe!r} lacks {count} of the teacher's labels: {labels}. Take the labels out of "
    "[initialize.components.{pipe}] so that they come from the teacher, or add those that are missing.",
    "TD204": "Teacher and student tokenize differently: {text!r} is {teacher} for the teacher {name!r} and {student} "
    "for the student. Give the student the teacher's language and [nlp.tokenizer].",
    "TD205": "The teacher {name!r} has no pipe {teacher!r} to teach the student's pipe {student!r}; it has {pipes}. "
    "Name the right one in [distillation.student_to_teacher], or freeze the pipe in [training] frozen_components.",
    "TD206": "Teacher and student have no pipe in common that can be taught: the teacher has {teacher}, the student "
    "{student}. Map them in [distillation.student_to_teacher].",
    "TD207": "The rule in [distillation.teaching.{pipe}] cannot teach a {student} from a {teacher}. Remove the block "
    "to have the rule chosen, or name one that fits.",
    "TD208": "[distillation.{block}] names the pipe {pipe!r}, which the student does not have; it has {pipes}.",
    "TD209": "Teacher and student are of different languages: {teacher!r} and {student!r}. Set [nlp] lang to the "
    "teacher's.",
    "TD210": "The student cannot be made from its config: {reason}\nCorrect the config, or override the value on the "
    "command line.",
    "TD211": "GPU {gpu_id} was asked for, but there is none that Thinc can use: {reason} Leave --gpu-id out to run on "
    "the CPU, or install CuPy for your CUDA version.",
    "TD212": "The rule HiddenStates.v1 is to teach layer {layer} of the teacher's {pipe!r}, which has none of that "
    "number. Expected 0, its embeddings, to {last}, its last layer, or -1 for the last, -2 for the one before it.",
    "TD213": "The layer map {mapping!r} does not fit a student of {student} layers and a teacher of {teacher}. "
    'Expected "uniform" or "last", with no more student layers than the teacher has, or a list that names for each '
    "student layer the teacher's, counted from 1.",
    "TD214": "The student's TinyTransformer.v1 needs a library that cannot be imported: {reason}. Install it with "
    'pip install "spacy-tinydistill[tiny-transformer]".',
    "TD215": "The teacher has no pieces that a student can take over: it has {pipes}. Expected a transformer of "
    "spacy-transformers whose tokenizer is a fast WordPiece, such as BERT's. Train pieces on text with "
    "spacy-tinydistill.TrainPieces.v1.",
    "TD216": "A TinyTransformer.v1 of width {width} cannot have {heads} heads and a max_length of {max_length}. "
    "Expected a width that is a multiple of the heads, and a max_length of 3 at least: [CLS], a piece and [SEP].",
    "TD217": "The student's TinyTransformer.v1 has no pieces to cut words into. Name in [initialize.before_init] where "
    'they come from: @callbacks = "spacy-tinydistill.TrainPieces.v1" with path = ${{paths.distill}}, which must be '
    'set, or @callbacks = "spacy-tinydistill.TeacherPieces.v1" with teacher.',
    "TD218": "The teacher's tokenizer has {found} pieces, and the student's TinyTransformer.v1 has room for "
    "{expected}. Set vocab_size to {found} at least.",
    "TD219": "The rule TransformerLayers.v1 is to teach attention ({pipe!r}), from piece to piece and head to head: "
    "found {found}, expected {expected}. Take over the teacher's pieces with spacy-tinydistill.TeacherPieces.v1 in "
    "[initialize.before_init], give the student as many heads, or leave attention out with attention_weight = 0.",
    "TD220": "The teachers of {pipe!r} do not have the same labels: {count} of them are the first teacher's or the "
    "{number}. one's alone: {labels}. Soft labels can be averaged of teachers with the same labels only, in whichever "
    "order. Train them on the same labels, or leave one out.",
    "TD221": "The teachers cannot teach {pipe!r} together: from the first it learns by {first}, from {teacher!r} by "
    "{other}. Give teachers with pipes of the same kind, or leave one out.",
    "TD222": "Several teachers cannot teach {pipe!r} together: the rule {rule} does not say how they are averaged. "
    "Leave all but one of them out, or freeze the pipe in [training] frozen_components.",
    "TD223": "The student is an encoder alone, of which the {count} Docs of the dev corpus say nothing. It is scored "
    "by its loss on texts held out. Leave --paths.dev out, or give the student a pipe that annotates.",
    "TD224": "The student cannot start from its teacher's weights: found {found}, expected {expected}. Give it the "
    "teacher's pieces with spacy-tinydistill.TeacherPieces.v1, as many heads, and no more of anything else; or leave "
    "spacy-tinydistill.TeacherWeights.v1 out of [initialize.after_init].",
    "TD225": "The student's pipe {pipe!r} cannot be saved: each has a folder of its name, beside those called {taken}. "
    "Give it another name, without slashes, and map it in [distillation.student_to_teacher].",
    "TD226": "The mixed vocabulary, spacy-tinydistill.MixedVocabulary.v1, has the probability {probability}. Expected "
    "that with which a word is read in the teacher's pieces: from 0, none of them, to below 1, since with 1 the "
    "student's own pieces would never be learned.",
    "TD227": "The teacher has no pieces to mix with the student's: it has {pipes}. Expected a transformer of "
    "spacy-transformers whose tokenizer is a fast WordPiece, such as BERT's. Leave "
    "spacy-tinydistill.MixedVocabulary.v1 out of [initialize.after_init], or name another teacher there.",
    "TD228": "The gold annotations have {count} labels that the student's pipe {pipe!r} lacks, since its teacher does: "
    "{labels}. Write them as the teacher has them, or list all labels that the student is to know in "
    "[initialize.components.{pipe}] labels.",
    "TD229": "The student's encoder {encoder!r} is frozen, and {pipes}, which learn from its vectors, would not see "
    "them. Put it into [training] annotating_components as well.",
    "TD236": "Layer {layer} of the teacher's encoder cannot be recorded: it holds {found} for a token of {text!r}. "
    "Expected numbers that half precision has room for, up to 65,504. Name other layers: the last one is normalized "
    "where those below it, as in GPT-2, are not.",
    # The loop
    "TD301": "The loss of {pipe!r} became {loss} at step {step} (epoch {epoch}, on a batch of {docs} Docs that begins "
    "with {text!r}). The run was stopped and the last good checkpoint kept. Lower the learning rate, set grad_clip, or "
    "look for odd values in what the teacher says of that text.",
    "TD302": "There is nothing to resume in {path}: no checkpoint was written there. Start without --resume.",
    "TD303": "The checkpoint in {path} is of another run: {reason} Resume with the same teacher, config and texts, or "
    "start again with --force.",
    "TD304": "The weights of {pipe!r} are no longer finite numbers at step {step} (epoch {epoch}). The run was stopped "
    "and the last good checkpoint kept. Lower the learning rate or set grad_clip.",
    "TD305": "There is not enough memory for an update at step {step} (epoch {epoch}), even with one text at a time; "
    "the longest has {words} words. Cut texts into shorter pieces with --corpora.distill.max_length, or take a smaller "
    "size.",
    # Reports
    "TD401": (
        "There is no {role} pipeline '{name}': neither an installed package of that name nor a folder. "
        "Check the path, or install the package with pip."
    ),
    "TD402": (
        "The {role} pipeline '{name}' could not be loaded: {reason}. Expected what nlp.to_disk or spacy "
        "package writes, with all it depends on installed; functions that it needs registered can come from "
        "a file given with --code."
    ),
    "TD407": (
        "Teacher and student have no score in common, so there is nothing to compare. The teacher's pipes "
        "are {teacher}, the student's {student}. Give two pipelines with pipes for the same annotations."
    ),
    "TD408": "The folder '{path}' cannot be written to: {reason}. Name another with --output.",
    "TD409": "There is a report in '{path}' already. Name another folder, or replace it with --force.",
    "TD411": (
        "The process measuring '{pipeline}' stopped with exit code {exit_code} (-9: killed, perhaps for want "
        "of memory) before it was done. Its last words:\n{log}"
    ),
    "TD412": "The code file '{path}' could not be imported: {reason}. Give a Python file with --code.",
    "TD413": (
        "Document {number} of '{path}' has {length} characters, more than the {role}'s nlp.max_length of "
        "{max_length}. Split it into shorter ones."
    ),
    # Writing
    "TD501": "The output folder {path} is not empty: it holds {found}. Nothing was overwritten. Choose another folder, "
    "or give --force to replace what is there, or --resume to go on with an interrupted run.",
    "TD502": "{path} exists. Nothing was overwritten. Choose another name or give --force.",
    "TD503": "There is no size {size!r}; the sizes are {known}.",
    "TD504": "The teacher has no pipe {pipe!r}; it has {pipes}.",
    "TD505": "None of the teacher's pipes can be mirrored by a student: it has {pipes}. Write a config with the pipes "
    "that you want and map them in [distillation.student_to_teacher].",
    "TD506": "The output {path} is a file. Expected a folder, or a name that is free.",
    "TD507": "The output folder {path} cannot be made or read: {reason}. Choose another one.",
    "TD508": "{path} cannot be written: {reason}. Choose another name.",
    "TD509": "{path} cannot be written: {reason}. What was written before is whole. Make room, or see to the folder's "
    "rights; then go on with the same command, a run with --resume.",
    # Static vectors
    "TD520": "The teacher has no encoder to distil vectors from: it has {pipes}. Expected a pipe of one of these "
    "factories: {factories}.",
    "TD521": "There are no words to make vectors of: the texts have none that occurs {min_count} times, and the "
    "teacher has no vocabulary of pieces. Give more text, or take rarer words, too, with --min-count 1.",
    "TD522": "Vectors of width {width} cannot be made: the teacher's encoder is {hidden} wide. Give a width between 1 "
    "and {hidden}.",
    "TD523": "The teacher's encoder left no vector for each token of {text!r}. Expected doc._.trf_data of "
    "spacy-transformers or spacy-curated-transformers, or doc.tensor.",
    # Recorded targets
    "TD601": "{path} is no store of recorded targets that can be read: {reason} Expected what `python -m spacy "
    "distill-targets` writes; record again.",
    "TD602": "The targets in {path} are of format {found}, and this version reads format {expected}. Record them "
    "again, or use the version of spacy-tinydistill that wrote them.",
    "TD603": "The targets in {path} are of another teacher: they come from {teacher}, whose fingerprint is {found}, "
    "and this one's is {expected}. Name the teacher that was recorded, or record again in another folder.",
    "TD604": "The store's file {path} is damaged: {reason} Record again, or copy the store anew.",
    "TD605": "The recording in {path} is not complete: there are {shards} shards so far. Start `python -m spacy "
    "distill-targets` again with the same arguments; it goes on where it stopped.",
    "TD606": "Somebody else is recording to {path}. Wait until that is done, or choose another folder.",
    "TD608": "The recording in {path} was begun with other texts: {shard} does not hold those that are read now. Go on "
    "with the same texts, or start again with --force.",
    "TD609": "The recording in {path} was begun for other pipes, labels or settings: {found}, and now they are "
    "{expected}. Go on with the same config, or start again with --force.",
    "TD610": "Nothing was recorded for the student's pipe {pipe!r}; there are targets for {pipes}. Record again with "
    "this student's config: `python -m spacy distill-targets TEACHER CORPUS STORE --config CONFIG`.",
    "TD611": "What was recorded for the pipe {pipe!r} is for another {what}: {found}, and the config has {expected}. "
    "Record again with this student's config.",
    "TD612": "There is no teaching rule {rule!r}, with which targets were recorded; the rules are {known}. Install "
    "what registers it, or give --code.",
    "TD614": "The targets in {path} were recorded without this gold corpus: they hold {found} of its Docs, and it has "
    "{expected}, or other ones. Record again with --paths.gold.",
    "TD615": "Recorded targets come with their texts and need a student's config. Give a config, and no texts.",
    "TD616": "A streamed corpus (max_epochs = -1) is not recorded. Set [distillation] max_epochs to 0 or more.",
    "TD617": "There is nothing to score on: the targets in {path} were recorded with dev data and without texts held "
    "out, and no dev corpus is given now. Give one with --paths.dev.",
    "TD618": "The folder {path} holds something else than recorded targets: {found}. Nothing was overwritten. Choose "
    "another folder.",
    "TD619": "The engine ray needs Ray Data, which cannot be imported: {reason}. Install it on all machines of the "
    'cluster, also here: pip install "spacy-tinydistill[ray]".',
    "TD620": "There is no engine {engine!r}; the engines are {known}.",
    "TD621": "No Ray cluster can be reached at {address!r}: {reason} Check the address, and that the cluster runs the "
    "same versions of Ray and Python; without an address, Ray starts on this machine alone.",
    "TD622": "Workers on a cluster load the teacher themselves, and this one is only in memory. Save it with "
    "nlp.to_disk to a folder that each machine can read, and give the folder.",
    "TD623": "The Ray cluster has no {slot} for a worker; it has {found}. Add a machine that has one, or ask for the "
    "other kind with --gpu-id.",
    "TD624": "The Ray cluster stopped before the texts were done: {reason}\nWhat was recorded is kept. Start the same "
    "command again; it goes on where it stopped.",
    "TD625": "A worker on the cluster finds another teacher by the name {name!r}: its fingerprint is {found}, and that "
    "of the one here {expected}. Give all machines the same files, such as a folder that they share.",
    "TD626": "{shard} was begun {tries} times, and each time its worker was gone before it was done. Perhaps there is "
    "too little memory for a worker, or a text crashes the teacher; Ray's logs say how workers ended.",
    "TD627": '"-" stands for the teachers that [distillation] teachers names, or whose targets were recorded, and '
    "there are none. Name the teacher, or give what `python -m spacy distill-targets` recorded with --targets.",
    "TD628": "What was recorded of a Doc cannot be read back: {reason}. The store was made by something else; record "
    "again.",
    "TD630": "The teacher's pipe {pipe!r} gave back {found} of {expected} Docs, of a batch that begins with {text!r}. "
    "What a pipe leaves out cannot be told from what it finds nothing in. Let it raise its errors, or give back each "
    "Doc.",
    "TD631": "The teacher's pipe {pipe!r} failed on a batch of Docs that begins with {text!r}: {reason}. What was "
    "recorded before is kept; once the cause is gone, go on with the same command, `spacy distill` with --resume.",
    "TD632": "The teacher's pipe {teacher!r} said nothing of any text, so that the student's pipe {pipe!r} has "
    "nothing to learn. See what it answers: an empty answer, or none of the categories to choose from, says nothing.",
    "TD633": "The targets in {path} and in {other} are of different texts, or of texts that were cut into other "
    "tokens. Record the same texts by each teacher, with the same student's config.",
    "TD634": "The targets in {path} are for {found}, and those in {first} for {expected}. Record each teacher with "
    "the same student's config: `python -m spacy distill-targets TEACHER CORPUS STORE --config CONFIG`.",
    "TD635": "There are {found} stores of targets and {expected} teachers. Name the teacher of each store, in their "
    "order, or - for whichever they are of.",
    "TD636": "A store holds what one teacher says, and there are {count}. Record each to a store of its own, and give "
    "all of these to --targets.",
    # Exporting for the web
    "TD701": "The student {student} cannot be loaded: {reason}. Give a pipeline's folder or an installed package.",
    "TD702": "The pipe {pipe!r} is made by {factory!r}, which has no counterpart in JavaScript. The pipes that have "
    "one are {known}. Export a student without it.",
    "TD703": "The pipe {pipe!r} has the architecture {found}, which has no counterpart in JavaScript. Expected: "
    "{known}. Distil a student with that, such as `python -m spacy init distill-config` writes.",
    "TD704": "The student's tokenizer is {found}, which has no counterpart in JavaScript. Expected "
    "spacy.tokenizer.Tokenizer with compiled regular expressions.",
    "TD705": "The attribute {attribute} of the language {lang!r} is computed by {found}, which has no counterpart in "
    "JavaScript. Distil a student that does not read this attribute.",
    "TD706": "The regular expression {which} of the student's tokenizer has {construct}, which has no translation to "
    "JavaScript. Write the expression without.",
    "TD707": "The pipe {pipe!r} searches with a beam of {found}; in JavaScript there is greedy search alone. Set its "
    "beam_width to 1.",
    "TD708": "The pipe {pipe!r} has {setting} = {found}, which has no counterpart in JavaScript. Expected: {expected}.",
    "TD709": "The weights of {pipe!r} cannot be rounded to {precision}: {reason}. Take another --precision.",
    "TD710": "A pattern of the pipe {pipe!r} has {what}, which has no counterpart in JavaScript: {pattern}. Write it "
    "without, or leave the pipe out.",
    "TD711": "There is no precision {precision!r}; there are {known}.",
    "TD712": "The student's static vectors are of the kind {mode!r}. Expected words with a vector each, such as "
    "`python -m spacy init distill-vectors` makes.",
}


class DistillationError(ValueError):
    """A numbered error with a message for the person at the keyboard.

    Args:
        code: A key of `MESSAGES`.
        values: What the message's placeholders are filled with.
    """

    def __init__(self, code: str, **values: object) -> None:
        self.code = code
        super().__init__(f"[{code}] {MESSAGES[code].format(**values)}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Come out of another process as it went in: with the message made."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]
