"use strict";
const $ = (id) => document.getElementById(id);
const root = document.documentElement;

// Light or dark: follows the system until the button is used.
$("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// A link to a run opens it.
const reveal = () => {
  const target = location.hash && $(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", reveal);
document.querySelectorAll('a[href^="#run-"]').forEach((link) => link.addEventListener("click", () => setTimeout(reveal)));
reveal();
document.querySelectorAll("[data-fold]").forEach((button) => button.addEventListener("click", () =>
  document.querySelectorAll("details.run").forEach((run) => { run.open = button.dataset.fold === "open"; })));

if ($("table")) {
  const body = $("table").tBodies[0];
  const rows = [...body.rows];
  const filter = () => {
    const words = $("filter").value.toLowerCase().match(/"[^"]*"|\S+/g) ?? [], wanted = $("outcome").value;
    for (const row of rows) {
      const kind = !wanted || (wanted === "!" ? row.classList.contains("unmet") : row.dataset.outcome === wanted);
      row.hidden = !(kind && words.every((word) => row.dataset.search.includes(word.replaceAll('"', ""))));
    }
    $("shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
  };
  $("filter").addEventListener("input", filter);
  $("outcome").addEventListener("change", filter);
  document.querySelectorAll("[data-query]").forEach((cell) => cell.addEventListener("click", () => {
    $("filter").value = cell.dataset.query; $("outcome").value = ""; filter();
  }));

  const heads = [...$("table").tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim().toLowerCase();
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", numeric = head.classList.contains("n");
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    rows.sort((a, b) => {
      const [x, y] = [key(a, column), key(b, column)];
      if (x === "" || y === "") return (x === "") - (y === "");  // what is missing stays last
      return (up ? 1 : -1) * (numeric ? x - y : x.localeCompare(y));
    });
    body.append(...rows);
  }));
}
