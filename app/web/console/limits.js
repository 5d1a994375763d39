/** How large a message may be, as the server says it; asked for once. */

import { get } from "./api.js";

let asked = null;

/** Null while the server can't be reached: it refuses what is too much, then. */
export async function limits() {
  asked ??= get("api/limits").catch(() => (asked = null));
  return asked;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1).replace(/\.0$/, "")} MB`;
}

/** Bytes of a file, of which so many characters of base64 are made. */
export const bytesOf = (characters) => Math.floor((characters * 3) / 4);
