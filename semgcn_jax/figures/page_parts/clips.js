// Decodes the clips of the page: from base64 to arrays of numbers.

// An array was scaled to 16 bits, and holds the differences from frame to frame.
const NOT_KNOWN = -32768;
const ARRAYS = ['positions', 'truth', 'keypoints', 'confidence', 'expected'];

async function readBytes() {
  const text = document.getElementById('data').textContent;
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream()
      .pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

// Decodes an array of `shape` [T, ...]; what is not known becomes NaN.
function readArray(buffer, entry) {
  if (!entry) return null;
  const values = new Int16Array(buffer, entry.offset, entry.length);
  const row = entry.length / Math.max(1, entry.frames);
  const result = new Float32Array(entry.length);
  const sums = new Int16Array(row);
  for (let i = 0; i < entry.length; i++) {
    const column = i % row;
    sums[column] += values[i];  // It wraps around, as it did in the writer.
    result[i] = sums[column] === NOT_KNOWN ? NaN : sums[column] * entry.step;
  }
  return result;
}

// Reads all clips: each has people, and each of them arrays and the row of
// every frame of the clip, which is -1 where the person is not there.
async function readClips() {
  const content =
      JSON.parse(document.getElementById('content').textContent);
  const buffer = await readBytes();
  for (const clip of content.clips) {
    for (const person of clip.people) {
      person.rows = new Int32Array(clip.count).fill(-1);
      let row = 0;
      for (const [first, length] of person.runs) {
        for (let i = 0; i < length; i++) person.rows[first + i] = row++;
      }
      for (const name of ARRAYS) {
        person[name] = readArray(buffer, person[name]);
      }
      // Too little of it may never have been found.
      person.positions ||=
          new Float32Array(3 * row * content.joints.length).fill(NaN);
    }
  }
  return content;
}
