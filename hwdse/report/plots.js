// Draws the figures in the colours of the page, follows its light or dark theme, and works the legends.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const finger = matchMedia("(pointer: coarse)").matches;
  const config = { displaylogo: false, responsive: true, displayModeBar: finger ? false : "hover" };
  config.modeBarButtonsToRemove = ["lasso2d", "select2d"];
  config.toImageButtonOptions = { format: "svg" };

  // The figures name the light colours; each is a variable of the style sheet.
  const roles = new Map();
  const rule = document.styleSheets[0].cssRules[0].style;
  for (const name of rule) roles.set(rule.getPropertyValue(name).trim(), name);

  const coloured = (text) => {
    const now = getComputedStyle(document.documentElement);
    return text.replace(/"(#[0-9a-f]{6})"/g, (all, hex) => (roles.has(hex) ? `"${now.getPropertyValue(roles.get(hex)).trim()}"` : all));
  };

  const draw = (source) => {
    const figure = JSON.parse(coloured(source.textContent));
    if (finger) figure.layout.dragmode = false; // so that it scrolls the page
    return Plotly.react(`plot-${source.dataset.figure}`, figure.data, figure.layout, config);
  };

  const reset = () => {
    for (const button of document.querySelectorAll(".legend button")) button.setAttribute("aria-pressed", "true");
  };

  const sources = document.querySelectorAll("[data-figure]");
  const drawAll = () => Promise.all([...sources].map(draw));
  dark.addEventListener("change", () => { reset(); drawAll(); });
  drawAll().then(() => document.documentElement.classList.add("drawn"));

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const visible = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(visible));
      Plotly.restyle(`plot-${button.dataset.plot}`, { visible }, [Number(button.dataset.series)]);
    });
  }

  for (const button of document.querySelectorAll("button.range")) {
    button.addEventListener("click", () => {
      const all = button.textContent === "Show all trials";
      const ranges = JSON.parse(all ? button.dataset.everything : button.dataset.first);
      button.textContent = all ? "Show the best trials" : "Show all trials";
      button.previousElementSibling.hidden = all;
      Plotly.relayout(`plot-${button.dataset.plot}`, ranges);
    });
  }
})();
