// The page: which channel, as whom, what is said there, and what one says or presses.

import { renderContent } from "./blocks.js";
import { ModalPane } from "./modal.js";
import { emoji } from "./emoji.js";
import { make, textOf } from "./text.js";

const byId = (id) => document.getElementById(id);
const TOKEN = document.querySelector("meta[name=page-token]").content;
const COLOURS = ["#1264a3", "#2b8a5c", "#b4532a", "#8a4fb5", "#00838f", "#a33b65"];

const state = { user: null, channel: null, thread: null, workspace: null, messages: [], unread: new Set(), feed: null, follow: false };
const drawn = { messages: new Map(), thread: new Map() };

async function get(path, query) {
  const response = await fetch(`${path}?${new URLSearchParams(query)}`);
  return response.json();
}

async function post(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Page-Token": TOKEN },
      body: JSON.stringify({ user: state.user, ...body }),
    });
    return await response.json();
  } catch {
    return { ok: false, error: "the simulator does not answer" };
  }
}

const names = {
  user: (id) => (id === state.workspace.bot.id ? state.workspace.bot.name : state.workspace.people.find((person) => person.id === id)?.name),
  channel: (id) => state.workspace.channels.find((channel) => channel.id === id)?.name,
};

function confirmed(spec) {
  const dialog = byId("confirm");
  byId("confirm-title").replaceChildren(textOf(spec.title, names));
  byId("confirm-text").replaceChildren(textOf(spec.text, names));
  byId("confirm-yes").replaceChildren(textOf(spec.confirm, names));
  byId("confirm-yes").className = `button ${spec.style ?? "primary"}`;
  byId("confirm-deny").replaceChildren(textOf(spec.deny, names));
  return new Promise((resolve) => {
    let answer = false;
    byId("confirm-yes").onclick = () => { answer = true; dialog.close(); };
    byId("confirm-deny").onclick = () => dialog.close();
    dialog.addEventListener("close", () => resolve(answer), { once: true });
    dialog.showModal();
  });
}

function base() {
  return { names, confirm: confirmed, people: state.workspace.people, channels: state.workspace.channels.filter((channel) => !channel.is_im) };
}

const modal = new ModalPane(post, base);

