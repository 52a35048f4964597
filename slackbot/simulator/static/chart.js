// Slack's chart block, drawn as SVG: lines, areas, bars and pies.

import { make } from "./text.js";

const COLOURS = ["#1264a3", "#e0593d", "#2b8a5c", "#8a4fb5", "#c98500", "#00838f"];
const WIDTH = 520, HEIGHT = 220, LEFT = 56, RIGHT = 12, TOP = 10;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const marks = [];
  for (let mark = Math.floor(low / step) * step; mark < high + step; mark += step) marks.push(Number(mark.toPrecision(12)));
  return marks;
}

function drawn(spec) {
  const categories = spec.axis_config.categories;
  const series = spec.series.map((one) => categories.map((name) => one.data.find((point) => point.label === name).value));
  const all = series.flat();
  const low = spec.type === "line" ? Math.min(...all) : Math.min(0, ...all);
  const marks = ticks(low, Math.max(...all, spec.type === "line" ? -Infinity : 0));
  const bottom = marks[0], top = marks.at(-1);
  const BOTTOM = spec.axis_config.x_label ? 44 : 26;
  const slot = (WIDTH - LEFT - RIGHT) / categories.length;
  const x = (index) => LEFT + slot * (index + 0.5);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - bottom) / (top - bottom || 1));
  const shapes = marks.flatMap((mark) => [
    svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(mark), y2: y(mark), stroke: "#e6e4e8" }),
    svg("text", { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, String(mark)),
  ]);
  const every = Math.ceil(categories.length / 8);
  categories.forEach((name, index) => {
    if (index % every === 0) shapes.push(svg("text", { x: x(index), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, name));
  });
  series.forEach((values, number) => {
    const colour = COLOURS[number % COLOURS.length];
    if (spec.type === "bar") {
      const width = (slot * 0.7) / series.length;
      values.forEach((value, index) => {
        const left = x(index) - slot * 0.35 + width * number;
        shapes.push(svg("rect", { x: left, width, y: Math.min(y(value), y(0)), height: Math.abs(y(value) - y(0)), fill: colour, rx: 1.5 }));
      });
      return;
    }
    const points = values.map((value, index) => `${x(index)},${y(value)}`).join(" ");
    if (spec.type === "area") {
      shapes.push(svg("polygon", { points: `${x(0)},${y(bottom)} ${points} ${x(values.length - 1)},${y(bottom)}`, fill: colour, "fill-opacity": 0.2 }));
    }
    shapes.push(svg("polyline", { points, fill: "none", stroke: colour, "stroke-width": 2 }));
    values.forEach((value, index) => shapes.push(svg("circle", { cx: x(index), cy: y(value), r: 3, fill: colour })));
  });
  const { x_label: across, y_label: up } = spec.axis_config;
  if (across) shapes.push(svg("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, "text-anchor": "middle", class: "axis" }, across));
  if (up) shapes.push(svg("text", { transform: `translate(12 ${HEIGHT / 2 - 16}) rotate(-90)`, "text-anchor": "middle", class: "axis" }, up));
  return [shapes, spec.series.map((one) => one.name)];
}

function pie(spec) {
  const total = spec.segments.reduce((sum, segment) => sum + segment.value, 0);
  const [cx, cy, r] = [WIDTH / 2, HEIGHT / 2, HEIGHT / 2 - 12];
  let angle = -Math.PI / 2;
  const shapes = spec.segments.map((segment, index) => {
    const share = segment.value / total;
    const fill = COLOURS[index % COLOURS.length];
    if (share > 0.9999) return svg("circle", { cx, cy, r, fill });
    const from = [cx + r * Math.cos(angle), cy + r * Math.sin(angle)];
    angle += share * 2 * Math.PI;
    const to = [cx + r * Math.cos(angle), cy + r * Math.sin(angle)];
    return svg("path", { d: `M${cx},${cy} L${from} A${r},${r} 0 ${share > 0.5 ? 1 : 0} 1 ${to} Z`, fill, stroke: "#fff" });
  });
  return [shapes, spec.segments.map((segment) => `${segment.label} ${((100 * segment.value) / total).toFixed(0)} %`)];
}

export function chart(block) {
  const [shapes, labels] = block.chart.type === "pie" ? pie(block.chart) : drawn(block.chart);
  const legend = labels.map((label, index) => {
    const swatch = make("i");
    swatch.style.background = COLOURS[index % COLOURS.length];
    return make("span", {}, swatch, label);
  });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": block.title, class: "chart" }, ...shapes);
  return make("figure", { class: "drawn" }, make("figcaption", {}, make("strong", {}, block.title)), picture, make("div", { class: "legend" }, ...legend));
}
