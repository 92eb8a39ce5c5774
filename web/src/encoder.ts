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
  finish(source: number, rows: number, before: number, out: number, pieces = this.pieces): void {
    const full = this.rowBytes / 4;
    this.heap.operations.maxoutNorm(
      source, this.rowBytes, pieces, rows, this.norm, before, out, this.rowBytes, this.width, full - this.width,
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
  private readonly first: Maxout | undefined;
  private readonly others: Maxout[];
  private readonly window: number;
  /**
   * What is remembered of words: their vectors, and what these give to the first layer at each place of its window. That is a
   * sum, so that a word's part in it is computed once.
   */
  private readonly slots = new Map<Lexeme, number>();
  private readonly embedded: number;
  private readonly given: number;
  private readonly shares: Packed[];
  private readonly none: number;

  constructor(private readonly heap: Heap, vocab: Vocab, file: DataFile, described: DescribedEncoder) {
    const { attributes, tables, vectors, window } = described;
    ensure(attributes.length === tables.length && isCount(window) && window < 100, "an encoder");
    ensure([...attributes, vectors?.attribute ?? "ORTH"].every((name) => ATTRIBUTES.includes(name)), "an unknown attribute");
    const rows = tables.map((table) => file.weights(table.E, -1, -1));
    const parts = tables.length + (vectors ? 1 : 0);
    const width = file.weights(described.mix.W, -1, -1, -1).shape[2] / parts;
    ensure(Number.isInteger(width) && rows.every(({ shape }) => shape[1] === width), "tables of different widths");
    this.mix = new Maxout(heap, file, described.mix, spread(parts, width));
    this.width = this.mix.width;
    this.rowBytes = this.mix.rowBytes;
    this.window = window;
    const places = 2 * window + 1;
    const source = spread(places, this.width);
    [this.first, ...this.others] = described.layers.map((layer) => new Maxout(heap, file, layer, source));
    ensure(described.layers.length === 0 || (window > 0 && this.first?.width === this.width), "an encoder's layers");
    ensure(this.others.every((layer) => layer.width === this.width), "an encoder's layers");
    const layer = this.first?.packed;
    this.none = heap.put(new Float32Array(Math.max(this.mix.packed.outputs, places * (layer?.outputs ?? 0))));
    // The mix is a sum, too: of what each attribute's value adds.
    const share = (part: number): Packed => partOf(heap, this.mix.packed, part * filled(width), filled(width));
    this.tables = tables.map(
      (table, i) => new Table(heap, vocab, attributes[i], table.seed, rows[i], share(i), this.none),
    );
    this.vectors = vectors && new Vectors(heap, vocab, file, vectors, share(tables.length));
    const full = this.rowBytes / 4;
    this.shares = layer ? Array.from({ length: places }, (_, i) => partOf(heap, layer, i * full, full)) : [];
    this.embedded = heap.alloc(MOST_WORDS * full);
    this.given = heap.alloc(MOST_WORDS * this.shares.length * (layer?.outputs ?? 0));
  }

  /** Compute the vectors of words, one row each; returns where the first one is. */
  encode(words: Lexeme[]): number {
    const { heap, rowBytes, window, first } = this;
    const margin = (first ? 1 + this.others.length : 0) * window;
    const rows = words.length + 2 * margin;
    const size = (rows * rowBytes) / 4;
    let from = heap.alloc(size);
    let to = first ? heap.alloc(size) : from;
    const begin = from + margin * rowBytes;
    heap.floats.fill(0, from >> 2, begin >> 2);
    heap.floats.fill(0, (begin >> 2) + (words.length * rowBytes) / 4, (from >> 2) + size);
    for (let i = 0; i < words.length; i += BLOCK) this.embed(words.slice(i, i + BLOCK), begin + i * rowBytes);
    if (first) {
      this.runFirst(first, words, margin, from, to);
      [from, to] = [to, from];
    }
    this.others.forEach((layer, i) => {
      // spaCy pads a text with as many zeros as the layers see, and these change from layer to layer.
      const skipped = (i + 2) * window;
      const at = skipped * rowBytes;
      layer.run(from + at - window * rowBytes, rowBytes, rows - 2 * skipped, from + at, to + at);
      [from, to] = [to, from];
    });
    return from + margin * rowBytes;
  }

  /** The first layer, from what each word gives to it. */
  private runFirst(layer: Maxout, words: Lexeme[], margin: number, from: number, to: number): void {
    const { heap, window, rowBytes, none } = this;
    const places = this.shares.length;
    const mark = heap.top;
    const ids = heap.alloc(places);
    const scratch = heap.alloc((BLOCK * rowBytes) / 4);
    const { outputs, bias } = layer.packed;
    for (let i = window - margin; i < words.length + margin - window; i += BLOCK) {
      const count = Math.min(BLOCK, words.length + margin - window - i);
      // All words of a block are remembered at once.
      const near = words.slice(Math.max(0, i - window), Math.max(0, i + count + window));
      const slots = this.remember(near);
      for (let j = 0; j < count; j++) {
        for (let place = 0; place < places; place++) {
          const word = i + j + place - window;
          heap.words[(ids >> 2) + place] = word < 0 || word >= words.length ? -1 : slots[word - Math.max(0, i - window)];
        }
        heap.operations.state(
          ids, places, this.given, none, outputs * 4, bias, rowBytes, layer.pieces, scratch + j * rowBytes,
        );
      }
      const at = (i + margin) * rowBytes;
      layer.finish(scratch, count, from + at, to + at, 1);
    }
    heap.top = mark;
  }

  private embed(words: Lexeme[], out: number): void {
    const { heap, rowBytes } = this;
    this.remember(words).forEach((slot, i) => {
      const place = (this.embedded + slot * rowBytes) >> 2;
      heap.floats.copyWithin((out + i * rowBytes) >> 2, place, place + rowBytes / 4);
    });
  }

  /** Find where words are remembered; all of them are until the next call. */
  private remember(words: Lexeme[]): number[] {
    const { slots } = this;
    if (slots.size + words.length > MOST_WORDS) slots.clear();
    return words.map((word) => {
      let slot = slots.get(word);
      if (slot === undefined) {
        slot = slots.size;
        slots.set(word, slot);
        this.embedWord(word, slot);
      }
      return slot;
    });
  }

  private embedWord(word: Lexeme, slot: number): void {
    const { heap, mix, shares, none } = this;
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
    const vector = this.embedded + slot * this.rowBytes;
    mix.finish(sum, 1, 0, vector);
    shares.forEach(({ address, inputs, outputs }, i) => {
      const place = this.given + (slot * shares.length + i) * outputs * 4;
      heap.operations.multiply(vector, 0, 1, address, inputs, outputs / 8, none, 0, place, 0);
    });
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
