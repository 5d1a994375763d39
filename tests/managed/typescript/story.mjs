// A client of the official SDK tells its story at a server, and writes down every answer and every event that it was
// given, with the SDK's name for its type: `node story.mjs ADDRESS TOKEN PORT FILE`. Webhooks come to the port.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const [baseURL = "", token = "", port = "", file = ""] = process.argv.slice(2);
const WEBHOOK_KEY = process.env["WEBHOOK_KEY"] ?? "";

/** @type {{type: string, value: unknown}[]} */
const samples = [];
const SESSION = "/v1/sessions/[^/]+";
/** @type {[RegExp, string][]} */
const TYPES = [
  [/^GET \/v1\/agents(\/[^/]+\/versions)?$/, "PageCursorResponse<BetaManagedAgentsAgent>"],
  [/^(GET|POST) \/v1\/agents(\/.*)?$/, "BetaManagedAgentsAgent"],
  [/^GET \/v1\/environments$/, "PageCursorResponse<BetaEnvironment>"],
  [/^DELETE \/v1\/environments\/[^/]+$/, "BetaEnvironmentDeleteResponse"],
  [/^(GET|POST) \/v1\/environments(\/.*)?$/, "BetaEnvironment"],
  [/^GET \/v1\/sessions$/, "BidirectionalPageCursorResponse<BetaManagedAgentsSession>"],
  [RegExp(`^DELETE ${SESSION}$`), "BetaManagedAgentsDeletedSession"],
  [RegExp(`^GET ${SESSION}(/threads/[^/]+)?/events$`), "PageCursorResponse<BetaManagedAgentsSessionEvent>"],
  [RegExp(`^POST ${SESSION}/events$`), "BetaManagedAgentsSendSessionEvents"],
  [RegExp(`^GET ${SESSION}/threads$`), "PageCursorResponse<BetaManagedAgentsSessionThread>"],
  [RegExp(`^GET ${SESSION}/threads/[^/]+$`), "BetaManagedAgentsSessionThread"],
  [RegExp(`^(GET|POST) (/v1/sessions|${SESSION}|${SESSION}/archive)$`), "BetaManagedAgentsSession"],
];

/** @param {Parameters<typeof fetch>[0]} url @param {Parameters<typeof fetch>[1]} [init] */
async function recorded(url, init) {
  const response = await fetch(url, init);
  if (response.ok && response.headers.get("content-type") === "application/json") {
    const call = `${(init?.method ?? "GET").toUpperCase()} ${new URL(String(url)).pathname}`;
    const found = TYPES.find(([route]) => route.test(call));
    assert(found, `${call} has no type here`);
    samples.push({ type: found[1], value: await response.clone().json() });
  }
  return response;
}

/** @param {Partial<ConstructorParameters<typeof Anthropic>[0]>} more */
const clientOf = (more = {}) =>
  new Anthropic({ baseURL, apiKey: token, authToken: null, maxRetries: 0, fetch: recorded, ...more });
const client = clientOf();
const { agents, environments, sessions } = client.beta;

/** @param {string} text */
const say = (text) => ({ type: /** @type {const} */ ("user.message"), content: [{ type: /** @type {const} */ ("text"), text }] });

/**
 * The events of one turn: sends what is given once the stream is open, and reads until the session is idle.
 * @param {string} session
 * @param {import("@anthropic-ai/sdk/resources/beta/sessions/events").EventSendParams["events"]} events
 */
async function turn(session, events) {
  const stream = await sessions.events.stream(session, { event_deltas: ["agent.message", "agent.thinking"] });
  await sessions.events.send(session, { events });
  const told = [];
  for await (const event of stream) {
    samples.push({ type: "BetaManagedAgentsStreamSessionEvents", value: event });
    told.push(event);
    if (event.type === "session.status_idle") break;
  }
  return told;
}

/** @param {{type: string}[]} events */
const kinds = (events) => events.map((event) => event.type).filter((type) => type !== "event_delta");

/** @param {{type: string}[]} events */
function stopOf(events) {
  const last = /** @type {any} */ (events.at(-1));
  assert.equal(last.type, "session.status_idle");
  return last.stop_reason;
}

