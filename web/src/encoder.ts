/** spaCy's `Tok2Vec`: hashed attributes of words, mixed (`MultiHashEmbed`), then windows of them (`MaxoutWindowEncoder`). */

import type { DataFile } from "./format.js";
import { ensure, isCount } from "./format.js";
import { rowsOf } from "./hash.js";
import { type Heap, type Packed, apply, filled, pack, spread } from "./kernels.js";
import type { Attribute, Lexeme, Vocab } from "./vocab.js";

const ATTRIBUTES = ["ORTH", "NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE"];

export interface DescribedMaxout {
  W: number;
  b: number;
  norm: { G: number; b: number };
}

export interface DescribedEncoder {
  attributes: Attribute[];
  tables: { seed: number; E: number }[];
  vectors: { attribute: Attribute; keys: number; rows: number; data: number; W: number } | null;
  mix: DescribedMaxout;
  window: number;
  layers: DescribedMaxout[];
}

/** Words whose vectors, and values of an attribute whose share in these, are remembered; then all are forgotten. */
const MOST_WORDS = 8192;
const MOST_VALUES = 2048;

/** Rows that go through a layer at once: so many stay in the caches. */
const BLOCK = 64;

/** A maxout layer with its normalization. */
export class Maxout {
  readonly packed: Packed;
  readonly pieces: number;
  readonly width: number;
  /** The bytes of a row, with what fills it up. */
  readonly rowBytes: number;
  private readonly norm: number;

  /** @param source as for `pack`. */
  constructor(private readonly heap: Heap, file: DataFile, described: DescribedMaxout, source: number[]) {
    const weights = file.weights(described.W, -1, -1, source.filter((column) => column >= 0).length);
    const [width, pieces] = weights.shape;
    ensure(width > 0 && pieces > 1, "a maxout layer");
    this.width = width;
    this.pieces = pieces;
    const full = filled(width);
    this.rowBytes = full * 4;
    // Pieces apart, so that the largest of them is found for four outputs at once.
    const places = Array.from({ length: width * pieces }, (_, i) => (i % pieces) * full + Math.floor(i / pieces));
    this.packed = pack(heap, weights.values, file.weights(described.b, width, pieces).values, places, pieces * full, source);
    const norm = new Float32Array(2 * full);
    norm.set(file.weights(described.norm.G, width).values);
    norm.set(file.weights(described.norm.b, width).values, full);
    this.norm = heap.put(norm);
  }

  /** Take the largest pieces of rows, normalize them and add what was before (0: nothing). */
  finish(source: number, rows: number, before: number, out: number): void {
    const full = this.rowBytes / 4;
    this.heap.operations.maxoutNorm(
      source, this.rowBytes, this.pieces, rows, this.norm, before, out, this.rowBytes, this.width, full - this.width,
    );
  }

  /** Apply the layer to rows that begin `stride` bytes apart, block by block. */
  run(a: number, stride: number, rows: number, before: number, out: number): void {
    const { heap, packed } = this;
    const mark = heap.top;
    const scratch = heap.alloc(Math.min(rows, BLOCK) * packed.outputs);
    for (let i = 0; i < rows; i += BLOCK) {
      const count = Math.min(BLOCK, rows - i);
      apply(heap, packed, a + i * stride, stride, count, scratch);
      this.finish(scratch, count, before && before + i * this.rowBytes, out + i * this.rowBytes);
    }
    heap.top = mark;
  }
}

/** One of a word's attributes: what its value adds to the mix. */
class Table {
  private readonly rows: Float32Array;
  private readonly count: number;
  private readonly slots = new Map<string, number>();
  private readonly cached: number;
  private readonly input: number;

  constructor(
    private readonly heap: Heap, private readonly vocab: Vocab, readonly attribute: Attribute, private readonly seed: number,
    weights: { values: Float32Array; shape: number[] }, private readonly share: Packed, private readonly none: number,
  ) {
    this.rows = weights.values;
    this.count = weights.shape[0];
    ensure(this.count > 0 && isCount(seed), "a table of attributes");
    this.cached = heap.alloc(MOST_VALUES * share.outputs);
    this.input = heap.alloc(share.inputs);
  }

