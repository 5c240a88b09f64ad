// Several WAV files of one format as one, with silence between: phones play what a press of a button starts, and
// nothing that follows by itself.

const GAP = 0.5; // Seconds.
const HEADER = 12; // Bytes before the first chunk.

// Return the joined file, and the second in which each part starts.
export async function inRow(blobs) {
  const parts = (await Promise.all(blobs.map((blob) => blob.arrayBuffer()))).map(chunks);
  const format = new DataView(parts[0].get("fmt "));
  const [rate, block] = [format.getUint32(8, true), format.getUint16(12, true)]; // Bytes a second, and of a frame.
  const silence = new ArrayBuffer(Math.round((GAP * rate) / block) * block);
  const pieces = parts.flatMap((part, index) => (index ? [silence, part.get("data")] : [part.get("data")]));
  const seconds = pieces.map((piece) => piece.byteLength / rate);
  const starts = parts.map((_, index) => seconds.slice(0, 2 * index).reduce((sum, one) => sum + one, 0));
  const size = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const head = [named("RIFF", HEADER - 4 + 8 + format.byteLength + size), "WAVEfmt ", number(format.byteLength), format, named("data", size)];
  return { blob: new Blob([...head, ...pieces], { type: "audio/wav" }), starts };
}

// Chunks of a file by name.
function chunks(buffer) {
  const view = new DataView(buffer);
  const found = new Map();
  for (let at = HEADER; at + 8 <= buffer.byteLength;) {
    const name = String.fromCharCode(...new Uint8Array(buffer, at, 4));
    const size = view.getUint32(at + 4, true);
    found.set(name, buffer.slice(at + 8, at + 8 + size));
    at += 8 + size + (size % 2);
  }
  return found;
}

function named(name, size) {
  return new Blob([name, number(size)]);
}

function number(value) {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, value, true);
  return bytes;
}
