// Draws each plot when it comes near the screen, in the colours of the page, light or dark.
"use strict";
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // Where a finger scrolls the page, dragging must not zoom a plot.
  const finger = matchMedia("(pointer: coarse)").matches;
  const dragmode = finger ? false : "zoom";
  const displayModeBar = finger ? false : "hover";
  const config = { responsive: true, displaylogo: false, showTips: false, displayModeBar };

  const template = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      gridcolor: colour("--line"),
      linecolor: colour("--line"),
      zerolinecolor: colour("--faint"),
      title: { standoff: 8 },
    };
    return {
      layout: {
        font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        xaxis: axis,
        yaxis: axis,
        hoverlabel: { bgcolor: colour("--paper"), font: { color: colour("--ink") } },
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemsizing: "constant" },
      },
    };
  };

  const drawn = new Set();
  const draw = (id) => {
    if (drawn.has(id)) return;
    drawn.add(id);
    const layout = { ...plots[id].layout, template: template(), dragmode };
    Plotly.newPlot(id, plots[id].data, layout, config);
  };
  const near = new IntersectionObserver(
    (entries) =>
      entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target.id)),
    { rootMargin: "600px" },
  );
  Object.keys(plots).forEach((id) => near.observe(document.getElementById(id)));
  addEventListener("beforeprint", () => Object.keys(plots).forEach(draw));
  dark.addEventListener("change", () =>
    drawn.forEach((id) => Plotly.relayout(id, { template: template() })),
  );
})();
