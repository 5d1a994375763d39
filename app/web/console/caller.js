/** The caller as the server knows it: actions that it would refuse are not offered. */

import { get } from "./api.js";

export const caller = { name: "", role: "operator" };

/** Asks the server, and the user for a token if it wants one. */
export async function introduce() {
  try {
    Object.assign(caller, await get("api/me"));
  } catch {
    // the server refuses what must not be, whatever is offered
  }
}

/** May requests to models be seen? */
export const isOperator = () => caller.role === "operator";

/** May anything be changed? */
export const mayAct = () => caller.role !== "readonly";

/** Does the offline stand-in play the model, because no key is set? */
export const standsIn = () => Boolean(caller.stand_in);
