// Text as Slack writes it, made into nodes. Nothing here ever parses HTML: words become text nodes.

import { EMOJI, emoji } from "./emoji.js";

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "onclick") node.addEventListener("click", value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function decoded(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

// splits words at the emoji that are known by name; a name that is not known stays as it was typed
function emojis(text) {
  return text.split(/(:[a-z0-9_+-]+:)/).filter(Boolean).map((part) => (part.at(0) === ":" && part.slice(1, -1) in EMOJI ? emoji(part.slice(1, -1)) : part));
}

function safeUrl(url) {
  try {
    const parsed = new URL(url, location.href);
    return ["http:", "https:", "mailto:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

export function link(url, ...children) {
  const href = safeUrl(url);
  if (href === null) return make("span", {}, ...children);
  return make("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

function special(inside, names) {
  const [target, label] = inside.split(/\|(.*)/s);
  if (target.startsWith("@")) return make("span", { class: "mention" }, `@${names.user(target.slice(1)) ?? label ?? target}`);
  if (target.startsWith("#")) return make("span", { class: "mention" }, `#${names.channel(target.slice(1)) ?? label ?? target}`);
  if (target.startsWith("!date^")) {
    const seconds = Number(target.split("^")[1]);
    const words = Number.isFinite(seconds) ? new Date(seconds * 1000).toLocaleString() : target;
    return make("time", { title: words }, label ? decoded(label) : words);
  }
  if (target.startsWith("!")) return make("span", { class: "mention loud" }, `@${label ?? target.slice(1)}`);
  return link(decoded(target), decoded(label ?? target.replace(/^mailto:/, "")));
}

const MRKDWN = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "<(?<special>[^<>\\n]+)>",
    "(?<![\\p{L}\\p{N}*])\\*(?<bold>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*(?![\\p{L}\\p{N}*])",
    "(?<![\\p{L}\\p{N}_])_(?<italic>[^\\s_](?:[^_\\n]*[^\\s_])?)_(?![\\p{L}\\p{N}_])",
    "(?<![\\p{L}\\p{N}~])~(?<strike>[^\\s~](?:[^~\\n]*[^\\s~])?)~(?![\\p{L}\\p{N}~])",
  ].join("|"),
  "gu",
);

const MARKDOWN = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "\\[(?<label>[^\\]\\n]+)\\]\\((?<url>[^()\\s]+)\\)",
    "\\*\\*(?<bold>[^\\s*](?:[^\\n]*?[^\\s*])?)\\*\\*",
    "(?<![\\p{L}\\p{N}*])\\*(?<italic>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*(?!\\*)",
    "(?<![\\p{L}\\p{N}_])_(?<lean>[^\\s_](?:[^_\\n]*[^\\s_])?)_(?![\\p{L}\\p{N}_])",
    "~~(?<strike>[^~\\n]+)~~",
  ].join("|"),
  "gu",
);

function inline(text, pattern, plain, names) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > from) nodes.push(...plain(text.slice(from, match.index)));
    from = match.index + match[0].length;
    const found = match.groups;
    const within = (words) => inline(words, pattern, plain, names);
    if (found.code !== undefined) nodes.push(make("code", {}, pattern === MRKDWN ? decoded(found.code) : found.code));
    else if (found.special !== undefined) nodes.push(special(found.special, names));
    else if (found.url !== undefined) nodes.push(link(found.url, ...within(found.label)));
    else if (found.bold !== undefined) nodes.push(make("strong", {}, ...within(found.bold)));
    else if (found.strike !== undefined) nodes.push(make("s", {}, ...within(found.strike)));
    else nodes.push(make("em", {}, ...within(found.italic ?? found.lean)));
  }
  if (from < text.length) nodes.push(...plain(text.slice(from)));
  return nodes;
}

