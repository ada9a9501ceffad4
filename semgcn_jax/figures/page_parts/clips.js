// Decodes the clips of the page from base64 to arrays of numbers.

// Arrays are scaled to 16 bits, and hold differences between frames.
const NOT_KNOWN = -32768;
const ARRAYS =
    ['positions', 'truth', 'toes', 'keypoints', 'confidence', 'expected'];

// Decompresses the text of a script element to bytes.
async function unpack(id) {
  const text = document.getElementById(id).textContent;
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream()
      .pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Decodes an array [T, ...]; unknown values become NaN.
function readArray(buffer, entry) {
  if (!entry) return null;
  const values = new Int16Array(buffer, entry.offset, entry.length);
  const row = entry.length / Math.max(1, entry.frames);
  const result = new Float32Array(entry.length);
  const sums = new Int16Array(row);
  for (let i = 0; i < entry.length; i++) {
    const column = i % row;
    sums[column] += values[i];  // Wraps around, as in the writer.
    result[i] = sums[column] === NOT_KNOWN ? NaN : sums[column] * entry.step;
  }
  return result;
}

// Reads all clips. Every person gets arrays, and the row in them of every frame
// of the clip, -1 where the person is absent.
async function readClips() {
  const content =
      JSON.parse(document.getElementById('content').textContent);
  const {buffer} = await unpack('data');
  for (const name of content.body ? ['points', 'owners', 'triangles'] : []) {
    content.body[name] = readArray(buffer, content.body[name]);
  }
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
      // Nobody may have been found in enough detail.
      person.positions ||=
          new Float32Array(3 * row * content.joints.length).fill(NaN);
    }
  }
  return content;
}