/** @param {Promise<unknown>} refused @param {new (...args: any[]) => Error} kind @param {RegExp} words */
async function refusedWith(refused, kind, words) {
  await assert.rejects(refused, (/** @type {Error} */ error) => error instanceof kind && words.test(error.message));
}

async function hooks() {
  /** @type {{type: string, id: string}[]} */
  const told = [];
  const server = createServer((request, response) => {
    /** @type {Buffer[]} */
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      const headers = /** @type {Record<string, string>} */ (request.headers);
      const event = client.beta.webhooks.unwrap(body, { headers, key: WEBHOOK_KEY });
      samples.push({ type: "BetaWebhookEvent", value: JSON.parse(body) });
      told.push({ type: event.data.type, id: event.data.id });
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(Number(port), "127.0.0.1", () => resolve(undefined)));
  return { told, close: () => server.close() };
}

async function story() {
  const agent = await agents.create({
    name: "Coder",
    model: "claude-sonnet-5-5",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const environment = await environments.create({ name: "here", config: { type: "cloud" } });
  const session = await sessions.create({ agent: agent.id, environment_id: environment.id });
  const told = await turn(session.id, [say('[call bash {"command": "ls"}] [then] [think Hm.][say done]')]);
  assert.deepEqual(kinds(told).slice(0, 7), [
    "session.status_running",
    "session.thread_status_running",
    "user.message",
    "span.model_request_start",
    "agent.tool_use",
    "span.model_request_end",
    "agent.tool_result",
  ]);
  assert.deepEqual(stopOf(told), { type: "end_turn" });
  const pieces = told.flatMap((event) => (event.type === "event_delta" ? [event.delta.content] : []));
  assert.equal(pieces.map((piece) => /** @type {any} */ (piece).text).join(""), "done");
  const listed = [];
  for await (const event of sessions.events.list(session.id, { limit: 3 })) listed.push(event);
  assert.deepEqual(kinds(listed), kinds(told).filter((type) => type !== "event_start"));
  const threads = await sessions.threads.list(session.id);
  const [thread] = threads.data;
  assert(thread);
  assert.equal((await sessions.threads.retrieve(thread.id, { session_id: session.id })).id, thread.id);
  assert.equal((await sessions.threads.events.list(thread.id, { session_id: session.id })).data.length, listed.length);
  return { agent, environment, session };
}

/** @param {{agent: {id: string}, environment: {id: string}, session: {id: string}}} made */
async function objects({ agent, environment, session }) {
  assert.equal((await agents.update(agent.id, { version: 1, system: "Be brief.", metadata: { a: "b" } })).version, 2);
  assert.equal((await agents.retrieve(agent.id, { version: 1 })).version, 1);
  const versions = [];
  for await (const one of agents.versions.list(agent.id, { limit: 1 })) versions.push(one.version);
  assert.deepEqual(versions, [2, 1]);
  assert.equal((await agents.list({ limit: 1 })).data.length, 1);
  await refusedWith(agents.update(agent.id, { version: 1, name: "x" }), Anthropic.ConflictError, /modification/);
  assert.equal((await environments.update(environment.id, { name: "there" })).name, "there");
  assert.equal((await environments.retrieve(environment.id)).id, environment.id);
  assert.equal((await environments.list()).data.length, 1);
  assert.equal((await sessions.update(session.id, { title: "Told", metadata: { a: "b" } })).title, "Told");
  assert.equal((await sessions.retrieve(session.id)).status, "idle");
  assert.equal((await sessions.list({ limit: 1, agent_id: agent.id })).data.length, 1);
  assert.equal((await sessions.archive(session.id)).status, "terminated");
  assert.equal((await sessions.delete(session.id)).type, "session_deleted");
  await refusedWith(sessions.retrieve(session.id), Anthropic.NotFoundError, /not found/);
}

/** @param {string} environment */
async function questions(environment) {
  const agent = await agents.create({
    name: "Careful",
    model: { id: "claude-sonnet-5-5", effort: "low" },
    tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: { type: "always_ask" } } }],
  });
  const { id } = await sessions.create({ agent: { type: "agent", id: agent.id, version: 1 }, environment_id: environment });
  const ask = say('[call bash {"command": "echo ran"}][then][say Done.]');
  const asked = stopOf(await turn(id, [ask]));
  assert.equal(asked.type, "requires_action");
  await refusedWith(sessions.events.send(id, { events: [say("Hello?")] }), Anthropic.BadRequestError, /waits/);
  const allowed = await turn(id, [{ type: "user.tool_confirmation", tool_use_id: asked.event_ids[0], result: "allow" }]);
  assert.deepEqual(stopOf(allowed), { type: "end_turn" });
  const again = stopOf(await turn(id, [ask]));
  const denied = { type: /** @type {const} */ ("user.tool_confirmation"), tool_use_id: again.event_ids[0], result: /** @type {const} */ ("deny"), deny_message: "No." };
  assert.deepEqual(stopOf(await turn(id, [denied])), { type: "end_turn" });
  await turn(id, [ask]);
  const interrupted = await turn(id, [{ type: "user.interrupt" }]);
  assert(kinds(interrupted).includes("user.interrupt"));
  assert.deepEqual(stopOf(await turn(id, [say("[fail 400 1]")])), { type: "retries_exhausted" });
}

