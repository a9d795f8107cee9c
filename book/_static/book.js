// Tables of class "sortable": a button in each head cell sorts the rows. Works without it, unsorted.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.className = "sort";
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].textContent;
        const compare = (a, b) => {
          const [x, y] = [key(a), key(b)];
          const [p, q] = [parseFloat(x), parseFloat(y)];
          const order = Number.isNaN(p) || Number.isNaN(q) ? String(x).localeCompare(String(y)) : p - q;
          return up ? order : -order;
        };
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort(compare));
      });
    });
  }
  // what the theme leaves unnamed for readers of the screen: arrows of the contents, and the role of references
  for (const summary of document.querySelectorAll("nav summary")) {
    const title = summary.closest("li")?.querySelector("a")?.textContent.trim() ?? "";
    summary.setAttribute("aria-label", `Sections of ${title}`);
  }
  for (const list of document.querySelectorAll(".citation-list[role=list]")) list.removeAttribute("role");
  // code that scrolls sideways must be reachable by keyboard
  for (const block of document.querySelectorAll(".bd-article pre")) {
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
  }
});