  /** The address of what a value adds. */
  find(value: string): number {
    const found = this.slots.get(value);
    if (found !== undefined) return found;
    if (this.slots.size >= MOST_VALUES) this.slots.clear();
    const { heap, share, rows } = this;
    const place = this.cached + this.slots.size * share.outputs * 4;
    const width = rows.length / this.count;
    const [low, high] = this.vocab.hash(value);
    const to = this.input >> 2;
    heap.floats.fill(0, to, to + share.inputs);
    for (const row of rowsOf(low, high, this.seed, this.count)) {
      for (let i = 0, from = row * width; i < width; i++) heap.floats[to + i] += rows[from + i];
    }
    heap.operations.multiply(this.input, 0, 1, share.address, share.inputs, share.outputs / 8, this.none, 0, place, 0);
    this.slots.set(value, place);
    return place;
  }
}

/** Static vectors: what a word's vector adds to the mix. */
class Vectors {
  private readonly data: Float32Array;
  private readonly width: number;
  /** A hash table with open addresses: places of keys, -1 where there is none. */
  private readonly places: Int32Array;
  private readonly keys: Uint32Array | Int32Array;
  private readonly rows: Uint32Array | Int32Array;
  private readonly input: number;
  private readonly middle: number;
  private readonly project: Packed;
  readonly attribute: Attribute;

  constructor(
    private readonly heap: Heap, private readonly vocab: Vocab, file: DataFile, described: NonNullable<DescribedEncoder["vectors"]>,
    private readonly share: Packed,
  ) {
    this.attribute = described.attribute;
    const data = file.weights(described.data, -1, -1);
    this.data = data.values;
    this.width = data.shape[1];
    const keys = file.integers(described.keys, "uint32", -1, 2);
    const count = keys.shape[0];
    this.keys = keys.values;
    this.rows = file.integers(described.rows, "int32", count).values;
    ensure(this.rows.every((row) => row >= 0 && row < data.shape[0]), "a word's vector is not there");
    this.places = new Int32Array(2 ** Math.ceil(Math.log2(count * 2 + 1))).fill(-1);
    for (let i = 0; i < count; i++) {
      let place = this.keys[2 * i] & (this.places.length - 1);
      while (this.places[place] >= 0) place = (place + 1) & (this.places.length - 1);
      this.places[place] = i;
    }
    const weights = file.weights(described.W, -1, this.width);
    const outputs = weights.shape[0];
    ensure(filled(outputs) === share.inputs, "static vectors of another width");
    this.project = pack(heap, weights.values, null, spread(1, outputs).slice(0, outputs), filled(outputs), spread(1, this.width));
    this.input = heap.alloc(this.project.inputs);
    this.middle = heap.alloc(this.project.outputs);
  }

  /** Add a value's share to a sum; a word without a vector adds nothing. */
  addTo(sum: number, value: string): void {
    const [low, high] = this.vocab.hash(value);
    const mask = this.places.length - 1;
    for (let place = low & mask; this.places[place] >= 0; place = (place + 1) & mask) {
      const i = this.places[place];
      if (this.keys[2 * i] !== low >>> 0 || this.keys[2 * i + 1] !== high >>> 0) continue;
      const { heap, share, width } = this;
      const from = this.rows[i] * width;
      heap.floats.fill(0, this.input >> 2, (this.input >> 2) + this.project.inputs);
      heap.floats.set(this.data.subarray(from, from + width), this.input >> 2);
      apply(heap, this.project, this.input, 0, 1, this.middle);
      heap.operations.multiply(this.middle, 0, 1, share.address, share.inputs, share.outputs / 8, sum, 0, sum, 0);
      return;
    }
  }
}

export class Encoder {
  /** Of a token's vector. */
  readonly width: number;
  readonly rowBytes: number;
  private readonly tables: Table[];
  private readonly vectors: Vectors | null;
  private readonly mix: Maxout;
  private readonly layers: Maxout[];
  private readonly window: number;
  private readonly slots = new Map<Lexeme, number>();
  private readonly cached: number;

