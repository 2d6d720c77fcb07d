"use strict";
// Keeps points and comments in the browser as they are typed, and exports them as CSV.
const about = document.getElementById("about")?.dataset;
if (about) {
  const cards = Array.from(document.querySelectorAll("article[data-student]"));
  const question = document.getElementById("question");
  const which = document.getElementById("which");
  const field = (card, name) => card.querySelector(`[name="${name}"]`);
  const key = (card) => `${card.dataset.item} ${card.dataset.student} ${card.dataset.answer}`;

  let kept = {};
  let exported = true;
  try {
    kept = JSON.parse(localStorage.getItem(about.store) ?? "{}");
  } catch {
    document.getElementById("unkept").hidden = false;
  }
  for (const card of cards) {
    const found = kept[key(card)];
    if (found) [field(card, "points").value, field(card, "comment").value] = found;
  }

  function keep(card) {
    kept[key(card)] = [field(card, "points").value, field(card, "comment").value];
    exported = false;
    try {
      localStorage.setItem(about.store, JSON.stringify(kept));
    } catch {
      document.getElementById("unkept").hidden = false;
    }
  }

  // Points that are none are said to be, and neither counted nor exported.
  const isGiven = (card) => field(card, "points").value !== "" && field(card, "points").checkValidity();

  function show() {
    const here = cards.filter((card) => card.dataset.item === question.value);
    for (const section of document.querySelectorAll("section[data-question]")) {
      section.hidden = section.dataset.question !== question.value;
    }
    for (const card of here) card.hidden = which.value === "open" && isGiven(card);
    count();
  }

  function count() {
    const here = cards.filter((card) => card.dataset.item === question.value);
    const done = here.filter(isGiven).length;
    const all = cards.filter(isGiven).length;
    document.getElementById("count").textContent =
      `${done} of ${here.length} answers have points; ${all} of ${cards.length} in all.`;
  }

  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

  document.getElementById("export").addEventListener("click", () => {
    const wrong = cards.find((card) => !field(card, "points").checkValidity());
    if (wrong) {
      question.value = wrong.dataset.item;
      which.value = "all";
      show();
      field(wrong, "points").reportValidity();
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
      keep(card);
      count();
    });
  }
  question.addEventListener("input", show);
  which.addEventListener("input", show);
  addEventListener("beforeunload", (event) => {
    if (!exported && !document.getElementById("unkept").hidden) event.preventDefault();
  });
  show();
}
