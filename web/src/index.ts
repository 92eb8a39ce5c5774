/**
 * A tiny spaCy pipeline in a web page, a worker or Node.
 *
 *     const nlp = await load("student.tdw");
 *     const doc = nlp("Ann sings in Rome.");
 *     doc.tokens[0].tag;
 */

import { Characters } from "./characters.js";
import { Doc } from "./doc.js";
import { type DescribedEncoder, Encoder } from "./encoder.js";
import { DataFile, FormatError, ensure } from "./format.js";
import { Heap } from "./kernels.js";
import { EntityRecognizer } from "./ner.js";
import { Parser } from "./parser.js";
import type { Model, Pipe, Reading } from "./pipe.js";
import { AttributeRuler, EntityRuler, SpanRuler } from "./rules.js";
import { Sentencizer } from "./sentencizer.js";
import { SpanCategorizer, SpanFinder } from "./spancat.js";
import { Lemmatizer, Morphologizer, Senter, Tagger } from "./tagger.js";
import { TextCategorizer } from "./textcat.js";
import { type DescribedTokenizer, Tokenizer } from "./tokenizer.js";
import { type DescribedVocab, Vocab } from "./vocab.js";

export { Doc, Span, Token } from "./doc.js";
export { FormatError } from "./format.js";

/** What a student says of itself. */
export interface Meta {
  lang: string;
  name: string;
  version: string;
  description: string;
  license: string;
}

/** A student: call it with a text. */
export interface Language {
  (text: string): Doc;
  /** Annotate one text after another. */
  pipe(texts: Iterable<string>): Generator<Doc, void>;
  readonly meta: Meta;
  readonly pipeNames: string[];
  /** Whether it calculates in WebAssembly. */
  readonly usesWasm: boolean;
  /** Bytes of memory that it calculates in. */
  readonly heapBytes: number;
}

export interface LoadOptions {
  /** Whether to calculate in WebAssembly where there is some; true unless it is set. */
  wasm?: boolean;
}

/** spaCy's `nlp.max_length`: a longer text has to be split. */
const MOST_CHARACTERS = 1_000_000;

const PIPES: Record<string, new (model: Model, described: never) => Pipe> = {
  tagger: Tagger, morphologizer: Morphologizer, senter: Senter, trainable_lemmatizer: Lemmatizer, parser: Parser,
  ner: EntityRecognizer, textcat: TextCategorizer, textcat_multilabel: TextCategorizer, spancat: SpanCategorizer,
  spancat_singlelabel: SpanCategorizer, span_finder: SpanFinder, sentencizer: Sentencizer, attribute_ruler: AttributeRuler, entity_ruler: EntityRuler,
  span_ruler: SpanRuler,
};

interface Header {
  meta: Meta;
  characters: { runs: number[]; flags: number[]; lower: number[] };
  vocab: DescribedVocab;
  tokenizer: DescribedTokenizer;
  encoders: DescribedEncoder[];
  pipes: { name: string; type: string }[];
}

/** More parts than this no student has, and so much memory it takes at most: some, and some for each byte of its file. */
const MOST_PARTS = 64;
const MOST_BYTES = 2 ** 26;
const MOST_BYTES_EACH = 32;

/**
 * Load a student.
 *
 * @param source the data file: a URL, in Node also a path, or its bytes.
 * @throws FormatError where it is none, or damaged.
 */
export async function load(source: string | URL | ArrayBuffer | Uint8Array, options: LoadOptions = {}): Promise<Language> {
  return read(typeof source === "string" || source instanceof URL ? await fetchBytes(source) : source, options);
}

/** Make a student of the bytes of its data file. */
export function read(bytes: ArrayBuffer | Uint8Array, options: LoadOptions = {}): Language {
  try {
    return build(new DataFile(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)), options.wasm ?? true);
  } catch (error) {
    // A header of somebody else's making may lack anything.
    if (error instanceof FormatError) throw error;
    throw new FormatError(`this is no student that can be read: ${(error as Error).message}`, { cause: error });
  }
}

function build(file: DataFile, wasm: boolean): Language {
  const header = file.header as Header;
  ensure([header.encoders, header.pipes].every((parts) => Array.isArray(parts) && parts.length <= MOST_PARTS), "too many parts");
  ensure(header.encoders.every(({ layers, tables }) => layers.length + tables.length <= MOST_PARTS), "too many layers");
  const heap = new Heap(wasm);
  heap.limit = MOST_BYTES + MOST_BYTES_EACH * file.size;
  const vocab = new Vocab(new Characters(header.characters), header.vocab);
  const tokenizer = new Tokenizer(vocab, header.tokenizer);
  const encoders = header.encoders.map((described) => new Encoder(heap, vocab, file, described));
  const model: Model = { file, heap, vocab, encoders };
  const pipes = header.pipes.map((described) => {
    ensure(Object.hasOwn(PIPES, described.type), `there is no pipe ${described.type}`);
    return new PIPES[described.type](model, described as never);
  });
  heap.limit = Infinity;
  const empty = heap.top;

  const nlp = (text: string): Doc => {
    if (text.length > MOST_CHARACTERS) throw new RangeError(`A text has at most ${MOST_CHARACTERS} characters; split it.`);
    const { words, spaces } = tokenizer.split(text);
    const doc = new Doc(text, words, spaces);
    const found = new Map<Encoder, number>();
    const reading: Reading = {
      doc,
      vectors(encoder) {
        if (!found.has(encoder)) found.set(encoder, encoder.encode(words));
        return found.get(encoder)!;
      },
    };
    try {
      for (const pipe of pipes) pipe.apply(reading);
    } catch (error) {
      // What a text shows to be wrong with a file of somebody else's making.
      throw new FormatError(`the student cannot annotate this text: ${(error as Error).message}`, { cause: error });
    } finally {
      heap.top = empty;
    }
    return doc;
  };
  function* pipe(texts: Iterable<string>): Generator<Doc, void> {
    for (const text of texts) yield nlp(text);
  }
  // A function's own name cannot be set, so that properties are defined.
  return Object.defineProperties(nlp, {
    pipe: { value: pipe },
    meta: { value: header.meta },
    pipeNames: { value: header.pipes.map(({ name }) => name) },
    usesWasm: { value: heap.usesWasm },
    heapBytes: { get: () => heap.floats.length * 4 },
  }) as Language;
}

async function fetchBytes(source: string | URL): Promise<ArrayBuffer | Uint8Array> {
  const isPath = typeof source === "string" ? !/^[a-z]+:/i.test(source) : source.protocol === "file:";
  if (isPath && typeof process !== "undefined" && process.versions?.node) {
    // Not by a literal name: a bundler for browsers would look for it.
    const name = "node:fs/promises";
    const { readFile } = (await import(/* @vite-ignore */ name)) as typeof import("node:fs/promises");
    return readFile(source);
  }
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${source} cannot be fetched: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}