  constructor(private readonly heap: Heap, vocab: Vocab, file: DataFile, described: DescribedEncoder) {
    const { attributes, tables } = described;
    const vectors = described.vectors;
    ensure(attributes.length === tables.length && isCount(described.window) && described.window < 100, "an encoder");
    ensure([...attributes, vectors?.attribute ?? "ORTH"].every((name) => ATTRIBUTES.includes(name)), "an unknown attribute");
    const embedded = tables.map((table) => file.weights(table.E, -1, -1));
    const parts = tables.length + (vectors ? 1 : 0);
    const mixWeights = file.weights(described.mix.W, -1, -1, -1);
    const inputs = mixWeights.shape[2];
    const width = inputs / parts;
    ensure(Number.isInteger(width) && embedded.every(({ shape }) => shape[1] === width), "tables of different widths");
    this.mix = new Maxout(heap, file, described.mix, spread(parts, width));
    const none = heap.put(new Float32Array(this.mix.packed.outputs));
    // The mix is a sum: of what each attribute adds, which is remembered for its values.
    const share = (part: number): Packed => partOf(heap, this.mix.packed, part * filled(width), filled(width));
    this.tables = tables.map(
      (table, i) => new Table(heap, vocab, attributes[i], table.seed, embedded[i], share(i), none),
    );
    this.vectors = vectors && new Vectors(heap, vocab, file, vectors, share(tables.length));
    this.window = described.window;
    this.width = this.mix.width;
    this.rowBytes = this.mix.rowBytes;
    const source = spread(2 * this.window + 1, this.width);
    this.layers = described.layers.map((layer) => new Maxout(heap, file, layer, source));
    ensure(this.layers.every((layer) => layer.width === this.width), "a layer of another width");
    ensure(!this.layers.length || this.window > 0, "an encoder's window");
    this.cached = heap.alloc((MOST_WORDS * this.rowBytes) / 4);
  }

  /** Compute the vectors of words, one row each; returns where the first one is. */
  encode(words: Lexeme[]): number {
    const { heap, rowBytes, window } = this;
    const depth = this.layers.length;
    const margin = depth * window;
    const rows = words.length + 2 * margin;
    const size = (rows * rowBytes) / 4;
    let from = heap.alloc(size);
    let to = depth ? heap.alloc(size) : from;
    const first = from + margin * rowBytes;
    heap.floats.fill(0, from >> 2, first >> 2);
    heap.floats.fill(0, (first >> 2) + (words.length * rowBytes) / 4, (from >> 2) + size);
    this.embed(words, first);
    this.layers.forEach((layer, i) => {
      // spaCy pads a text with as many zeros as the layers see, and these change from layer to layer.
      const begin = (i + 1) * window;
      const at = begin * rowBytes;
      layer.run(from + at - window * rowBytes, rowBytes, rows - 2 * begin, from + at, to + at);
      [from, to] = [to, from];
    });
    return from + margin * rowBytes;
  }

  private embed(words: Lexeme[], out: number): void {
    const { heap, slots, rowBytes } = this;
    words.forEach((word, i) => {
      let place = slots.get(word);
      if (place === undefined) {
        if (slots.size >= MOST_WORDS) slots.clear();
        place = this.cached + slots.size * rowBytes;
        this.embedWord(word, place);
        slots.set(word, place);
      }
      heap.floats.copyWithin((out + i * rowBytes) >> 2, place >> 2, (place + rowBytes) >> 2);
    });
  }

  private embedWord(word: Lexeme, out: number): void {
    const { heap, mix } = this;
    const mark = heap.top;
    const count = mix.packed.outputs;
    const sum = heap.alloc(count);
    const to = sum >> 2;
    heap.floats.copyWithin(to, mix.packed.bias >> 2, (mix.packed.bias >> 2) + count);
    for (const table of this.tables) {
      const from = table.find(word.get(table.attribute)) >> 2;
      const { floats } = heap;
      for (let i = 0; i < count; i++) floats[to + i] += floats[from + i];
    }
    this.vectors?.addTo(sum, word.get(this.vectors.attribute));
    mix.finish(sum, 1, 0, out);
    heap.top = mark;
  }
}

/** Some of the inputs of packed weights, packed. */
function partOf(heap: Heap, whole: Packed, first: number, inputs: number): Packed {
  const { outputs } = whole;
  const packed = new Float32Array(inputs * outputs);
  for (let panel = 0; panel < outputs / 8; panel++) {
    const from = (whole.address >> 2) + (panel * whole.inputs + first) * 8;
    packed.set(heap.floats.subarray(from, from + inputs * 8), panel * inputs * 8);
  }
  return { address: heap.put(packed), bias: 0, inputs, outputs };
}
