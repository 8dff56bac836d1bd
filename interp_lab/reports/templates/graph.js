//<![CDATA[
(() => {
  const NS = "http://www.w3.org/2000/svg", get = id => document.getElementById(id), view = get("view"), panel = get("panel");
  const graph = JSON.parse(view.dataset.graph), byId = new Map(graph.marks.map(mark => [mark.id, mark]));
  const pinned = new Map(), groupOf = new Map();
  graph.groups.forEach(group => group.members.filter(id => byId.has(id)).forEach(id => { if (!groupOf.has(id)) groupOf.set(id, group); }));
  const el = (name, attributes, parent) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  };
  const html = (name, text, parent) => {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  };

  const root = el("g", {}, view);
  graph.lanes.forEach(([x1, y1, x2, y2]) => el("line", { class: "lane", x1, y1, x2, y2 }, root));
  const captions = graph.captions.map(caption => {
    const text = el("text", { x: caption.x, y: caption.y, "text-anchor": caption.anchor }, root);
    text.textContent = caption.text;
    return { ...caption, node: text };
  });
  graph.marks.forEach(mark => { mark.force = 0; });
  graph.links.forEach(link => [link.source, link.target].forEach(id => { const mark = byId.get(id); mark.force = Math.max(mark.force, link.size); }));
  const links = graph.links.map((link, rank) => {
    const line = el("path", { class: ["edge", link.style, ...link.tags].join(" "), "stroke-width": (0.6 + 4.4 * link.size).toFixed(2) }, root);
    el("title", {}, line).textContent = `${byId.get(link.source).label} → ${byId.get(link.target).label}: ${link.value}. ${link.told}`;
    line.addEventListener("click", () => pin(link.target));
    return { ...link, rank, line };
  });
  graph.marks.forEach(mark => {
    mark.dot = el("circle", { class: `node ${mark.style}`, tabindex: 0, "data-id": mark.id }, root);
    mark.title = el("title", {}, mark.dot);
    mark.text = el("text", { class: "name", "text-anchor": "middle" }, root);
  });

  // Where everything stands; with supernodes on, the members of a group stand as one in their middle.
  const grouped = () => get("group")?.checked ?? false;
  const place = () => {
    const together = grouped();
    graph.marks.forEach(mark => {
      const group = together ? groupOf.get(mark.id) : undefined;
      const members = group ? group.members.map(id => byId.get(id)).filter(one => one && groupOf.get(one.id) === group) : [mark];
      mark.cx = members.reduce((sum, one) => sum + one.x, 0) / members.length;
      mark.cy = members.reduce((sum, one) => sum + one.y, 0) / members.length;
      mark.under = members[0] !== mark;
      const several = members.length > 1, r = mark.r * (several ? 1.5 : 1), name = several ? `${group.label} ×${members.length}` : mark.label;
      mark.dot.setAttribute("cx", mark.cx);
      mark.dot.setAttribute("cy", mark.cy);
      mark.reach = r;
      mark.dot.classList.toggle("several", several);
      mark.title.textContent = `${name}. ${mark.told}`;
      const said = captions.find(caption => name.startsWith(`${caption.text} `)), short = said ? name.slice(said.text.length + 1) : name;
      mark.text.textContent = short.length > 30 ? `${short.slice(0, 29)}…` : short;
      mark.always = mark.named || several;
    });
    links.forEach(link => {
      const a = byId.get(link.source), b = byId.get(link.target), dx = b.cx - a.cx, dy = b.cy - a.cy;
      link.inside = a.cx === b.cx && a.cy === b.cy;
      const d = !graph.across ? `C${a.cx},${a.cy + dy / 2} ${b.cx},${a.cy + dy / 2}` : Math.abs(dx) < 40 ? `C${a.cx - 40},${a.cy + dy / 4} ${b.cx - 40},${b.cy - dy / 4}` : `C${a.cx + dx / 2},${a.cy} ${a.cx + dx / 2},${b.cy}`;
      link.line.setAttribute("d", `M${a.cx},${a.cy} ${d} ${b.cx},${b.cy}`);
    });
  };

  // What is on, found, and on a way through everything pinned.
  const reach = (start, from, to) => {
    const seen = new Set(start), next = [...start];
    while (next.length) {
      const id = next.pop();
      links.forEach(link => {
        if (link[from] === id && !link.off && !seen.has(link[to])) { seen.add(link[to]); next.push(link[to]); }
      });
    }
    return seen;
  };
  const found = mark => get("search").value.toLowerCase().split(/\s+/).filter(Boolean).every(word => `${mark.id} ${mark.label} ${mark.told}`.toLowerCase().includes(word));
  const update = () => {
    const off = new Set([...document.querySelectorAll("[data-tag]")].filter(box => !box.checked).map(box => box.dataset.tag));
    const most = Math.ceil(links.length * get("share").value / 100);
    graph.marks.forEach(mark => { mark.off = off.has(mark.style); });
    links.forEach(link => {
      link.off = link.rank >= most || [link.style, ...link.tags].some(tag => off.has(tag)) || byId.get(link.source).off || byId.get(link.target).off;
    });
    const cones = [...pinned.values()].map(ids => [reach(ids, "source", "target"), reach(ids, "target", "source")]);
    const lit = id => cones.every(([down, up]) => down.has(id) || up.has(id));
    const through = link => cones.every(([down, up]) => down.has(link.source) || up.has(link.target));
    graph.marks.forEach(mark => {
      const dim = !found(mark) || (pinned.size > 0 && !lit(mark.id)), gone = mark.off || mark.under;
      mark.dot.style.display = gone ? "none" : "";
      mark.dot.classList.toggle("dim", dim);
      mark.dot.classList.toggle("pinned", pinned.has(mark.id));
      mark.gone = gone || (dim && !mark.always);
      mark.text.classList.toggle("dim", dim);
    });
    const asked = get("search").value.trim() !== "", hit = new Map(graph.marks.map(mark => [mark.id, found(mark)]));
    letter();
    links.forEach(link => {
      const on = pinned.size > 0 && through(link), missed = asked && !hit.get(link.source) && !hit.get(link.target);
      link.line.style.display = link.off || link.inside ? "none" : "";
      link.line.classList.toggle("lit", on);
      link.line.classList.toggle("dim", missed || (pinned.size > 0 && !on));
    });
  };

  // Letters keep their size on the screen, dots at least half of theirs. Of names that would lie on one another, and of
  // more than there is room for, those of pinned, named and strongly linked marks are written; nearer, there is more room.
  let box = [...graph.box];
  const unit = () => Math.max(box[2] / Math.max(1, view.clientWidth), box[3] / Math.max(1, view.clientHeight));
  const letter = () => {
    const px = unit(), taken = [], wide = view.clientWidth * px, high = view.clientHeight * px;
    const left = box[0] + (box[2] - wide) / 2, top = box[1] + (box[3] - high) / 2, grow = Math.max(1, Math.min(2, px / 1.6));
    const fits = (x, y, half, apart) => !taken.some(one => Math.abs(one.x - x) < one.half + half + apart && Math.abs(one.y - y) < 11.5 * px);
    const held = (x, half) => Math.max(left + half + 3 * px, Math.min(left + wide - half - 3 * px, x));
    view.style.setProperty("--unit", px);
    captions.forEach(caption => {
      const half = caption.text.length * 3.4 * px, side = { start: half, end: -half, middle: 0 }[caption.anchor];
      const away = side === 0 && (caption.x < left || caption.x > left + wide);  // of lanes, but not of columns, it stays at the edge
      const x = held(caption.x + side, half), shown = !away && fits(x, caption.y, half, 4 * px);
      caption.node.style.display = shown ? "" : "none";
      caption.node.setAttribute("x", x);
      caption.node.setAttribute("text-anchor", "middle");
      if (shown) taken.push({ x, y: caption.y, half });
    });
    const weight = mark => (pinned.has(mark.id) ? 1000 : 0) + (mark.text.classList.contains("dim") ? 0 : 100) + (mark.always ? 10 : 0) + mark.force + mark.r / 100;
    let room = Math.max(8, Math.round(view.clientWidth * view.clientHeight / 3600));
    graph.marks.forEach(mark => {
      mark.dot.setAttribute("r", mark.reach * grow);
      mark.text.style.display = "none";
    });
    const near = graph.marks.filter(mark => !mark.gone && mark.cx > left && mark.cx < left + wide && mark.cy > top && mark.cy < top + high);
    near.sort((a, b) => weight(b) - weight(a)).forEach(mark => {
      const half = mark.text.textContent.length * 3.1 * px, r = mark.reach * grow, beside = graph.across && mark.cx + r + 3 * px + 2 * half < left + wide;
      const x = held(mark.cx + (beside ? r + 3 * px + half : 0), half), y = mark.cy + (beside ? 4 * px : -r - 4 * px);
      if ((room <= 0 && !pinned.has(mark.id)) || !fits(x, y, half, 5 * px)) return;
      room -= 1;
      mark.text.style.display = "";
      mark.text.setAttribute("x", x);
      mark.text.setAttribute("y", y);
      taken.push({ x, y, half });
    });
  };

  const list = (title, rows, end) => {
    if (!rows.length) return;
    html("h4", title, panel);
    const table = html("table", "", panel);
    rows.slice(0, 15).forEach(link => {
      const mark = byId.get(link[end]), row = html("tr", "", table), cell = html("td", mark.label, row);
      if (link.told) html("span", link.told, cell);
      html("td", link.value, row).className = "n";
      row.addEventListener("click", () => pin(mark.id));
    });
    if (rows.length > 15) html("p", `and ${rows.length - 15} weaker`, panel).className = "note";
  };
  const show = mark => {
    panel.replaceChildren();
    html("h3", mark.label, panel);
    html("p", mark.told, panel).className = "note";
    const group = groupOf.get(mark.id);
    if (group) html("p", `One of ${group.members.length} that are read as one: ${group.label}.`, panel).className = "note";
    list(view.dataset.into, links.filter(link => link.target === mark.id && !link.off), "source");
    list(view.dataset.out, links.filter(link => link.source === mark.id && !link.off), "target");
    if (!mark.call) return;
    html("h4", "Next call", panel);
    const text = html("pre", JSON.stringify(mark.call, null, 2), panel), copy = html("button", "Copy", panel);
    copy.type = "button";
    copy.className = "ghost";
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
        copy.textContent = "Selected";
      }
    });
  };
  function pin(id) {
    const group = grouped() ? groupOf.get(id) : undefined;
    const members = group ? group.members.filter(one => byId.has(one)) : [id], was = pinned.delete(members[0]);
    if (!was) pinned.set(members[0], members);
    update();
    if (!was) show(byId.get(id));
  }

  // Moving and zooming: wheel, buttons, one finger or two.
  const put = next => { box = next; view.setAttribute("viewBox", box.join(" ")); letter(); };
  const around = (x, y, scale) => put([x - (x - box[0]) * scale, y - (y - box[1]) * scale, box[2] * scale, box[3] * scale]);
  const at = event => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(view.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const fit = marks => {
    if (!marks.length) return;
    const xs = marks.map(mark => mark.cx), ys = marks.map(mark => mark.cy), x = Math.min(...xs) - 90, y = Math.min(...ys) - 60;
    put([x, y, Math.max(...xs) + 170 - x, Math.max(...ys) + 60 - y]);
  };
  view.addEventListener("wheel", event => {
    event.preventDefault();
    around(...at(event), event.deltaY > 0 ? 1.15 : 1 / 1.15);
  }, { passive: false });
  const fingers = new Map();
  let moved = false;
  view.addEventListener("pointerdown", event => { if (!fingers.size) moved = false; fingers.set(event.pointerId, event); });
  view.addEventListener("pointermove", event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (!moved && Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 5) return;
    moved = true;
    const other = [...fingers.values()].find(one => one.pointerId !== event.pointerId);
    if (other) {
      const apart = one => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      around(...at(other), apart(before) / Math.max(1, apart(event)));
    } else {
      const [x0, y0] = at(before), [x1, y1] = at(event);
      put([box[0] - (x1 - x0), box[1] - (y1 - y0), box[2], box[3]]);
    }
    fingers.set(event.pointerId, event);
  });
  window.addEventListener("pointerup", event => {
    const mark = event.target.closest?.("[data-id]");
    if (fingers.delete(event.pointerId) && !moved && mark) pin(mark.dataset.id);
  });
  window.addEventListener("pointercancel", event => fingers.delete(event.pointerId));
  view.addEventListener("keydown", event => { if (event.key === "Enter" && event.target.dataset.id) pin(event.target.dataset.id); });
  document.querySelectorAll(".controls input").forEach(input => input.addEventListener("input", () => { place(); update(); }));
  document.addEventListener("keydown", event => { if (event.key === "Escape" && pinned.size) { pinned.clear(); update(); } });
  get("search").addEventListener("keydown", event => { if (event.key === "Enter") fit(graph.marks.filter(mark => !mark.off && found(mark))); });
  get("in").addEventListener("click", () => around(box[0] + box[2] / 2, box[1] + box[3] / 2, 1 / 1.3));
  get("out").addEventListener("click", () => around(box[0] + box[2] / 2, box[1] + box[3] / 2, 1.3));
  get("fit").addEventListener("click", () => put([...graph.box]));
  get("unpin").addEventListener("click", () => { pinned.clear(); update(); });
  view.style.height = `${Math.max(300, Math.min(innerHeight * 0.78, view.clientWidth * box[3] / box[2]))}px`;
  panel.style.maxHeight = innerWidth > 900 ? view.style.height : "";
  window.addEventListener("resize", () => letter());
  place();
  update();
  // A small screen begins at the end that everything leads to, where names can be read; Fit shows all.
  const least = Math.min(1, 3.5 / unit());
  put([graph.box[0] + graph.box[2] * (1 - least), graph.box[1] + graph.box[3] * (1 - least) / 2, graph.box[2] * least, graph.box[3] * least]);
})();
//]]>
