// Sorts and filters the table of trials.
"use strict";
(() => {
  const table = document.getElementById("trials");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const field = (name) => document.getElementById(`filter-${name}`);

  // Numbers by value, text by letters, and an empty cell last whichever way it is sorted.
  const key = (cell) => cell.dataset.key ?? cell.textContent;
  const compare = (column, sign) => (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]].map(key);
    if (x === "" || y === "") return (x === "") - (y === "");
    const numeric = heads[column].classList.contains("number");
    return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
  };

  const sort = (column) => {
    const ascending = heads[column].getAttribute("aria-sort") !== "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...rows.sort(compare(column, ascending ? 1 : -1)));
  };

  const wanted = (row) =>
    row.textContent.toLowerCase().includes(field("text").value.trim().toLowerCase()) &&
    [row.dataset.family, ""].includes(field("family").value) &&
    (row.dataset.front === "1" || !field("front").checked) &&
    (row.dataset.feasible === "1" || !field("feasible").checked);

  const filter = () => {
    for (const row of rows) row.hidden = !wanted(row);
    field("count").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} trials`;
  };

  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => sort(column)));
  for (const event of ["input", "change"]) document.querySelector(".filters").addEventListener(event, filter);
})();
