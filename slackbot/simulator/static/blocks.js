// Block Kit made into nodes. What can be pressed or chosen calls `context.act(block, element, value)`.

import { link, make, markdown, mrkdwn, richText, textOf } from "./text.js";
import { chart } from "./chart.js";

function imageSource(image) {
  if (image.slack_file) return `/ui/files/${encodeURIComponent(image.slack_file.id ?? image.slack_file.url.split("/").at(-2).split("-").at(-1))}`;
  const url = new URL(image.image_url, location.href);
  return url.origin === location.origin ? url.href : null;
}

function picture(image, small) {
  const source = imageSource(image);
  // a picture from elsewhere would be a request that leaves this machine: it is named, not fetched
  if (source === null) return make("span", { class: "elsewhere" }, link(image.image_url, image.alt_text));
  const shown = make("img", { src: source, alt: image.alt_text, class: small ? "thumb" : "picture", loading: "lazy" });
  return small ? shown : make("a", { href: source, target: "_blank", rel: "noopener" }, shown);
}

function optionsOf(element) {
  return [...(element.options ?? []), ...(element.option_groups ?? []).flatMap((group) => group.options)];
}

function valuesOf(element, context) {
  if (element.type.includes("users_select")) return context.people.map((person) => [person.id, person.name]);
  if (element.type.includes("channels_select")) return context.channels.map((channel) => [channel.id, `#${channel.name}`]);
  return optionsOf(element).map((option) => [option.value, option.text.text]);
}

function initialOf(element) {
  return (
    element.initial_option?.value ??
    element.initial_options?.map((option) => option.value) ??
    element.initial_user ?? element.initial_users ?? element.initial_channel ?? element.initial_channels ??
    element.initial_date ?? element.initial_time ?? element.initial_value ?? null
  );
}

function button(block, element, context) {
  const attributes = {
    type: "button",
    class: `button ${element.style ?? ""}`,
    "aria-label": element.accessibility_label,
    "data-action-id": element.action_id,
    "data-block-id": block.block_id,
  };
  const node = make("button", attributes, textOf(element.text, context.names));
  node.addEventListener("click", async () => {
    if (element.confirm && !(await context.confirm(element.confirm))) return;
    if (element.url) window.open(element.url, "_blank", "noopener");
    node.disabled = true;
    await context.act(block, element, element.value ?? null);
    node.disabled = false;
  });
  return node;
}

function choiceList(block, element, context, kind) {
  const chosen = context.value(block, element) ?? initialOf(element) ?? [];
  const name = `${block.block_id}/${element.action_id}`;
  const boxes = element.options.map((option) => {
    const box = make("input", { type: kind, name, value: option.value, checked: [chosen].flat().includes(option.value) });
    const words = make("span", {}, textOf(option.text, context.names));
    if (option.description) words.append(make("small", {}, textOf(option.description, context.names)));
    return make("label", { class: "choice" }, box, words);
  });
  const node = make("fieldset", { class: "choices", "data-action-id": element.action_id }, ...boxes);
  node.addEventListener("change", () => {
    const values = [...node.querySelectorAll("input:checked")].map((box) => box.value);
    context.changed(block, element, kind === "checkbox" ? values : (values[0] ?? null));
  });
  return node;
}

function menu(block, element, context) {
  const many = element.type.startsWith("multi_");
  const chosen = [context.value(block, element) ?? initialOf(element) ?? []].flat();
  const node = make("select", { multiple: many, "data-action-id": element.action_id, "data-block-id": block.block_id });
  if (!many) node.append(make("option", { value: "" }, element.placeholder?.text ?? "Choose…"));
  const option = ([value, label]) => make("option", { value, selected: chosen.includes(value) }, label);
  if (element.option_groups) {
    for (const group of element.option_groups) {
      const items = group.options.map((item) => option([item.value, item.text.text]));
      node.append(make("optgroup", { label: group.label.text }, ...items));
    }
  } else node.append(...valuesOf(element, context).map(option));
  node.addEventListener("change", async () => {
    const values = [...node.selectedOptions].map((item) => item.value).filter((value) => value !== "");
    const value = many ? values : (values[0] ?? null);
    if (element.confirm && !(await context.confirm(element.confirm))) return;
    context.changed(block, element, value);
  });
  return node;
}

