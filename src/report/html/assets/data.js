"use strict";
/* Reading the packed data: base64 of gzipped JSON, in which columns may be packed once more. */

const ARRAYS = { f4: Float32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
const SUPPORTED = typeof DecompressionStream !== "undefined";
const unpacked = new Map();

/** Decode base64. */
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Read a block of the file by its id, each once; null where the file has none. */
function block(id) {
  if (!unpacked.has(id)) unpacked.set(id, unpack(id));
  return unpacked.get(id);
}

async function unpack(id) {
  const element = document.getElementById(id);
  if (!element) return null;
  const zipped = new Blob([bytes(element.textContent)]).stream();
  return new Response(zipped.pipeThrough(new DecompressionStream("gzip"))).json();
}

/** Give a packed column's rows as an array; `names` are texts that its rows are places of. */
function column(packed) {
  const width = Object.keys(ARRAYS).find((name) => name in packed);
  return { rows: new ARRAYS[width](bytes(packed[width]).buffer), names: packed.names };
}

/** Give the value of a column of few different values at a place. */
function named(columnOf, at) {
  return columnOf.names[columnOf.rows[at]];
}
