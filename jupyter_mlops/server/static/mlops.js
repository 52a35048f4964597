"use strict";
// The page works without this file; it spares a second press of a slow button and shows where one is.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  for (const button of form.querySelectorAll("button")) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
  }
});
// a page that the browser kept, shown again by "back", must not keep its buttons disabled
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
});
const opened = document.querySelectorAll(".choices details");
for (const choice of opened) {
  choice.addEventListener("toggle", () => {
    if (!choice.open) return;
    for (const other of opened) if (other !== choice) other.open = false;
    choice.querySelector("input:not([type=hidden])")?.focus();
  });
}
// fewer than two runs are nothing to compare: the button waits for them
for (const form of document.querySelectorAll("form.choose")) {
  const button = form.querySelector(".chosen button");
  const told = button.textContent;
  const count = () => {
    const ticked = form.querySelectorAll("input:checked").length;
    button.disabled = ticked < 2;
    button.textContent = ticked < 2 ? told : `Compare ${ticked} runs`;
  };
  form.addEventListener("change", count);
  window.addEventListener("pageshow", count);
}
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