function overflow(block, element, context) {
  const items = element.options.map((option) =>
    make("button", { type: "button", role: "menuitem", onclick: async () => {
      node.open = false;
      if (element.confirm && !(await context.confirm(element.confirm))) return;
      if (option.url) window.open(option.url, "_blank", "noopener");
      await context.act(block, element, option.value);
    } }, textOf(option.text, context.names)));
  const node = make("details", { class: "overflow" }, make("summary", { "aria-label": "More actions" }, "⋯"), make("div", { role: "menu" }, ...items));
  return node;
}

const FIELDS = { plain_text_input: "text", number_input: "number", email_text_input: "email", url_text_input: "url", datepicker: "date", timepicker: "time" };

function field(block, element, context) {
  const long = element.type === "plain_text_input" && element.multiline;
  const attributes = {
    "data-action-id": element.action_id,
    placeholder: element.placeholder?.text,
    type: long ? null : FIELDS[element.type],
    step: element.is_decimal_allowed ? "any" : null,
    rows: long ? 4 : null,
    maxlength: element.max_length,
  };
  const node = make(long ? "textarea" : "input", attributes);
  node.value = context.value(block, element) ?? initialOf(element) ?? "";
  const dates = element.type === "datepicker" || element.type === "timepicker";
  node.addEventListener(dates ? "change" : "input", () => context.changed(block, element, node.value || null));
  return node;
}

function interactive(block, element, context) {
  if (element.type === "button") return button(block, element, context);
  if (element.type === "image") return picture(element, true);
  if (element.type === "overflow") return overflow(block, element, context);
  if (element.type === "checkboxes") return choiceList(block, element, context, "checkbox");
  if (element.type === "radio_buttons") return choiceList(block, element, context, "radio");
  if (element.type.endsWith("_select")) return menu(block, element, context);
  return field(block, element, context);
}

function cellText(cell, context) {
  if (cell.type === "rich_text") return richText(cell.elements, context.names);
  return [cell.text ?? String(cell.value)];
}

function tableRow(cells, tag, settings, context) {
  return make("tr", {}, ...cells.map((cell, column) => {
    const align = cell.type === "raw_number" ? "right" : (settings[column]?.align ?? "left");
    const broken = settings[column]?.is_wrapped ? "" : " unbroken";
    return make(tag, { class: `align-${align}${broken}` }, ...cellText(cell, context));
  }));
}

function table(block, context) {
  const settings = block.column_settings ?? [];
  const [head, ...rows] = block.rows;
  return make("div", { class: "scroll" }, make(
    "table", { class: "table" },
    make("thead", {}, tableRow(head, "th", settings, context)),
    make("tbody", {}, ...rows.map((row) => tableRow(row, "td", settings, context))),
  ));
}

function dataTable(block, context) {
  const [head, ...rows] = block.rows;
  const size = block.page_size ?? 5;
  const pages = Math.ceil(rows.length / size);
  const numeric = head.map((_, column) => ({ align: rows.every((row) => row[column].type === "raw_number") ? "right" : "left" }));
  const body = make("tbody");
  const where = make("span", { class: "muted" });
  let page = 0;
  const show = (next) => {
    page = next;
    body.replaceChildren(...rows.slice(page * size, (page + 1) * size).map((row) => tableRow(row, "td", numeric, context)));
    where.textContent = `${page * size + 1}–${Math.min(rows.length, (page + 1) * size)} of ${rows.length}`;
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
  };
  const back = make("button", { type: "button", class: "button small", "aria-label": "Previous rows", onclick: () => show(page - 1) }, "‹");
  const on = make("button", { type: "button", class: "button small", "aria-label": "Next rows", onclick: () => show(page + 1) }, "›");
  const shown = make("table", { class: "table" }, make("caption", {}, block.caption), make("thead", {}, tableRow(head, "th", numeric, context)), body);
  show(0);
  return make("div", {}, make("div", { class: "scroll" }, shown), pages > 1 ? make("div", { class: "pager" }, where, back, on) : null);
}