function notice(words) {
  const node = make("p", { class: "notice", role: "alert" }, words, make("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: () => node.remove() }, "×"));
  byId("notices").replaceChildren(node);
}

// messages

function avatar(message) {
  const node = make("span", { class: `avatar ${message.is_bot ? "bot" : ""}`, "aria-hidden": "true" }, message.is_bot ? "⬢" : message.author.split(/\s+/).map((word) => word[0]).slice(0, 2).join(""));
  if (!message.is_bot) {
    const sum = [...message.user].reduce((total, letter) => (total * 31 + letter.charCodeAt(0)) % 65521, 7);
    node.style.background = COLOURS[sum % COLOURS.length];
  }
  return node;
}

function clockTime(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function context(message) {
  const act = async (block, element, value) => {
    const answer = await post("/ui/press", { channel: message.channel, ts: message.ts, block_id: block.block_id, action_id: element.action_id, value });
    if (!answer.ok) notice(`That did not work: ${answer.error}.`);
  };
  return { ...base(), act, changed: act, value: () => undefined };
}

function render(message, follows, inThread) {
  const body = make("div", { class: "body" });
  if (!follows) {
    body.append(make(
      "div", { class: "byline" },
      make("strong", {}, message.author),
      message.is_bot ? make("span", { class: "badge" }, "APP") : null,
      make("time", { title: new Date(Number(message.ts) * 1000).toLocaleString() }, clockTime(message.ts)),
    ));
  }
  if (message.is_ephemeral) body.append(make("p", { class: "only-you" }, "Only visible to you"));
  body.append(...renderContent(message, context(message)));
  if (message.edited) body.append(make("span", { class: "edited" }, "(edited)"));
  if (message.reactions) {
    body.append(make("div", { class: "reactions" }, ...message.reactions.map((one) =>
      make("span", { title: one.users.map(names.user).join(", ") }, emoji(one.name), ` ${one.count}`))));
  }
  if (!inThread && message.reply_count) {
    const words = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
    body.append(make("button", { type: "button", class: "replies", onclick: () => openThread(message.ts) }, words));
  } else if (!inThread && !message.is_ephemeral) {
    body.append(make("button", { type: "button", class: "reply icon", onclick: () => openThread(message.ts) }, "Reply in thread"));
  }
  const node = make("li", { class: "message", "data-ts": message.ts, "data-user": message.user }, follows ? make("span", { class: "avatar none" }) : avatar(message), body);
  node.classList.toggle("ephemeral", message.is_ephemeral);
  node.classList.toggle("follows", follows);
  return node;
}

function day(ts) {
  return new Date(Number(ts) * 1000).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

function draw(list, cache, messages, inThread) {
  const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const nodes = [];
  const seen = new Set();
  let previous = null;
  for (const message of messages) {
    if (!inThread && (previous === null || day(previous.ts) !== day(message.ts))) nodes.push(make("li", { class: "day" }, make("span", {}, day(message.ts))));
    const near = previous !== null && Number(message.ts) - Number(previous.ts) < 300 && day(previous.ts) === day(message.ts);
    const follows = near && previous.user === message.user && previous.is_ephemeral === message.is_ephemeral;
    const key = JSON.stringify([follows, message]);
    // what did not change stays as it is: somebody may be about to press it
    if (cache.get(message.ts)?.key !== key) cache.set(message.ts, { key, node: render(message, follows, inThread) });
    nodes.push(cache.get(message.ts).node);
    seen.add(message.ts);
    previous = message;
  }
  for (const ts of [...cache.keys()]) if (!seen.has(ts)) cache.delete(ts);
  const same = nodes.length === list.children.length && nodes.every((node, index) => node === list.children[index]);
  if (!same) place(list, nodes);
  if (wasAtEnd || (state.follow && !same)) toEnd(list);
}

// moves nodes without taking the untouched ones out, so that focus and open menus stay
function place(list, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

function toEnd(list) {
  list.scrollTop = list.scrollHeight;
  for (const image of list.querySelectorAll("img")) {
    if (!image.complete) image.addEventListener("load", () => { list.scrollTop = list.scrollHeight; }, { once: true });
  }
}

async function refresh() {
  if (!state.channel) return;
  const asked = `${state.user} ${state.channel}`;
  const { messages } = await get("/ui/messages", { user: state.user, channel: state.channel });
  if (asked !== `${state.user} ${state.channel}` || !messages) return;
  state.messages = messages;
  draw(byId("messages"), drawn.messages, messages.filter((message) => !message.is_reply), false);
  byId("messages").classList.toggle("empty", messages.length === 0);
  drawThread();
}

async function refreshView() {
  const { view } = await get("/ui/view", { user: state.user });
  modal.show(view ?? null);
}

// threads

function openThread(ts) {
  state.thread = ts;
  drawn.thread.clear();
  drawThread();
  byId("thread-text").focus();
}

function drawThread() {
  const parent = state.messages.find((message) => message.ts === state.thread);
  byId("thread").hidden = !parent;
  if (!parent) return;
  const replies = state.messages.filter((message) => message.is_reply && message.thread_ts === state.thread);
  draw(byId("thread-messages"), drawn.thread, [parent, ...replies], true);
}

// where and as whom

function channelFromHash() {
  const [name, ts] = decodeURIComponent(location.hash.slice(1)).split("/");
  const channels = state.workspace.channels;
  const channel = channels.find((one) => one.name === name || one.id === name) ?? channels.find((one) => !one.is_im) ?? channels[0];
  return { channel, ts };
}

function drawSide() {
  const { channel } = channelFromHash();
  for (const [place, im] of [["channels", false], ["ims", true]]) {
    byId(place).replaceChildren(...state.workspace.channels.filter((one) => one.is_im === im).map((one) => {
      const current = one.id === channel?.id;
      const attributes = { href: `#${one.is_im ? one.id : encodeURIComponent(one.name)}`, "data-channel": one.id, "aria-current": current ? "page" : null };
      const item = make("a", attributes, make("span", { "aria-hidden": "true" }, im ? "⬢ " : "# "), one.name);
      item.classList.toggle("unread", state.unread.has(one.id));
      return make("li", {}, item);
    }));
  }
  byId("status").textContent = state.workspace.connected ? "The bot is connected." : "No bot is connected.";
  byId("status").classList.toggle("off", !state.workspace.connected);
}

async function goTo() {
  const { channel, ts } = channelFromHash();
  if (!channel) return;
  if (state.channel !== channel.id) {
    state.channel = channel.id;
    state.thread = null;
    state.follow = false;
    drawn.messages.clear();
    byId("messages").replaceChildren();
    byId("notices").replaceChildren();
  }
  state.unread.delete(channel.id);
  drawSide();
  const title = channel.is_im ? channel.name : `# ${channel.name}`;
  byId("channel-name").textContent = title;
  document.title = `${title} · ${state.workspace.team}`;
  byId("text").placeholder = `Message ${channel.is_im ? channel.name : `#${channel.name}`}, or ${state.workspace.commands[0]} help`;
  await refresh();
  toEnd(byId("messages"));
  const target = ts && document.querySelector(`#messages [data-ts="${CSS.escape(ts)}"]`);
  if (target) {
    target.scrollIntoView({ block: "center" });
    target.classList.add("target");
  }
}

async function readWorkspace() {
  state.workspace = await get("/ui/workspace", state.user ? { user: state.user } : {});
  byId("team").textContent = state.workspace.team;
}

async function become(user) {
  state.user = user;
  state.channel = null;
  state.unread.clear();
  sessionStorage.setItem("user", user);
  modal.show(null);
  await readWorkspace();
  await goTo();
  await refreshView();
  listen();
}

function listen() {
  state.feed?.close();
  const feed = new EventSource(`/ui/feed?${new URLSearchParams({ user: state.user })}`);
  state.feed = feed;
  let opened = false;
  feed.onopen = async () => {
    // after a gap anything may have changed
    if (opened) await Promise.all([readWorkspace().then(drawSide), refresh(), refreshView()]);
    opened = true;
  };
  feed.onerror = () => {
    byId("status").textContent = "The simulator does not answer; trying again.";
    byId("status").classList.add("off");
  };
  feed.onmessage = async (event) => {
    const change = JSON.parse(event.data);
    if (change.kind === "view") return refreshView();
    if (change.kind === "connection") return readWorkspace().then(drawSide);
    if (change.channel === state.channel) return refresh();
    state.unread.add(change.channel);
    if (!state.workspace.channels.some((one) => one.id === change.channel)) await readWorkspace();
    drawSide();
  };
}

// saying

async function send(box, thread) {
  const text = box.value.trim();
  if (!text) return;
  box.value = "";
  fit(box);
  // whoever says something wants to see it, and what comes of it
  state.follow = true;
  const command = text.startsWith("/") && !thread;
  const answer = await post(command ? "/ui/command" : "/ui/say", { channel: state.channel, text, ...(thread ? { thread_ts: thread } : {}) });
  if (answer.ok) {
    byId("notices").replaceChildren();
    return;
  }
  const words = answer.response_metadata?.messages?.[0];
  const name = text.split(/\s/)[0];
  notice(command ? (answer.error === "invalid_command" ? words : `${name} failed with the error “${answer.error}”.`) : `That did not work: ${answer.error}.`);
  if (!box.value) box.value = text;
}

function fit(box) {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
}

byId("messages").addEventListener("wheel", () => { state.follow = false; }, { passive: true });
for (const [form, box, thread] of [["composer", "text", () => null], ["thread-composer", "thread-text", () => state.thread]]) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    send(byId(box), thread());
  });
  byId(box).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send(byId(box), thread());
    }
  });
  byId(box).addEventListener("input", () => fit(byId(box)));
}

byId("close-thread").addEventListener("click", () => {
  state.thread = null;
  drawThread();
});
byId("user").addEventListener("change", (event) => become(event.target.value));
window.addEventListener("hashchange", goTo);

await readWorkspace();
const people = state.workspace.people;
byId("user").append(...people.map((person) => make("option", { value: person.id }, person.name)));
const wanted = new URLSearchParams(location.search).get("user") ?? sessionStorage.getItem("user");
const first = people.find((person) => person.id === wanted || person.email === wanted) ?? people[0];
if (first) {
  byId("user").value = first.id;
  await become(first.id);
} else {
  notice("There are no users in this workspace yet.");
}
