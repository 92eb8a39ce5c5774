/** The data file: `spacy_tinydistill/web/format.py` says what stands where. Nothing in it is believed before it is checked. */

/** A file that is no student, or a damaged one. */
export class FormatError extends Error {
  override name = "FormatError";
}

export type Dtype = "float32" | "float16" | "int8" | "uint32" | "int32";

/** An array of the file, with its shape. Weights are float32 whatever they are stored as. */
export interface Numbers<Values = Float32Array> {
  values: Values;
  shape: number[];
}

const MAGIC = [0x74, 0x64, 0x77, 0x65, 0x62, 0x0d, 0x0a, 0x1a];
const VERSION = 1;
const ALIGNMENT = 16;
const BYTES: Record<Dtype, number> = { float32: 4, float16: 2, int8: 1, uint32: 4, int32: 4 };

/** A file that was read, its checksum compared and each array's place checked. */
export class DataFile {
  readonly header: unknown;
  private readonly entries: [Dtype, number[], number, number][];
  private readonly begin: number;

  constructor(private readonly bytes: Uint8Array) {
    const size = bytes.length;
    ensure(size >= 20 && MAGIC.every((byte, i) => bytes[i] === byte), "this is no student for the web");
    const view = new DataView(bytes.buffer, bytes.byteOffset, size);
    const version = view.getUint32(8, true);
    ensure(version === VERSION, `the file's format is ${version}, and this version reads ${VERSION}`);
    ensure(view.getUint32(12, true) === adler32(bytes, 16), "the file is damaged: its checksum is another one");
    const length = view.getUint32(16, true);
    ensure(length <= size - 20, "the header is longer than the file");
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(20, 20 + length));
    this.header = JSON.parse(text);
    this.begin = Math.ceil((20 + length) / ALIGNMENT) * ALIGNMENT;
    const entries = (this.header as { arrays?: unknown } | null)?.arrays;
    ensure(Array.isArray(entries), "the header names no arrays");
    this.entries = entries as [Dtype, number[], number, number][];
    for (const entry of this.entries) this.check(entry);
  }

  get size(): number {
    return this.bytes.length;
  }

  private check(entry: unknown): void {
    ensure(Array.isArray(entry) && entry.length === 4 && Object.hasOwn(BYTES, entry[0]), "an array is described wrongly");
    const [dtype, shape, offset, scales] = entry as [Dtype, number[], number, number];
    ensure(Array.isArray(shape) && shape.length <= 4 && shape.every((n) => isCount(n) && n > 0), "an array's shape is none");
    ensure(isCount(offset) && offset % ALIGNMENT === 0, "an array begins where none can");
    const bytes = shape.reduce((product, n) => product * n, BYTES[dtype]);
    ensure(Number.isSafeInteger(bytes) && this.begin + offset + bytes <= this.bytes.length, "an array is longer than the file");
    if (scales !== -1) {
      const of = isCount(scales) ? this.entries[scales] : undefined;
      const rows = shape.slice(0, -1).reduce((product, n) => product * n, 1);
      ensure(dtype === "int8" && of?.[0] === "float32" && of[1].length === 1 && of[1][0] === rows, "an array's scales do not fit");
    }
  }

  /** Read weights of a shape; in `shape`, -1 stands for any number. */
  weights(index: unknown, ...shape: number[]): Numbers {
    const [, found, , scales] = this.entry(index, shape);
    const numbers = this.read(index as number);
    if (numbers instanceof Float32Array) return { values: numbers, shape: found };
    ensure(numbers instanceof Int8Array && scales !== -1, "weights are of no type of weights");
    const values = new Float32Array(numbers.length);
    const factors = this.read(scales);
    const width = found[found.length - 1];
    for (let i = 0, row = 0; i < values.length; row++) {
      for (const end = i + width; i < end; i++) values[i] = numbers[i] * factors[row];
    }
    return { values, shape: found };
  }

  /** Read whole numbers of a shape. */
  integers(index: unknown, dtype: "uint32" | "int32", ...shape: number[]): Numbers<Uint32Array | Int32Array> {
    const [found, size] = this.entry(index, shape);
    ensure(found === dtype, "whole numbers are of another type");
    return { values: this.read(index as number) as Uint32Array | Int32Array, shape: size };
  }

  private entry(index: unknown, shape: number[]): [Dtype, number[], number, number] {
    const entry = isCount(index) ? this.entries[index] : undefined;
    ensure(entry !== undefined, "an array is not there");
    const fits = entry[1].length === shape.length && shape.every((n, i) => n === -1 || n === entry[1][i]);
    ensure(fits, `an array of shape ${entry[1]} is not of the shape ${shape} that is needed`);
    return entry;
  }

  /** Put the planes of an array's bytes together to numbers. */
  private read(index: number): Float32Array | Int8Array | Uint32Array | Int32Array {
    const [dtype, shape, offset] = this.entries[index];
    const count = shape.reduce((product, n) => product * n, 1);
    const start = this.begin + offset;
    const { bytes } = this;
    if (dtype === "int8") return new Int8Array(bytes.buffer, bytes.byteOffset + start, count);
    if (dtype === "float16") {
      const floats = new Float32Array(count);
      const bits = new Int32Array(floats.buffer);
      for (let i = 0, at = start; i < count; i++, at++) {
        const high = bytes[at + count];
        bits[i] = ((high & 0x80) << 24) | ((high & 0x7f) << 21) | (bytes[at] << 13);
      }
      // The exponent of a half counts from -15, that of a float from -127.
      for (let i = 0; i < count; i++) floats[i] *= 2 ** 112;
      return floats;
    }
    const words = new Int32Array(count);
    for (let i = 0, at = start; i < count; i++, at++) {
      words[i] = bytes[at] | (bytes[at + count] << 8) | (bytes[at + 2 * count] << 16) | (bytes[at + 3 * count] << 24);
    }
    if (dtype === "float32") return new Float32Array(words.buffer);
    return dtype === "int32" ? words : new Uint32Array(words.buffer);
  }
}

export function ensure(condition: unknown, message: string): asserts condition {
  if (!condition) throw new FormatError(message);
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Adler-32 of the bytes from a place on; RFC 1950. */
function adler32(bytes: Uint8Array, start: number): number {
  let a = 1, b = 0;
  for (let i = start; i < bytes.length; ) {
    // So many sums stay whole numbers of 32 bits.
    const end = Math.min(i + 3800, bytes.length);
    for (; i + 4 <= end; i += 4) {
      b += 4 * (a + bytes[i]) + 3 * bytes[i + 1] + 2 * bytes[i + 2] + bytes[i + 3];
      a += bytes[i] + bytes[i + 1] + bytes[i + 2] + bytes[i + 3];
    }
    for (; i < end; i++) {
      a += bytes[i];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
