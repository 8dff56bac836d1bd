//<![CDATA[
"use strict";
(() => {
  document.documentElement.classList.add("on");
  const figure = document.getElementById("figure"), read = document.getElementById("read");
  const marks = [...figure.querySelectorAll("[data-read]")];
  let at = null;
  const show = mark => {
    if (!mark) return;
    at?.classList.remove("at");
    (at = mark).classList.add("at");
    read.textContent = mark.dataset.read;
  };
  const pick = event => show(event.target.closest("[data-read]"));
  figure.addEventListener("pointerover", pick);
  figure.addEventListener("click", pick);
  figure.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(marks[Math.min(marks.length - 1, Math.max(0, marks.indexOf(at) + step))]);
    at?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
})();
//]]>
