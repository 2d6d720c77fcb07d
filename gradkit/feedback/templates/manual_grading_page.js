"use strict";
// Stores points and comments in the browser as they are typed, and exports them as CSV.
const about = document.getElementById("about")?.dataset;
if (about) {
  const cards = Array.from(document.querySelectorAll("article[data-student]"));
  const question = document.getElementById("question");
  const which = document.getElementById("which");
  const field = (card, name) => card.querySelector(`[name="${name}"]`);
  const key = (card) => `${card.dataset.item} ${card.dataset.student} ${card.dataset.answer}`;

  let stored = {};
  let exported = true;
  try {
    stored = JSON.parse(localStorage.getItem(about.store) ?? "{}");
  } catch {
    document.getElementById("not-stored").hidden = false;
  }
  for (const card of cards) {
    const values = stored[key(card)];
    if (values) [field(card, "points").value, field(card, "comment").value] = values;
  }

  function store(card) {
    stored[key(card)] = [field(card, "points").value, field(card, "comment").value];
    exported = false;
    try {
      localStorage.setItem(about.store, JSON.stringify(stored));
    } catch {
      document.getElementById("not-stored").hidden = false;
    }
  }

  // Invalid points are reported, and neither counted nor exported.
  const hasPoints = (card) => field(card, "points").value !== "" && field(card, "points").checkValidity();

  function show() {
    const here = cards.filter((card) => card.dataset.item === question.value);
    for (const section of document.querySelectorAll("section[data-question]")) {
      section.hidden = section.dataset.question !== question.value;
    }
    for (const card of here) card.hidden = which.value === "open" && hasPoints(card);
    count();
  }

  function count() {
    const here = cards.filter((card) => card.dataset.item === question.value);
    const done = here.filter(hasPoints).length;
    const all = cards.filter(hasPoints).length;
    document.getElementById("count").textContent =
      `${done} of ${here.length} answers have points; ${all} of ${cards.length} in all.`;
  }

  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

  document.getElementById("export").addEventListener("click", () => {
    const invalid = cards.find((card) => !field(card, "points").checkValidity());
    if (invalid) {
      question.value = invalid.dataset.item;
      which.value = "all";
      show();
      field(invalid, "points").reportValidity();
      return;
    }
    const lines = ["student,item,points,comment,answer"];
    for (const card of cards) {
      const [points, comment] = [field(card, "points").value, field(card, "comment").value.trim()];
      if (points === "" && comment === "") continue;
      const { student, item, answer } = card.dataset;
      lines.push([student, item, points, comment, answer].map(quoted).join(","));
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
    link.download = about.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    exported = true;
  });

  for (const card of cards) {
    card.addEventListener("input", () => {
      store(card);
      count();
    });
  }
  question.addEventListener("input", show);
  which.addEventListener("input", show);
  addEventListener("beforeunload", (event) => {
    if (!exported && !document.getElementById("not-stored").hidden) event.preventDefault();
  });
  show();
}