export function mrkdwn(text, names) {
  const fragment = document.createDocumentFragment();
  const plain = (words) => emojis(decoded(words));
  text.split(/```\n?/).forEach((part, index) => {
    if (index % 2 === 1) {
      fragment.append(make("pre", {}, decoded(part.replace(/\n$/, ""))));
      return;
    }
    let quote = null;
    part.split("\n").forEach((line, number, lines) => {
      const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
      if (quoted) {
        if (quote === null) fragment.append((quote = make("blockquote")));
        else quote.append(make("br"));
        quote.append(...inline(quoted[1], MRKDWN, plain, names));
        return;
      }
      const afterQuote = quote !== null;
      quote = null;
      if (number > 0 && !afterQuote && !(number === lines.length - 1 && line === "")) fragment.append(make("br"));
      fragment.append(...inline(line, MRKDWN, plain, names));
    });
  });
  return fragment;
}

export function textOf(object, names) {
  if (object.type === "mrkdwn") return mrkdwn(object.text, names);
  const fragment = document.createDocumentFragment();
  object.text.split("\n").forEach((line, index) => {
    fragment.append(...(index > 0 ? [make("br")] : []), ...(object.emoji === false ? [line] : emojis(line)));
  });
  return fragment;
}

function markdownTable(lines, rich) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, tag) => make("tr", {}, ...cells(line).map((cell) => make(tag, {}, ...rich(cell))));
  return make(
    "table", { class: "table" },
    make("thead", {}, row(lines[0], "th")),
    make("tbody", {}, ...lines.slice(2).map((line) => row(line, "td"))),
  );
}

export function markdown(text, names) {
  const fragment = document.createDocumentFragment();
  const rich = (words) => inline(words, MARKDOWN, emojis, names);
  const lines = text.split("\n");
  let at = 0;
  const take = (pattern) => {
    const start = at;
    while (at < lines.length && pattern.test(lines[at])) at += 1;
    return lines.slice(start, at);
  };
  while (at < lines.length) {
    const line = lines[at];
    const heading = line.match(/^(#{1,6})\s+(.*)$/);
    if (line.trim() === "") at += 1;
    else if (heading) {
      fragment.append(make(`h${Math.min(6, heading[1].length + 2)}`, {}, ...rich(heading[2])));
      at += 1;
    } else if (/^```/.test(line)) {
      at += 1;
      const code = take(/^(?!```)/);
      at += 1;
      fragment.append(make("pre", {}, code.join("\n")));
    } else if (/^(-{3,}|\*{3,})$/.test(line.trim())) {
      fragment.append(make("hr"));
      at += 1;
    } else if (/^\s*\|/.test(line) && /^\s*\|?[\s:|-]+$/.test(lines[at + 1] ?? "x")) {
      fragment.append(markdownTable(take(/^\s*\|/), rich));
    } else if (/^\s*[-*+]\s+/.test(line)) {
      const items = take(/^\s*[-*+]\s+/).map((item) => make("li", {}, ...rich(item.replace(/^\s*[-*+]\s+/, ""))));
      fragment.append(make("ul", {}, ...items));
    } else if (/^\s*\d+[.)]\s+/.test(line)) {
      const items = take(/^\s*\d+[.)]\s+/).map((item) => make("li", {}, ...rich(item.replace(/^\s*\d+[.)]\s+/, ""))));
      fragment.append(make("ol", {}, ...items));
    } else if (/^>\s?/.test(line)) {
      const quote = make("blockquote");
      take(/^>\s?/).forEach((item, index) => quote.append(...(index > 0 ? [make("br")] : []), ...rich(item.replace(/^>\s?/, ""))));
      fragment.append(quote);
    } else {
      const paragraph = make("p");
      const start = at;
      while (at < lines.length && lines[at].trim() !== "" && (at === start || !/^(#{1,6}\s|```|>|\s*[-*+]\s|\s*\||\s*\d+[.)]\s)/.test(lines[at]))) {
        paragraph.append(...(at > start ? [make("br")] : []), ...rich(lines[at]));
        at += 1;
      }
      fragment.append(paragraph);
    }
  }
  return fragment;
}

function styled(node, style = {}) {
  let result = node;
  for (const [name, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"], ["underline", "u"], ["highlight", "mark"]]) {
    if (style[name]) result = make(tag, {}, result);
  }
  return result;
}

function richInline(element, names) {
  if (element.type === "text") {
    const fragment = document.createDocumentFragment();
    element.text.split("\n").forEach((line, index) => fragment.append(...(index > 0 ? [make("br")] : []), line));
    return styled(fragment, element.style);
  }
  if (element.type === "link") return styled(link(element.url, element.text || element.url), element.style);
  if (element.type === "emoji") return styled(make("span", {}, emoji(element.name)), element.style);
  if (element.type === "user") return make("span", { class: "mention" }, `@${names.user(element.user_id) ?? element.user_id}`);
  if (element.type === "channel") return make("span", { class: "mention" }, `#${names.channel(element.channel_id) ?? element.channel_id}`);
  return make("span", { class: "mention loud" }, `@${element.range}`);
}

export function richText(elements, names) {
  const tags = { rich_text_section: "div", rich_text_quote: "blockquote", rich_text_preformatted: "pre" };
  return elements.map((part) => {
    if (part.type === "rich_text_list") {
      const items = part.elements.map((item) => make("li", {}, ...item.elements.map((element) => richInline(element, names))));
      const list = make(part.style === "ordered" ? "ol" : "ul", part.offset ? { start: part.offset + 1 } : {}, ...items);
      list.style.marginLeft = `${(part.indent ?? 0) * 1.5}rem`;
      return list;
    }
    return make(tags[part.type], {}, ...part.elements.map((element) => richInline(element, names)));
  });
}
