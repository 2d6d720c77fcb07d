"use strict";
// Sorts and filters the table of students. Without this script, the page shows all, sorted by name.
const table = document.getElementById("class");
const body = table.tBodies[0];
const rows = Array.from(body.rows);
const text = document.getElementById("text");
const state = document.getElementById("status");
const failed = document.getElementById("failed");
const count = document.getElementById("count");

function filter() {
  const wanted = text.value.trim().toLowerCase();
  let shown = 0;
  for (const row of rows) {
    const mark = failed.value === "" ? "" : row.dataset.marks[Number(failed.value)];
    row.hidden = !(
      row.dataset.searchable.includes(wanted) &&
      (state.value === "" || row.dataset.status === state.value) &&
      (failed.value === "" || (mark !== undefined && mark !== "✓"))
    );
    shown += row.hidden ? 0 : 1;
  }
  count.textContent = shown === rows.length ? `${shown} students` : `${shown} of ${rows.length} students`;
}

function sort(heading) {
  const button = heading.querySelector("button");
  const isNumber = "number" in button.dataset;
  const column = heading.cellIndex;
  // Numbers start with the largest, names with the first.
  const before = heading.getAttribute("aria-sort");
  const descending = before ? before === "ascending" : isNumber;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  const compare = isNumber
    ? (a, b) => Number(key(a)) - Number(key(b))
    : (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
  rows.sort((a, b) => (descending ? -compare(a, b) : compare(a, b)));
  body.append(...rows);
}

table.tHead.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) sort(button.closest("th"));
});
for (const field of [text, state, failed]) field.addEventListener("input", filter);
document.getElementById("clear").addEventListener("click", () => {
  text.value = state.value = failed.value = "";
  filter();
});
// A mistake's name leads to the students who made it.
document.getElementById("mistakes")?.addEventListener("click", (event) => {
  const name = event.target.dataset.filter;
  if (name === undefined) return;
  text.value = name;
  state.value = failed.value = "";
  filter();
});
filter(); // a browser that returns to the page restores the fields
