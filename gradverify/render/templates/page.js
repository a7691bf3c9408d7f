"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const $ = (id) => document.getElementById(id);

  // Sorting: each head of a column becomes a button; a third press restores the order of the page.
  const orderOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.order !== undefined) return Number(cell.dataset.order);
    const text = cell.textContent;
    return text === "" ? null : text;
  };
  const compare = (left, right) =>
    typeof left === "number" && typeof right === "number"
      ? left - right
      : String(left).localeCompare(String(right), "en", { numeric: true });
  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    table.rowsInOrder ??= Array.from(body.rows);
    const rows = table.rowsInOrder.map((row) => [orderOf(row, column), row]);
    if (direction)
      rows.sort(([left], [right]) => {
        if (left === null || right === null) return (left === null) - (right === null);
        return direction * compare(left, right);
      });
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of all("table")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const next = { ascending: "descending", descending: null }[before];
        const chosen = before === null ? "ascending" : next;
        for (const other of heads) other.removeAttribute("aria-sort");
        if (chosen) head.setAttribute("aria-sort", chosen);
        sort(table, column, { ascending: 1, descending: -1 }[chosen] ?? 0);
      });
    });
  }

  // Filtering: what holds every word that was typed and has one of the chosen verdicts is shown.
  const form = $("filter"), query = $("query"), count = $("count"), fold = $("fold"), nothing = $("nothing");
  const chips = all("[data-verdict]", form);
  const cases = all("details.case").map((element) => {
    const label = element.querySelector("h2").textContent;
    const part = (one) => ({ one, text: `${label} ${one.textContent} ${one.dataset.verdict}`.toLowerCase() });
    return { element, rows: all("tbody tr[data-verdict]", element).map(part), cards: all(".card", element).map(part) };
  });
  const total = cases.reduce((sum, one) => sum + one.rows.length, 0);
  const holds = (element, words) => {
    const text = element.textContent.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const filter = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = new Set(chips.filter((one) => one.ariaPressed === "true").map((one) => one.dataset.verdict));
    const active = words.length > 0 || chosen.size > 0;
    const matches = ({ one, text }) =>
      words.every((word) => text.includes(word)) && (chosen.size === 0 || chosen.has(one.dataset.verdict));
    let shown = 0, visible = 0;
    for (const { element, rows, cards } of cases) {
      let here = 0;
      for (const part of rows) here += !(part.one.hidden = active && !matches(part));
      for (const part of cards) part.one.hidden = active && !matches(part);
      element.hidden = active && here === 0 && (rows.length > 0 || chosen.size > 0 || !holds(element, words));
      shown += here;
      visible += !element.hidden;
    }
    count.textContent = `${active ? `${shown} of ${total}` : total} ${count.dataset.noun}`;
    nothing.hidden = visible > 0 || cases.length === 0;
  };
  query.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const chip of chips)
    chip.addEventListener("click", () => {
      chip.ariaPressed = String(chip.ariaPressed !== "true");
      filter();
    });

  const renameFold = () => {
    fold.textContent = cases.every(({ element }) => element.open) ? fold.dataset.close : fold.dataset.open;
  };
  fold.addEventListener("click", () => {
    const open = !cases.every(({ element }) => element.open);
    for (const { element } of cases) element.open = open;
    renameFold();
  });
  for (const { element } of cases) element.addEventListener("toggle", renameFold);

  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      query.focus();
    } else if (event.key === "Escape" && event.target === query) {
      query.value = "";
      filter();
    }
  });

  // A link to a card opens the case that holds it.
  const reveal = () => {
    const card = location.hash ? $(location.hash.slice(1)) : null;
    const holder = card?.closest("details.case");
    if (!holder) return;
    if (holder.hidden || card.hidden) {
      query.value = "";
      for (const chip of chips) chip.ariaPressed = "false";
      filter();
    }
    holder.open = true;
    card.scrollIntoView();
    card.focus({ preventScroll: true });
  };
  window.addEventListener("hashchange", reveal);

  form.hidden = total === 0;
  filter();
  renameFold();
  reveal();
})();
