//<![CDATA[
"use strict";
(() => {
  document.documentElement.classList.add("on");
  const NS = "http://www.w3.org/2000/svg", view = document.getElementById("view"), panel = document.getElementById("panel");
  const graph = JSON.parse(view.dataset.graph), byId = new Map(graph.nodes.map(node => [node.id, node]));
  const COLUMN = 130, ROW = 70, R = 7, pinned = new Set();
  const el = (name, attributes, parent) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  };
  const html = (name, text, parent) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    parent?.append(made);
    return made;
  };
  const short = value => value === null ? "–" : Number(value).toPrecision(3);
  const level = node => node.kind === "embedding" ? -1 : node.kind === "logit" ? graph.n_layers : node.layer;
  const groupOf = new Map();
  graph.supernodes.forEach((group, number) => group.members.forEach(id => groupOf.set(id, number)));

  // Places: tokens are columns, layers are rows, nodes of one cell stand side by side.
  const cells = new Map();
  graph.nodes.forEach(node => {
    const key = `${node.pos}/${level(node)}`;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(node);
  });
  const widest = graph.tokens.map((_, pos) => Math.max(1, ...[...cells].filter(([key]) => key.startsWith(`${pos}/`)).map(([, list]) => list.length)));
  const left = widest.reduce((sum, n) => [...sum, sum.at(-1) + Math.max(COLUMN, n * 3 * R)], [0]);
  const height = (graph.n_layers + 2) * ROW;
  cells.forEach(list => list.forEach((node, i) => {
    node.x = left[node.pos] + (left[node.pos + 1] - left[node.pos]) * (i + 1) / (list.length + 1);
    node.y = height - (level(node) + 1.5) * ROW;
  }));

  const root = el("g", {}, view);
  for (let row = -1; row <= graph.n_layers; row += 1) {
    const y = height - (row + 1.5) * ROW;
    el("line", { class: "lane", x1: 0, x2: left.at(-1), y1: y, y2: y }, root);
    el("text", { x: -10, y: y + 4, "text-anchor": "end" }, root).textContent = row < 0 ? "tokens" : row === graph.n_layers ? "logits" : `layer ${row}`;
  }
  graph.tokens.forEach((token, pos) => {
    el("text", { x: (left[pos] + left[pos + 1]) / 2, y: height, "text-anchor": "middle" }, root).textContent = token.slice(0, 16);
  });
  const largest = Math.max(...graph.edges.map(edge => Math.abs(edge[2])), 1e-30);
  const edges = graph.edges.map(([source, target, weight], rank) => {
    const a = byId.get(source), b = byId.get(target), middle = (a.y + b.y) / 2;
    const line = el("path", { class: `edge ${weight > 0 ? "plus" : "minus"}`, "stroke-width": (0.5 + 4 * Math.abs(weight) / largest).toFixed(2), d: `M${a.x},${a.y - R} C${a.x},${middle} ${b.x},${middle} ${b.x},${b.y + R}` }, root);
    el("title", {}, line).textContent = `${a.label} → ${b.label}: ${short(weight)}`;
    return { source, target, weight, rank, line };
  });
  graph.nodes.forEach(node => {
    node.mark = el("circle", { class: `node ${node.kind}`, cx: node.x, cy: node.y, r: (R * (0.6 + Math.min(1, Math.sqrt(Math.abs(node.influence))))).toFixed(1), tabindex: 0, "data-id": node.id }, root);
    el("title", {}, node.mark).textContent = `${node.id} ${node.label}`;
  });

  const reach = (start, from, to) => {
    const seen = new Set(start);
    const next = [...start];
    while (next.length) {
      const id = next.pop();
      edges.forEach(edge => {
        if (edge[from] === id && !edge.off && !seen.has(edge[to])) { seen.add(edge[to]); next.push(edge[to]); }
      });
    }
    return seen;
  };
  const on = selector => new Set([...document.querySelectorAll(selector)].filter(box => box.checked).map(box => box.dataset.kind ?? box.dataset.sign));
  const update = () => {
    const kinds = on("[data-kind]"), signs = on("[data-sign]"), word = document.getElementById("search").value.toLowerCase();
    const most = Math.ceil(edges.length * document.getElementById("share").value / 100);
    graph.nodes.forEach(node => { node.off = !kinds.has(node.kind); });
    edges.forEach(edge => {
      edge.off = edge.rank >= most || !signs.has(edge.weight > 0 ? "plus" : "minus") || byId.get(edge.source).off || byId.get(edge.target).off;
    });
    const start = [...pinned], lit = start.length ? new Set([...reach(start, "source", "target"), ...reach(start, "target", "source")]) : null;
    const down = start.length ? reach(start, "source", "target") : null, up = start.length ? reach(start, "target", "source") : null;
    graph.nodes.forEach(node => {
      const found = word === "" || `${node.id} ${node.label} layer ${node.layer} ${graph.tokens[node.pos]}`.toLowerCase().includes(word);
      node.mark.style.display = node.off ? "none" : "";
      node.mark.classList.toggle("dim", !found || (lit !== null && !lit.has(node.id)));
      node.mark.classList.toggle("pinned", pinned.has(node.id));
    });
    edges.forEach(edge => {
      edge.line.style.display = edge.off ? "none" : "";
      const through = lit !== null && ((down.has(edge.source) && down.has(edge.target)) || (up.has(edge.source) && up.has(edge.target)));
      edge.line.classList.toggle("lit", through);
      edge.line.classList.toggle("dim", lit !== null && !through);
    });
  };
  const list = (title, rows, end) => {
    html("h2", title, panel);
    const table = html("table", undefined, panel);
    rows.slice(0, 12).forEach(edge => {
      const node = byId.get(edge[end]), row = html("tr", undefined, table);
      row.className = "row";
      html("td", `${node.label} @ ${graph.tokens[node.pos]}`, row);
      html("td", short(edge.weight), row).className = "n";
      row.addEventListener("click", () => pin(node.id));
    });
  };
  const show = node => {
    panel.replaceChildren();
    html("h2", `${node.label} @ ${graph.tokens[node.pos]}`, panel);
    html("p", `${node.kind} ${node.id}; influence ${short(node.influence)}${node.activation === null ? "" : `, activation ${short(node.activation)}`}${node.p === null ? "" : `, p ${short(node.p)}`}`, panel);
    list("Reads", edges.filter(edge => edge.target === node.id && !edge.off), "source");
    list("Writes to", edges.filter(edge => edge.source === node.id && !edge.off), "target");
    if (node.kind !== "feature") return;
    html("h2", "Next call", panel);
    const call = { tool: "show_feature", arguments: { dictionary: node.dictionary, unit: node.index } };
    const text = html("pre", JSON.stringify(call, null, 2), panel), copy = html("button", "copy", panel);
    copy.type = "button";
    copy.addEventListener("click", () => {
      const range = document.createRange();
      range.selectNodeContents(text);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      navigator.clipboard?.writeText(text.textContent).then(() => { copy.textContent = "copied"; }, () => { copy.textContent = "selected"; });
    });
  };
  const pin = id => {
    const wanted = document.getElementById("group").checked && groupOf.has(id) ? graph.supernodes[groupOf.get(id)].members.filter(one => byId.has(one)) : [id];
    const was = pinned.has(id);
    wanted.forEach(one => was ? pinned.delete(one) : pinned.add(one));
    update();
    if (!was) show(byId.get(id));
  };

  let box = null;
  const place = () => view.setAttribute("viewBox", box.join(" "));
  const fit = () => { box = [-80, -10, left.at(-1) + 110, height + 40]; place(); };
  view.addEventListener("wheel", event => {
    event.preventDefault();
    const scale = event.deltaY > 0 ? 1.15 : 1 / 1.15, at = view.getBoundingClientRect();
    const x = box[0] + box[2] * (event.clientX - at.left) / at.width, y = box[1] + box[3] * (event.clientY - at.top) / at.height;
    box = [x - (x - box[0]) * scale, y - (y - box[1]) * scale, box[2] * scale, box[3] * scale];
    place();
  }, { passive: false });
  let held = null;
  view.addEventListener("pointerdown", event => { held = [event.clientX, event.clientY, false]; });
  view.addEventListener("pointermove", event => {
    if (!held) return;
    const at = view.getBoundingClientRect(), dx = event.clientX - held[0], dy = event.clientY - held[1];
    if (Math.abs(dx) + Math.abs(dy) < 4 && !held[2]) return;
    const scale = Math.max(box[2] / at.width, box[3] / at.height);
    box = [box[0] - dx * scale, box[1] - dy * scale, box[2], box[3]];
    held = [event.clientX, event.clientY, true];
    place();
  });
  window.addEventListener("pointerup", event => {
    const mark = event.target.closest?.("[data-id]");
    if (held && !held[2] && mark) pin(mark.dataset.id);
    held = null;
  });
  view.addEventListener("keydown", event => { if (event.key === "Enter" && event.target.dataset.id) pin(event.target.dataset.id); });
  document.querySelectorAll(".tools input").forEach(input => input.addEventListener("input", update));
  document.getElementById("fit").addEventListener("click", fit);
  document.getElementById("unpin").addEventListener("click", () => { pinned.clear(); update(); });
  fit();
  update();
})();
//]]>
