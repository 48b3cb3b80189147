"use strict";

const said = document.getElementById("said");

/** What a row is sorted by: the number of its cell, else its text; an empty cell has none. */
function sortKey(group, column) {
  const cell = group.rows[0].cells[column];
  const text = (cell.dataset.value ?? cell.textContent).trim();
  return text === "" ? null : text;
}

function compareKeys(first, second) {
  const [a, b] = [Number(first), Number(second)];
  return Number.isNaN(a) || Number.isNaN(b) ? first.localeCompare(second, "en") : a - b;
}

/** Sort the rows of a table, each in a tbody of its own together with its details; empty cells stay last. */
function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentElement.cells].indexOf(header);
  const descending = header.getAttribute("aria-sort") === "ascending";
  const keyed = [...table.tBodies].map((group) => [sortKey(group, column), group]);
  const known = keyed.filter(([key]) => key !== null);
  known.sort(([a], [b]) => (descending ? compareKeys(b, a) : compareKeys(a, b)));
  for (const [, group] of [...known, ...keyed.filter(([key]) => key === null)]) table.append(group);
  for (const other of header.parentElement.cells) {
    if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  }
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const name = header.querySelector(".sort").textContent.trim();
  said.textContent = `Sorted by ${name}, ${descending ? "descending" : "ascending"}.`;
}

function setOpen(button, open) {
  button.setAttribute("aria-expanded", String(open));
  document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
}

/** Open the details that an address such as #claim-best points at. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const button = target?.querySelector(".open");
  if (button) setOpen(button, true);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".sort")) sortBy(button.closest("th"));
  if (button?.matches(".open")) setOpen(button, button.getAttribute("aria-expanded") !== "true");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const row = event.target.closest(".detail") ?? document.getElementById(event.target.getAttribute?.("aria-controls"));
  const button = row && document.querySelector(`[aria-controls="${row.id}"]`);
  if (!button) return;
  setOpen(button, false);
  button.focus();
});

addEventListener("hashchange", openTarget);
openTarget();
