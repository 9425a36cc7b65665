// One chart over time: lines or bars from the JSON beside it, in the colours of the theme.
import uPlot from "uplot";

const TONES = { yours: "--color-primary", hot: "--color-secondary", calm: "--quiet", moving: "--color-info" };
const locale = document.documentElement.lang;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const paint = (name, alpha = 1) => {
  // The canvas gets plain RGB: older engines do not parse oklch() there.
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.canvas.width = probe.canvas.height = 1;
  const span = document.createElement("span");
  span.className = "sr-only";
  span.style.color = css(name);
  document.body.append(span);
  probe.fillStyle = getComputedStyle(span).color;
  span.remove();
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
};

const numbers = (digits) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits });
const short = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const day = (zone) => new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: zone });

const series = (each, digits, unit) => ({
  label: each.label,
  stroke: paint(TONES[each.tone]),
  width: each.kind === "bars" ? 0 : 2,
  fill: paint(TONES[each.tone], each.kind === "bars" ? 0.75 : 0.08),
  paths: each.kind === "bars" ? uPlot.paths.bars({ size: [0.6, 40], radius: 0.2 }) : uPlot.paths.spline(),
  points: { show: false },
  value: (_, value) => (value == null ? "–" : `${numbers(digits).format(value)}${unit ? ` ${unit}` : ""}`),
});

const axis = (extra) => ({
  stroke: paint("--quiet"),
  font: `12px ${getComputedStyle(document.body).fontFamily}`,
  grid: { stroke: paint("--color-base-300", 0.7), width: 1 },
  ticks: { show: false },
  ...extra,
});

const make = (figure, given) => {
  const place = figure.querySelector(".plot");
  const days = day(given.zone);
  const whole = given.series.every((each) => each.values.every((value) => Number.isInteger(value)));
  const bars = given.series.some((each) => each.kind === "bars");
  const half = bars ? (given.times[1] - given.times[0]) / 2 : 0;
  const options = {
    width: place.clientWidth,
    height: given.height,
    padding: [8, place.clientWidth < 480 ? 32 : 16, 0, 0],
    cursor: { y: false, points: { size: 7 } },
    legend: { live: true },
    scales: { x: { range: (_, first, last) => [first - half, last + half] }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
    series: [
      { label: given.when, value: (_, at) => (at == null ? "–" : days.format(at * 1000)) },
      ...given.series.map((each) => series(each, given.digits, given.unit)),
    ],
    axes: [
      axis({ grid: { show: false }, size: 30, space: 80, values: (_, splits) => splits.map((at) => days.format(at * 1000)) }),
      axis({ size: 46, incrs: whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7] : undefined,
             values: (_, splits) => splits.map((value) => short.format(value)) }),
    ],
  };
  place.replaceChildren();
  return new uPlot(options, [given.times, ...given.series.map((each) => each.values)], place);
};

export const plot = (figure) => {
  const given = JSON.parse(figure.querySelector("script").textContent);
  let chart = make(figure, given);
  const place = figure.querySelector(".plot");
  new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: given.height })).observe(place);
  const again = () => { chart.destroy(); chart = make(figure, given); };
  document.addEventListener("theme:changed", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
};
