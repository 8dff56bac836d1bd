//<![CDATA[
"use strict";
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const byId = id => document.getElementById(id);
  document.documentElement.classList.add("on");

  // Heat maps: three digits per token give the length of its text, its value and whether it lies in a span.
  const DIGITS = "{{ heat_digits }}", STEPS = {{ heat_steps }};
  const digit = char => DIGITS.indexOf(char);
  const written = value => value === 0 ? "0" : String(Number(value.toPrecision(3))).replace("-", "−");
  for (const map of all(".maps")) {
    const largest = Number(map.dataset.scale), full = Number(map.dataset.full) || 1;
    for (const quote of all("q", map)) paint(quote, largest, full);
    watch(map, map.querySelector("output"));
  }
  function paint(quote, largest, full) {
    const text = quote.textContent, code = quote.dataset.h, peak = 3 * Number(quote.dataset.p);
    const tokens = document.createDocumentFragment();
    let start = 0;
    for (let at = 0; at !== code.length; at += 3) {
      const end = start + digit(code[at]);
      const bits = digit(code[at + 1]) * 64 + digit(code[at + 2]);
      const value = ((bits >> 1) - STEPS - 1) / STEPS * largest;
      if (text[start] === " ") tokens.append(document.createElement("wbr"));
      tokens.append(token(text.slice(start, end), value, Math.min(1, Math.abs(value) / full), bits % 2, at === peak));
      start = end;
    }
    quote.replaceChildren(tokens);
  }
  function token(text, value, share, labelled, decides) {
    const made = document.createElement("i");
    made.style.setProperty("--v", share.toFixed(3));
    made.className = [value >= 0 ? "" : "n", labelled ? "l" : "", decides ? "m" : ""].join(" ").trim();
    made.title = written(value) + (labelled ? " (labelled span)" : "");
    const body = text.trimStart();
    if (body !== text) {
      const space = document.createElement("u");
      space.textContent = "·".repeat(text.length - body.length);
      made.append(space);
    }
    made.append(body.replaceAll(" ", "·"));
    return made;
  }
  // Values by pointer, touch and keyboard: one tab stop per card, arrows step through its tokens.
  function watch(map, output) {
    let at = null;
    const show = next => {
      if (!next) return;
      at?.classList.remove("at");
      (at = next).classList.add("at");
      output.textContent = next.textContent + " = " + next.title;
    };
    const pick = event => show(event.target.closest("q > i"));
    map.addEventListener("pointerover", pick);
    map.addEventListener("click", pick);
    map.tabIndex = 0;
    map.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const tokens = all("q > i", map);
      const next = tokens[Math.min(tokens.length - 1, Math.max(0, tokens.indexOf(at) + step))];
      show(next);
      next?.scrollIntoView({ block: "nearest" });
    });
  }

  // Ranking: sort by a header or, on small screens, by the list; filter rows together with their cards.
  const table = byId("table"), order = byId("order"), find = byId("find"), found = byId("found");
  if (table) {
    const heads = all("thead th", table), body = table.tBodies[0], rows = all("tr", body);
    // Small screens lay the rows out as blocks, which would cost the table its meaning without roles.
    const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell", TH: "rowheader" };
    for (const part of [table, ...all("*", table)]) if (roles[part.tagName]) part.setAttribute("role", roles[part.tagName]);
    for (const head of heads) head.setAttribute("role", "columnheader");
    const key = (row, column) => {
      const cell = row.cells[column], text = cell.dataset.s ?? cell.textContent.trim();
      return heads[column].dataset.words ? text : parseFloat(text);
    };
    const compare = (one, two, turn) => {
      if (typeof one === "string") return turn * one.localeCompare(two, undefined, { numeric: true });
      return Number.isNaN(one) - Number.isNaN(two) || turn * (one - two);
    };
    const sort = (column, way) => {
      heads.forEach((head, place) => head.setAttribute("aria-sort", place === column ? way : "none"));
      const turn = way === "ascending" ? 1 : -1;
      body.append(...[...rows].sort((one, two) => compare(key(one, column), key(two, column), turn)));
      order.value = column;
    };
    heads.forEach((head, column) => {
      order.append(new Option(head.textContent.trim(), column));
      head.querySelector("button").addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(column, now === "none" ? head.dataset.start : now === "ascending" ? "descending" : "ascending");
      });
    });
    order.addEventListener("change", () => sort(Number(order.value), heads[order.value].dataset.start));
    const filter = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      const grades = new Set(all("input[name=grade]:checked").map(box => box.value));
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !(grades.has(row.dataset.grade) && words.every(word => text.includes(word)));
        byId(row.dataset.card).hidden = row.hidden;
        shown += !row.hidden;
      }
      found.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
      byId("nothing").hidden = shown !== 0;
    };
    for (const box of [find, ...all("input[name=grade]")]) box.addEventListener("input", filter);
    filter();
  }

  // Cards: all open on a wide screen, the first on a phone; a link opens the card it names; print opens all.
  const cards = all(".card"), fold = byId("fold");
  const setAll = open => cards.forEach(card => { card.open = open; });
  const label = () => { if (fold) fold.textContent = cards.some(card => card.open) ? "Collapse all" : "Expand all"; };
  if (matchMedia("(max-width: 820px)").matches) cards.forEach((card, place) => { card.open = place === 0; });
  fold?.addEventListener("click", () => { setAll(!cards.some(card => card.open)); });
  cards.forEach(card => card.addEventListener("toggle", label));
  const follow = () => {
    const card = location.hash.startsWith("#c") ? byId(location.hash.slice(1)) : null;
    if (card?.matches(".card")) { card.open = true; card.scrollIntoView(); }
  };
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => setAll(true));
  follow();
  label();

{% include "trail.js" %}

{% include "copy.js" %}
})();
//]]>
