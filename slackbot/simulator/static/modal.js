// The modal that a person has before them: filled in, submitted, closed.

import { renderBlocks } from "./blocks.js";
import { make, textOf } from "./text.js";

const dialog = document.getElementById("modal");

export class ModalPane {
  #post; #context; #view = null; #values = {};

  constructor(post, context) {
    this.#post = post;
    this.#context = context;
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#close();
    });
  }

  show(view) {
    if (view === null) {
      this.#view = null;
      if (dialog.open) dialog.close();
      return;
    }
    if (this.#view?.id === view.id && this.#view.hash === view.hash) return;
    // what was typed stays when the app changes the view around it
    if (this.#view?.id !== view.id) this.#values = {};
    this.#view = view;
    this.#render();
    if (!dialog.open) dialog.showModal();
  }

  #render() {
    const view = this.#view;
    const context = {
      ...this.#context(),
      value: (block, element) => this.#values[block.block_id]?.[element.action_id],
      changed: (block, element, value) => {
        this.#remember(block, element, value);
        if (block.type !== "input" || block.dispatch_action) this.#act(block, element, value);
      },
      act: (block, element, value) => this.#act(block, element, value),
    };
    const form = make(
      "form", { novalidate: true },
      make("header", {}, make("h2", { id: "modal-title" }, textOf(view.title, context.names)),
        make("button", { type: "button", class: "icon", "aria-label": "Close", onclick: () => this.#close() }, "×")),
      make("div", { class: "body" }, make("p", { class: "error", id: "modal-error", role: "alert" }), ...renderBlocks(view.blocks, context)),
      make("footer", {},
        make("button", { type: "button", class: "button", onclick: () => this.#close() }, view.close ? textOf(view.close, context.names) : "Cancel"),
        view.submit ? make("button", { type: "submit", class: "button primary" }, textOf(view.submit, context.names)) : null),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(form);
    });
    dialog.replaceChildren(form);
  }

  #remember(block, element, value) {
    (this.#values[block.block_id] ??= {})[element.action_id] = value;
  }

  async #act(block, element, value) {
    const answer = await this.#post("/ui/view/press", {
      view_id: this.#view.id, block_id: block.block_id, action_id: element.action_id, value, values: this.#values,
    });
    this.#say(answer.error);
  }

  async #submit(form) {
    const submit = form.querySelector("button[type=submit]");
    submit.disabled = true;
    for (const place of form.querySelectorAll("[data-error-for]")) place.textContent = "";
    const answer = await this.#post("/ui/view/submit", { view_id: this.#view.id, values: this.#values });
    submit.disabled = false;
    this.#say(answer.error);
    for (const [block, words] of Object.entries(answer.errors ?? {})) {
      const place = form.querySelector(`[data-error-for="${CSS.escape(block)}"]`);
      if (place) place.textContent = words;
    }
  }

  #say(error) {
    const place = document.getElementById("modal-error");
    if (place) place.textContent = error ? `The app did not take this (${error}). Try again.` : "";
  }

  async #close() {
    const view = this.#view;
    this.show(null);
    if (view) await this.#post("/ui/view/close", { view_id: view.id });
  }
}
