"""The report page's script: filters the pictures and enlarges them. Without it the page shows all of them."""

SCRIPT = """
"use strict";
(() => {
  const form = document.getElementById("filter");
  const dialog = document.getElementById("zoom");
  if (!form || !dialog) return;
  const figures = [...document.querySelectorAll(".gallery figure")];
  const groups = [...document.querySelectorAll(".group")];
  const shown = () => figures.filter((figure) => !figure.hidden);
  const matches = (figure, wanted) =>
    wanted.every(([name, value]) => value === "" || figure.dataset[name] === value);

  function filter() {
    const wanted = [...new FormData(form)];
    for (const figure of figures) figure.hidden = !matches(figure, wanted);
    for (const group of groups) group.hidden = !group.querySelector("figure:not([hidden])");
    const count = shown().length;
    document.getElementById("shown").textContent =
      count ? `${count} of ${figures.length} pictures` : "No picture is like this.";
    // How many pictures each choice would leave beside the other fields' choices.
    for (const input of form.querySelectorAll("input[type=radio]")) {
      const others = wanted.filter(([name]) => name !== input.name).concat([[input.name, input.value]]);
      input.labels[0].querySelector(".count").textContent =
        figures.filter((figure) => matches(figure, others)).length;
    }
  }

  let current = null;
  function show(figure) {
    current = figure;
    const body = document.getElementById("zoom-body");
    const runs = figure.querySelector(".runs").cloneNode(true);
    body.replaceChildren(runs, figure.querySelector("figcaption").cloneNode(true));
    body.scrollTop = 0;
    const all = shown();
    document.getElementById("zoom-place").textContent = `Picture ${all.indexOf(figure) + 1} of ${all.length}`;
  }
  function move(step) {
    const all = shown();
    show(all[(all.indexOf(current) + step + all.length) % all.length]);
  }

  for (const figure of figures) {
    figure.querySelector("button").addEventListener("click", () => {
      show(figure);
      dialog.showModal();
      document.getElementById("zoom-close").focus();
    });
  }
  document.getElementById("zoom-previous").addEventListener("click", () => move(-1));
  document.getElementById("zoom-next").addEventListener("click", () => move(1));
  document.getElementById("zoom-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); move(step); }
  });
  dialog.addEventListener("close", () => current.querySelector("button").focus());
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;
  document.documentElement.classList.add("script");
  filter();
})();
"""