/** @param {string} environment */
async function customTools(environment) {
  const schema = { type: /** @type {const} */ ("object"), properties: { town: { type: /** @type {const} */ ("string") } }, required: /** @type {const} */ (["town"]) };
  const agent = await agents.create({
    name: "Custom",
    model: "claude-sonnet-5-5",
    tools: [{ type: "custom", name: "get_weather", description: "The weather of a town.", input_schema: { type: "object", properties: schema.properties, required: ["town"] } }],
  });
  const { id } = await sessions.create({
    agent: agent.id,
    environment_id: environment,
    initial_events: [say('[call get_weather {"town": "Ulm"}][call get_weather {"town": "Bonn"}][then][say Take a coat.]')],
  });
  /** @type {string[]} */
  const towns = [];
  const getWeather = betaTool({
    name: "get_weather",
    description: "The weather of a town.",
    inputSchema: schema,
    run: ({ town }) => {
      towns.push(town);
      return "Rain.";
    },
  });
  const calls = [];
  for await (const call of sessions.events.toolRunner(id, { tools: [getWeather], maxIdleMs: 10 })) {
    calls.push([call.name, call.posted, call.isError]);
  }
  assert.deepEqual(calls, [["get_weather", true, false], ["get_weather", true, false]]);
  assert.deepEqual(towns.sort(), ["Bonn", "Ulm"]);
  const told = [];
  for await (const event of sessions.events.list(id)) told.push(event);
  assert.deepEqual(stopOf(told), { type: "end_turn" });
  assert.equal(kinds(told).filter((type) => type === "user.custom_tool_result").length, 2);
}

async function tokens() {
  const bearer = clientOf({ apiKey: null, authToken: token });
  assert.equal((await bearer.beta.environments.list()).data.length, 1);
  await refusedWith(clientOf({ apiKey: "not-a-token-of-it" }).beta.agents.list(), Anthropic.AuthenticationError, /401/);
}

const receiver = await hooks();
const made = await story();
await Promise.all([objects(made), questions(made.environment.id), customTools(made.environment.id), tokens()]);
await agents.archive(made.agent.id);
const last = await environments.create({ name: "last" });
await environments.archive(last.id);
await environments.delete(last.id);
const deadline = Date.now() + 30_000;
while (!receiver.told.some(({ type, id }) => type === "environment.deleted" && id === last.id)) {
  assert(Date.now() < deadline, "the webhook was not told");
  await new Promise((resolve) => setTimeout(resolve, 20));
}
receiver.close();
const types = new Set(receiver.told.map((event) => event.type));
for (const type of ["agent.created", "session.created", "session.status_run_started", "session.status_idled", "session.deleted"]) {
  assert(types.has(type), type);
}
writeFileSync(file, JSON.stringify(samples));
