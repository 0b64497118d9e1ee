// Packed columns of protobuf answers as typed arrays. Pure.
import type { PbfReader } from "pbf";

const BYTES = 8;
const PACKED = 2;
/** A column that did not come. */
export const NONE = new Float64Array();

/** Doubles lie in the message as they lie in memory (little-endian): copied, not read one by one. */
export function doubles(pbf: PbfReader): Float64Array {
  if (pbf.type !== PACKED) return Float64Array.of(pbf.readDouble());
  const bytes = pbf.readBytes();
  return new Float64Array(bytes.slice().buffer, 0, bytes.length / BYTES);
}

export function wholes(pbf: PbfReader, signed: boolean): Float64Array {
  const read = () => (signed ? pbf.readSVarint() : pbf.readVarint());
  if (pbf.type !== PACKED) return Float64Array.of(read());
  const end = pbf.readVarint() + pbf.pos;
  let count = 0;
  for (let position = pbf.pos; position < end; position++) if (pbf.buf[position]! < 0x80) count++; // each number's last byte
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) out[i] = read();
  return out;
}

/** A column may come in pieces. */
export function joined(before: Float64Array, piece: Float64Array): Float64Array {
  if (!before.length) return piece;
  const out = new Float64Array(before.length + piece.length);
  out.set(before);
  out.set(piece, before.length);
  return out;
}
