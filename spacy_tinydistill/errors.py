"""Every error message that a user can cause, by number: what was found, what was expected, what to do.

The hundreds say what a message is about: 0 the config, 1 the texts, 2 teacher and student together, 3 the distillation
loop, 4 reports and benchmarks, 5 writing students and vectors, 6 recorded targets, 7 exporting
for the web, 9 what is installed.
"""

import copyreg
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MESSAGES: dict[str, str] = {
    # The config
    "TD001": "The config has no [distillation] block. Its blocks are {sections}. Add the block, or write a complete "
    "config with `python -m spacy init distill-config TEACHER OUT.cfg`.",
    "TD002": "[distillation] has no setting {key}. {hint} The settings are: {known}.",
    "TD003": "[distillation] {key} = {value!r} is not valid: {reason}. Correct it in the config or override it on the "
    "command line.",
    "TD004": "A function that the config names cannot be created. {reason}\nIf it is one of your own, give the file "
    "that registers it with --code; if a package is missing, install it. Else check the function's name and arguments.",
    "TD005": "The config cannot be read: {reason}. Expected a file in spaCy's config format. `python -m spacy init "
    "distill-config` writes a complete one.",
    "TD006": "[distillation] {key} is {value!r}, but the config has no such block. Expected the name of a block in "
    "[corpora], such as corpora.distill.",
    "TD007": "The run would never end: [distillation] max_steps, [distillation] max_epochs and [training] patience "
    "are all 0. Set at least one of them.",
    "TD008": "A streamed corpus (max_epochs = -1) has no end, so no texts can be held out to score on. Give a dev "
    "corpus with --paths.dev.",
    "TD009": "[distillation.optimizer.learn_rate] total_steps is 0, so the learning rate would be 0 after the warm-up "
    "and the student would learn nothing. By default it is max_steps. Set it to about the number of updates with "
    "--distillation.optimizer.learn_rate.total_steps.",
    "TD010": "There is no option {option}. {hint} To set a value of the config, give its block and name, such as "
    "--distillation.max_steps 1000.",
    "TD011": "The texts to learn on are given twice: {texts} and --paths.distill {override}. Give only one of them. "
    "To use a config, give it in place of the texts: spacy distill TEACHER CONFIG --paths.distill TEXTS.",
    "TD012": "[training] {key} is {value}. It must be at least 1.",
    "TD013": "--{key} is {value!r}, which is not a path. Give a path after the option, such as --paths.distill "
    "texts.jsonl. An option without a value counts as true.",
    "TD014": "[distillation] teacher_weights has {found} numbers, but there are {expected} teachers. Give one number "
    "for each teacher, in the same order, or leave it empty to weigh all alike.",
    "TD015": "The config and the command name different teachers: [distillation] teachers is {teachers}, the command "
    "says {teacher}. Give - on the command line to use the config's.",
    "TD016": "A streamed corpus (max_epochs = -1) can be learned from one teacher only, and there are {count}. "
    "Targets of several teachers are recorded before learning. Set [distillation] max_epochs to 0 or more.",
    "TD019": "The size {size!r} is given beside a config, which has its own. Write a config of that size with "
    "`python -m spacy init distill-config TEACHER student.cfg --size {size}`, or give texts in place of the config.",
    "TD017": "{key} = {value} would run code that comes with a model from the Hugging Face Hub. A config is not "
    "allowed to do that. Set it to false, and use a model that the transformers library supports itself.",
    # The text to learn on
    "TD101": "There is no text to learn on: [paths] distill and [paths] gold are null or have no text with tokens. "
    "Give a file or folder of JSONL, plain text or DocBins with --paths.distill.",
    "TD102": "There is no file or folder {path}. Expected texts or annotated data. Check the path; a relative path "
    "starts at the folder you are in.",
    "TD103": "The folder {path} has no file that ends in one of {suffixes}. Expected at least one.",
    "TD104": "The type of {path} is unknown. Expected a file that ends in one of {suffixes}. Save the sheet of an "
    "Excel workbook as CSV UTF-8.",
    "TD105": "{path}, line {line} is not valid JSON: {reason}. Correct the line. To leave out such lines, set "
    "skip_bad_lines = true in the corpus's block.",
    "TD106": "{path}, line {line} has no text: {found}. Expected a string in {column!r}. Correct the line, or name "
    "another column with --corpora.distill.column (init distill-vectors: --column). To leave out such lines, set "
    "skip_bad_lines = true in the corpus's block.",
    "TD107": "{path} has no text: it is empty or only white space. Expected at least one text.",
    "TD108": "{path} cannot be read: {reason}. Expected UTF-8 text, JSONL, or a DocBin as `spacy convert` writes it. "
    "Convert text in another encoding first, for example with `iconv -f LATIN1 -t UTF-8`.",
    "TD109": "There are too few texts: {found} different texts with tokens, and one of them must be held out to score "
    "on. Give at least {expected} texts, or a dev corpus with --paths.dev.",
    "TD110": "{path} has no column {column!r}. Its columns are {found}. Name the column with the text with "
    "--corpora.distill.column (init distill-vectors: --column), or the delimiter between the columns with "
    "--corpora.distill.delimiter.",
    "TD111": "The {corpus} corpus ([paths] {corpus}) has no annotations: none of its {count} Docs has a tag, a head, "
    "an entity, a category or any other annotation. Expected gold annotations, as `spacy convert` writes them. Text "
    "without annotations belongs in [paths] distill.",
    "TD112": "The teacher {teacher!r} has no word embeddings to find similar words with. Its pipes are {pipes}. "
    "Expected a teacher with a transformer of spacy-transformers.",
    "TD113": "The model {model!r} cannot propose words: it has no masked-LM head, or its tokenizer has no mask token. "
    "Name a masked language model, such as bert-base-uncased, or use spacy-tinydistill.NeighbourAugmenter.v1.",
    "TD114": "Text {number} is not a string but of type {found}. Expected a list of strings, or a path.",
    "TD115": "The pipe {pipe!r} cannot learn the gold categories of {text!r}: {cats}. Expected 1 or 0 for each "
    "category, and for a textcat, whose categories are exclusive, at most one 1. Leave out categories that are not "
    "known. For several categories per text use a textcat_multilabel. If they are for another pipe, name "
    "those that learn from gold annotations in [distillation] gold_pipes.",
    "TD116": "The masked language model {model!r} cannot be loaded: {reason} Expected a folder or the name of a model "
    "on the Hugging Face Hub.",
    "TD130": "{path}, line {line}: the row has {found} fields, but the header has {expected}. Put quotes around a text "
    "that contains the delimiter, which is {delimiter!r}, or name another delimiter with --corpora.distill.delimiter. "
    "To leave out such rows, set skip_bad_lines = true in the corpus's block.",
    "TD131": "{path}, line {line}: the quote that begins here {reason}. {cure}",
    "TD132": "{path} has more than one column named {columns}. Give each column a name of its own.",
    "TD133": "{path} has no column {column!r}. Its columns are {found}. Name the column with the text with "
    "--corpora.distill.column (init distill-vectors: --column).",
    "TD134": "A table has no column {column!r}. Its columns are {found}. Give its column with the text in its place, "
    "such as table[{first!r}].",
    # Teacher and student together
    "TD201": "The teacher {name!r} cannot be loaded: {reason} Expected an installed pipeline package, or a folder "
    "that `spacy.load` can load.",
    "TD202": "The teacher {name!r} needs something that is not installed, not registered or not compatible: {reason} "
    "If it uses functions of your own, give the file that registers them with --code. For a teacher on "
    'spacy-transformers: pip install "spacy-tinydistill[transformers]". For one on curated transformers: pip install '
    "spacy-curated-transformers.",
    "TD203": "The student's pipe {pipe!r} lacks {count} of the teacher's labels: {labels}. Add them to "
    "[initialize.components.{pipe}] labels, or remove that setting so that all labels come from the teacher.",
    "TD204": "Teacher and student split text into different tokens. {text!r} is {teacher} for the teacher {name!r} "
    "and {student} for the student. Set [nlp] lang and [nlp.tokenizer] of the student to the teacher's.",
    "TD205": "The teacher {name!r} has no pipe {teacher!r} to teach the student's pipe {student!r}. Its pipes are "
    "{pipes}. Name the right one in [distillation.student_to_teacher], or add {student!r} to [training] "
    "frozen_components.",
    "TD206": "The teacher cannot teach any pipe of the student: the teacher has {teacher}, the student has {student}. "
    "Say which pipe learns from which in [distillation.student_to_teacher].",
    "TD207": "The rule in [distillation.teaching.{pipe}] cannot teach a {student} from a {teacher}. Name another "
    "rule, or remove the block to have a rule chosen.",
    "TD208": "[distillation] {block} names the pipe {pipe!r}, but the student has no such pipe. Its pipes are {pipes}.",
    "TD209": "Teacher and student have different languages: {teacher!r} and {student!r}. Set [nlp] lang to the "
    "teacher's.",
    "TD210": "The student cannot be created from its config: {reason}\nIf it uses functions of your own, give the file "
    "that registers them with --code. Else correct the config, or override the value on the command line.",
    "TD211": "GPU {gpu_id} cannot be used: {reason} Leave out --gpu-id to run on the CPU, or install CuPy for your "
    "CUDA version.",
    "TD212": "The rule HiddenStates.v1 cannot read layer {layer} of the teacher's {pipe!r}: there is no such layer. "
    "Expected a number from 0 (the embeddings) to {last} (the last layer), or a negative one (-1 is the last layer).",
    "TD213": "The layer map {mapping!r} does not fit a student with {student} layers and a teacher with {teacher}. "
    'Expected "uniform" or "last" for a student with no more layers than the teacher, or a list with one teacher '
    "layer, counted from 1, for each student layer.",
    "TD214": "The student's TinyTransformer.v1 needs a library that cannot be imported: {reason}. Install it: pip "
    'install "spacy-tinydistill[tiny-transformer]".',
    "TD215": "The teacher has no word pieces that a student can use: its pipes are {pipes}. Expected a transformer of "
    "spacy-transformers with a fast WordPiece tokenizer, such as BERT's. For any other teacher train pieces on text "
    "with spacy-tinydistill.TrainPieces.v1.",
    "TD216": "A TinyTransformer.v1 cannot have width {width}, {heads} heads and max_length {max_length}. The width "
    "must be a multiple of the number of heads, and max_length must be at least 3: [CLS], one piece and [SEP].",
    "TD217": "The student's TinyTransformer.v1 has no word pieces. Say in [initialize.before_init] where they come "
    'from: @callbacks = "spacy-tinydistill.TrainPieces.v1" with path = ${{paths.distill}}, which must then be set, or '
    '@callbacks = "spacy-tinydistill.TeacherPieces.v1" with teacher.',
    "TD218": "The teacher's tokenizer has {found} pieces, but the student's TinyTransformer.v1 has room for "
    "{expected}. Set vocab_size to at least {found}.",
    "TD219": "The rule TransformerLayers.v1 cannot teach attention ({pipe!r}): found {found}, expected {expected}. "
    "Attention needs the same pieces and as many heads on both sides. Use the teacher's pieces "
    "(spacy-tinydistill.TeacherPieces.v1 in [initialize.before_init]) and the teacher's number of heads, or set "
    "attention_weight = 0.",
    "TD220": "The teachers of {pipe!r} have different labels. {count} labels belong only to the first teacher or only "
    "to teacher {number}: {labels}. Soft labels can be averaged only over the same labels (in any order). Train the "
    "teachers on the same labels, or leave one out.",
    "TD221": "The teachers cannot teach {pipe!r} together: it learns from the first by {first}, from {teacher!r} by "
    "{other}. Give teachers with pipes of the same kind, or leave one out.",
    "TD222": "The rule {rule} cannot average several teachers, so they cannot teach {pipe!r} together. Give only one "
    "teacher, or add the pipe to [training] frozen_components.",
    "TD223": "The student is only an encoder, so the annotations of the {count} Docs in the dev corpus cannot be used "
    "to score it. Leave out --paths.dev to score it by its loss on held-out texts, or add a pipe that annotates.",
    "TD224": "The student cannot start from its teacher's weights: found {found}, expected {expected}. Give the "
    "student the teacher's pieces (spacy-tinydistill.TeacherPieces.v1), the same number of heads, and no other size "
    "larger than the teacher's; or remove spacy-tinydistill.TeacherWeights.v1 from [initialize.after_init].",
    "TD225": "The student's pipe {pipe!r} cannot be saved. Its name is also the name of its folder, so it must have "
    "no slashes and must not be one of {taken}. Rename it, and map it to the teacher's pipe in "
    "[distillation.student_to_teacher].",
    "TD226": "spacy-tinydistill.MixedVocabulary.v1 has probability = {probability}. It is the probability that a word "
    "is read in the teacher's pieces, and must be at least 0 and less than 1: at 1 the student's own pieces would "
    "learn nothing.",
    "TD227": "The teacher has no word pieces to mix with the student's: its pipes are {pipes}. Expected a transformer "
    "of spacy-transformers with a fast WordPiece tokenizer, such as BERT's. Name another teacher, or remove "
    "spacy-tinydistill.MixedVocabulary.v1 from [initialize.after_init].",
    "TD228": "The gold annotations have {count} labels that the student's pipe {pipe!r} does not have, because its "
    "teacher does not: {labels}. Rename them as in the teacher, or list all labels of the student in "
    "[initialize.components.{pipe}] labels. If they are for another pipe, name those that learn from gold in "
    "[distillation] gold_pipes.",
    "TD229": "The student's encoder {encoder!r} is frozen, so {pipes} would not get its vectors while learning. Add "
    "{encoder!r} to [training] annotating_components too.",
    "TD236": "Layer {layer} of the teacher's encoder cannot be recorded: it has {found} for a token of {text!r}. "
    "Layers are recorded in half precision, up to 65,504. Use other layers: in models such as GPT-2 only the last "
    "layer is normalized.",
    "TD240": "The teacher's config has a value with '${{', which begins a variable in a config: {reason}\nThere is no "
    "other way to write it there. Choose another value, or set it on the loaded pipe, in nlp.get_pipe(NAME).cfg, which "
    "spaCy saves outside of the config.",
    "TD241": "The teacher's pipe {pipe!r} merges or splits tokens before {taught!r}, so {taught!r} would be asked "
    "about other tokens than the student has. Move {pipe!r} behind the pipes that teach (spaCy: nlp.remove_pipe and "
    "nlp.add_pipe), leave out the pipes behind it with --pipeline or in the student's config, or have the tokenizer "
    "make these tokens.",
    "TD242": "The teacher's tokenizer, a {tokenizer}, cannot be made again for the student: {reason}. Register a "
    "function that makes it with @spacy.registry.tokenizers, name it in [nlp.tokenizer] of the teacher's config, and "
    "give the class to_disk and from_disk, so that spacy.load reads what nlp.to_disk writes. A pattern of spaCy's own "
    "tokenizer must be a method of a compiled regular expression, such as re.compile(...).match.",
    # The loop
    "TD301": "The loss of {pipe!r} became {loss} at step {step} (epoch {epoch}), on a batch of {docs} Docs that "
    "starts with {text!r}. The run stopped, and the last good checkpoint was kept. Lower the learning rate, set "
    "grad_clip, or check what the teacher predicts for that text.",
    "TD302": "There is nothing to resume in {path}: it has no checkpoint. Start without --resume.",
    "TD303": "The checkpoint in {path} belongs to another run: {reason} Resume with the same teacher, config and "
    "texts, or start again with --force.",
    "TD304": "The weights of {pipe!r} became infinite or NaN at step {step} (epoch {epoch}). The run stopped, and the "
    "last good checkpoint was kept. Lower the learning rate or set grad_clip.",
    "TD305": "There is not enough memory for an update at step {step} (epoch {epoch}), even with one text at a time. "
    "The longest text has {words} words. Split texts with --corpora.distill.max_length, or use a smaller student.",
    # Reports
    "TD401": "There is no {role} '{name}': neither an installed package nor a folder of that name. {hint}Check the "
    "path, or install the package with pip.",
    "TD402": "The {role} '{name}' cannot be loaded: {reason}. Expected a pipeline that nlp.to_disk or spacy package "
    "wrote, with everything it depends on installed. Give a file that registers functions of your own with --code.",
    "TD407": "Teacher and student have no score in common, so they cannot be compared. The teacher's pipes are "
    "{teacher}, the student's {student}. Give two pipelines that write the same kind of annotations.",
    "TD408": "The folder '{path}' cannot be written to: {reason}. Name another folder with --output.",
    "TD409": "'{path}' already has a report. Name another folder, or replace the report with --force.",
    "TD411": "The process that measured '{pipeline}' stopped with exit code {exit_code} (-9 means killed, perhaps "
    "because memory ran out). Its last output:\n{log}",
    "TD412": "The code file '{path}' cannot be imported: {reason}. Give a Python file with --code.",
    "TD413": "Document {number} of '{path}' has {length} characters, more than the {role}'s nlp.max_length of "
    "{max_length}. Split it into shorter documents.",
    "TD414": "Teacher and student were not compared from raw text, because the {role} failed there: {reason}. Run the "
    "{role} over such texts with nlp.pipe to see where it fails. If it needs functions of your own, give the file that "
    "registers them with --code.",
    "TD415": "--min-retention has {found!r}. Expected scores with the least share of the teacher's score, such as "
    "tag_acc=0.99,dep_las=0.97.",
    "TD416": "--min-retention names the score {name!r}, which the two do not have in common. They have {known}.",
    # Writing
    "TD501": "The output folder {path} is not empty: it has {found}. Nothing was overwritten. Choose another folder, "
    "continue the interrupted run with --resume, or replace it with --force.",
    "TD502": "{path} already exists. Nothing was overwritten. Choose another name, or overwrite it with --force.",
    "TD503": "There is no size {size!r}. The sizes are {known}.",
    "TD504": "The teacher has no pipe {pipe!r}. Its pipes are {pipes}.",
    "TD505": "A student cannot be made from any of the teacher's pipes: it has {pipes}. Write a config with the pipes "
    "you want, and map them in [distillation.student_to_teacher].",
    "TD506": "The output {path} is a file. Expected a folder, or a new name.",
    "TD507": "The output folder {path} cannot be created or read: {reason}. Choose another folder.",
    "TD508": "{path} cannot be written: {reason}. Choose another name.",
    "TD509": "{path} cannot be written: {reason}. Files written before are complete. Free some space or correct the "
    "folder's permissions, then give the same command again (spacy distill: with --resume).",
    "TD515": "Another run is writing to the output folder {path}. Nothing was changed. Wait until it ends, or choose "
    "another folder.",
    "TD510": "A student's pipe cannot be made from the teacher's pipe {pipe!r}: the config of its factory {factory!r} "
    "does not say what its {settings} is. Register the function, for example as @misc, and let the factory take it as "
    "a setting of that name; or leave the pipe out with --pipeline.",
    "TD511": "The student would not have all of its teacher's pipes. {pipes}. With --strict each pipe must be "
    "mirrored, carried over or left out by name. Name them with --leave-out or in [distillation] leave_out, or add "
    "pipes to the config that learn from them.",
    # Static vectors
    "TD520": "The teacher has no encoder to make vectors from. Its pipes are {pipes}. Expected a pipe of one of these "
    "factories: {factories}.",
    "TD521": "There are no words to make vectors of: no word occurs {min_count} times in the texts, and the teacher "
    "has no vocabulary of word pieces. Give more text, or include rarer words with --min-count 1.",
    "TD522": "Vectors of width {width} cannot be made, because the teacher's encoder is {hidden} wide. Give a width "
    "from 1 to {hidden}.",
    "TD523": "The teacher's encoder did not give a vector for each token of {text!r}. Expected them in doc._.trf_data "
    "(spacy-transformers, spacy-curated-transformers) or in doc.tensor.",
    # Recorded targets
    "TD601": "{path} cannot be read as recorded targets: {reason} Expected a folder that `python -m spacy "
    "distill-targets` wrote. Record it again.",
    "TD602": "The targets in {path} have format {found}, but this version reads format {expected}. Record them again, "
    "or use the version of spacy-tinydistill that wrote them.",
    "TD603": "The targets in {path} were recorded from another teacher: {teacher} with fingerprint {found}. This "
    "teacher's fingerprint is {expected}. Name the teacher that was recorded, or record again in another folder.",
    "TD604": "{path}, a file of the recorded targets, is damaged: {reason} Record again, or copy the folder again.",
    "TD605": "The recording in {path} is not complete: it has {shards} shards so far. Give the same `python -m spacy "
    "distill-targets` command again. It continues where it stopped.",
    "TD606": "Another process is recording to {path}. Wait until it is done, or choose another folder.",
    "TD608": "The recording in {path} was started with other texts: {shard} does not have the texts that are read "
    "now. Continue with the same texts, or start again with --force.",
    "TD609": "The recording in {path} was started with other pipes, labels or settings: {found}. Now they are "
    "{expected}. Continue with the same config, or start again with --force.",
    "TD610": "The targets have nothing for the student's pipe {pipe!r}. They are for {pipes}. Record again with this "
    "student's config: `python -m spacy distill-targets TEACHER CORPUS STORE --config CONFIG`.",
    "TD611": "The targets for the pipe {pipe!r} were recorded with another {what}: {found}. The config has "
    "{expected}. Record again with this student's config.",
    "TD612": "The targets were recorded with a teaching rule that does not exist here: {rule!r}. The rules are "
    "{known}. Install the package that registers it, or give its file with --code.",
    "TD614": "The targets in {path} were not recorded with this gold corpus. They include {found} gold Docs; the "
    "corpus has {expected}, or other ones. Record again with --paths.gold.",
    "TD615": "With --targets a config is needed, and no texts: the recorded targets include their texts. Give a "
    "config in place of the texts.",
    "TD616": "A streamed corpus (max_epochs = -1) cannot be recorded. Set [distillation] max_epochs to 0 or more.",
    "TD617": "There is nothing to score on. The targets in {path} were recorded with a dev corpus and without "
    "held-out texts, and now no dev corpus is given. Give one with --paths.dev.",
    "TD618": "The folder {path} is not empty, and it has no recorded targets: found {found}. Nothing was overwritten. "
    "Choose another folder.",
    "TD619": "The engine ray needs Ray Data, which cannot be imported: {reason}. Install it on this machine and on "
    'all machines of the cluster: pip install "spacy-tinydistill[ray]".',
    "TD620": "There is no engine {engine!r}. The engines are {known}.",
    "TD621": "No Ray cluster can be reached at {address!r}: {reason} Check the address, and that the cluster has the "
    "same versions of Ray and Python. Without --address, Ray starts on this machine.",
    "TD622": "Workers on a cluster load the teacher themselves, but this teacher is only in memory. Save it with "
    "nlp.to_disk to a folder that every machine can read, and give that folder.",
    "TD623": "The Ray cluster has no {slot} for a worker. It has {found}. Add a machine that has one, or change "
    "--gpu-id.",
    "TD624": "The Ray cluster stopped before all texts were recorded: {reason}\nWhat was recorded is kept. Give the "
    "same command again. It continues where it stopped.",
    "TD625": "A worker on the cluster has another teacher under the name {name!r}: its fingerprint is {found}, the "
    "one here is {expected}. Give every machine the same files, for example in a shared folder.",
    "TD626": "Recording {shard} was tried {tries} times, and each time the worker ended before it was done. Perhaps a "
    "worker has too little memory, or a text crashes the teacher. Look in Ray's logs.",
    "TD627": '"-" stands for the teachers in [distillation] teachers, or for those whose targets were recorded, but '
    "there are none. Name the teacher, or give recorded targets with --targets.",
    "TD628": "The targets of a Doc cannot be read: {reason}. They were not written by this library. Record again.",
    "TD630": "The teacher's pipe {pipe!r} returned {found} of {expected} Docs, for a batch that starts with {text!r}. "
    "A pipe must return every Doc: a missing Doc looks like one with no annotations. Let the pipe raise its errors, "
    "or return every Doc.",
    "TD631": "The teacher's pipe {pipe!r} failed on a batch of Docs that starts with {text!r}: {reason}. What was "
    "recorded before is kept. Remove the cause, then give the same command again (spacy distill: with --resume).",
    "TD632": "The teacher's pipe {teacher!r} annotated none of the texts, so the student's pipe {pipe!r} has nothing "
    "to learn. Look at the teacher's answers: an empty answer, or one without any of the categories, counts as no "
    "annotation.",
    "TD633": "The targets in {path} and in {other} are of different texts, or of texts with different tokens. Record "
    "the same texts with each teacher, with the same student config.",
    "TD634": "The targets in {path} are for {found}, but those in {first} are for {expected}. Record each teacher "
    "with the same student config: `python -m spacy distill-targets TEACHER CORPUS STORE --config CONFIG`.",
    "TD635": "There are {found} folders of targets and {expected} teachers. Name one teacher for each folder, in the "
    "same order, or give - to use whichever teachers were recorded.",
    "TD636": "Targets of {count} teachers cannot be recorded to one folder. Record each teacher to a folder of its "
    "own, and give all of these folders to --targets.",
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
    "TD707": "The pipe {pipe!r} searches with a beam of {found} behind {earlier!r}, which sets entities; in JavaScript "
    "nothing may have set any before a beam. Set its beam_width to 1, or put it first.",
    "TD708": "The pipe {pipe!r} has {setting} = {found}, which has no counterpart in JavaScript. Expected: {expected}.",
    "TD709": "The weights of {pipe!r} cannot be rounded to {precision}: {reason}. Choose another precision.",
    "TD710": "A pattern of the pipe {pipe!r} has {what}, which has no counterpart in JavaScript: {pattern}. Write it "
    "without, or leave the pipe out.",
    "TD711": "There is no precision {precision!r}; there are {known}.",
    "TD712": "The student's static vectors are of the kind {mode!r}. Expected words with a vector each, such as "
    "`python -m spacy init distill-vectors` makes.",
    "TD713": "The folder {path} has no report of the student {student}: found {found}. Give the folder that "
    "`python -m spacy benchmark distillation` or `python -m spacy distill` wrote for this student.",
    # What is installed
    "TD901": "This needs a library that is not installed: {reason}. A student runs without it. To distil, or to "
    'compare a student with its teacher, install the extra that has it: pip install "spacy-tinydistill[{extra}]".',
}


class DistillationError(ValueError):
    """An error that a user caused, with its number and message.

    Args:
        code: The number, a key of `MESSAGES`.
        values: The values of the message's placeholders.
    """

    def __init__(self, code: str, **values: object) -> None:
        self.code = code
        super().__init__(f"[{code}] {MESSAGES[code].format(**values)}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the complete message when the error is pickled, as between processes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


@contextmanager
def needed(extra: str) -> Iterator[None]:
    """Tell which extra of this package has what is imported within.

    Args:
        extra: Its name, such as "distill".

    Raises:
        DistillationError: TD901, an import failed.
    """
    try:
        yield
    except ImportError as error:
        raise DistillationError("TD901", reason=error, extra=extra) from error
