/** Who the server takes us to be: what it would refuse is not offered. */

import { get } from "./api.js";

const caller = { name: "", role: "operator" };

/** Asks the server, and the user for a token if it wants one. */
export async function introduce() {
  try {
    Object.assign(caller, await get("api/me"));
  } catch {
    // the server refuses what must not be, whatever is offered
  }
}

/** May anything be changed? */
export const mayAct = () => caller.role !== "readonly";