function input(block, context) {
  const label = make("span", { class: "label" }, textOf(block.label, context.names), block.optional ? make("span", { class: "muted" }, " (optional)") : null);
  const group = ["checkboxes", "radio_buttons"].includes(block.element.type);
  const control = interactive(block, block.element, context);
  if (group) control.setAttribute("aria-label", block.label.text);
  const node = make(group ? "div" : "label", { class: "input", "data-block-id": block.block_id }, label, control);
  const wrapper = make("div", {}, node);
  if (block.hint) wrapper.append(make("p", { class: "hint" }, textOf(block.hint, context.names)));
  wrapper.append(make("p", { class: "error", role: "alert", "data-error-for": block.block_id }));
  return wrapper;
}

const RENDERERS = {
  actions: (block, context) => make("div", { class: "actions" }, ...block.elements.map((element) => interactive(block, element, context))),
  alert: (block, context) => make("div", { class: `alert ${block.level ?? "default"}` }, textOf(block.text, context.names)),
  container: (block, context) => {
    const title = [make("strong", {}, textOf(block.title, context.names)), block.subtitle ? make("small", {}, textOf(block.subtitle, context.names)) : null];
    const children = block.child_blocks.map((child) => renderBlock(child, context));
    if (!block.is_collapsible) return make("section", { class: "container" }, make("header", {}, ...title.filter(Boolean)), ...children);
    return make("details", { class: "container", open: !block.default_collapsed }, make("summary", {}, ...title), ...children);
  },
  context: (block, context) => make("div", { class: "context" }, ...block.elements.map((element) =>
    element.type === "image" ? picture(element, true) : make("span", {}, textOf(element, context.names)))),
  data_table: dataTable,
  data_visualization: chart,
  divider: () => make("hr"),
  header: (block, context) => make("h3", {}, textOf(block.text, context.names)),
  image: (block, context) => make("figure", {}, block.title ? make("figcaption", {}, textOf(block.title, context.names)) : null, picture(block, false)),
  input,
  markdown: (block, context) => make("div", { class: "markdown" }, markdown(block.text, context.names)),
  rich_text: (block, context) => make("div", {}, ...richText(block.elements, context.names)),
  section: (block, context) => {
    const words = make("div", { class: "words" });
    if (block.text) words.append(make("div", {}, textOf(block.text, context.names)));
    if (block.fields) words.append(make("div", { class: "fields" }, ...block.fields.map((item) => make("div", {}, textOf(item, context.names)))));
    return make("div", { class: "section" }, words, block.accessory ? make("div", { class: "accessory" }, interactive(block, block.accessory, context)) : null);
  },
  table,
};

function renderBlock(block, context) {
  const node = RENDERERS[block.type](block, context);
  node.classList.add("block");
  return node;
}

export function renderBlocks(blocks, context) {
  return blocks.map((block) => renderBlock(block, context));
}

export function renderContent(message, context) {
  const nodes = [];
  if (message.blocks) nodes.push(...renderBlocks(message.blocks, context));
  else if (message.text) nodes.push(make("div", { class: "block" }, mrkdwn(message.text, context.names)));
  for (const attachment of message.attachments ?? []) {
    const inside = [];
    if (attachment.pretext) nodes.push(make("div", { class: "block" }, mrkdwn(attachment.pretext, context.names)));
    if (attachment.title) inside.push(make("strong", {}, attachment.title_link ? link(attachment.title_link, attachment.title) : attachment.title));
    if (attachment.text) inside.push(make("div", {}, mrkdwn(attachment.text, context.names)));
    if (attachment.blocks) inside.push(...renderBlocks(attachment.blocks, context));
    if (!inside.length && attachment.fallback) inside.push(attachment.fallback);
    if (attachment.footer) inside.push(make("small", { class: "muted" }, attachment.footer));
    const node = make("div", { class: "attachment" }, ...inside);
    if (/^#?[0-9a-f]{3,6}$/i.test(attachment.color ?? "")) node.style.borderLeftColor = `#${attachment.color.replace("#", "")}`;
    nodes.push(node);
  }
  for (const file of message.files ?? []) {
    const image = ["image/png", "image/jpeg", "image/gif"].includes(file.mimetype);
    const source = { slack_file: { id: file.id }, alt_text: file.alt_txt || file.title };
    nodes.push(image
      ? make("figure", { class: "block" }, make("figcaption", {}, file.title), picture(source, false))
      : make("p", { class: "block file" }, make("a", { href: `/ui/files/${encodeURIComponent(file.id)}` }, file.title)));
  }
  return nodes;
}
