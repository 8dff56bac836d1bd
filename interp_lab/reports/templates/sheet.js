//<![CDATA[
"use strict";
(() => {
  document.documentElement.classList.add("on");
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  for (const box of all(".filter")) {
    const shown = all("[data-find]");
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      for (const tile of shown) {
        const text = tile.textContent.toLowerCase();
        tile.hidden = !words.every(word => text.includes(word));
        n += !tile.hidden;
      }
      document.getElementById("found").textContent = n === shown.length ? "" : `${n} of ${shown.length} shown`;
    });
  }
{% include "trail.js" %}
{% include "copy.js" %}
})();
//]]>
