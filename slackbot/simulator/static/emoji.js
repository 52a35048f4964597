// Emoji by Slack's names. Those that carry a meaning in a card are badges drawn here, so that they look the same on a
// machine without an emoji font; the others are left to the font.

const BADGES = {
  white_check_mark: ["✓", "#2b8a5c"], heavy_check_mark: ["✓", "#2b8a5c"], ballot_box_with_check: ["✓", "#1264a3"],
  x: ["✗", "#c9184a"], no_entry: ["–", "#c9184a"], no_entry_sign: ["–", "#c9184a"], warning: ["!", "#c98500"],
  rotating_light: ["!", "#c9184a"], exclamation: ["!", "#c9184a"], question: ["?", "#1264a3"], information_source: ["i", "#1264a3"],
  hourglass: ["…", "#8a8790"], hourglass_flowing_sand: ["…", "#8a8790"], stopwatch: ["…", "#8a8790"],
  star: ["★", "#c98500"], trophy: ["★", "#c98500"], tada: ["★", "#8a4fb5"], sparkles: ["★", "#8a4fb5"],
  chart_with_upwards_trend: ["↗", "#2b8a5c"], chart_with_downwards_trend: ["↘", "#c9184a"], bar_chart: ["≡", "#1264a3"],
  arrows_counterclockwise: ["↻", "#1264a3"], repeat: ["↻", "#1264a3"], leftwards_arrow_with_hook: ["↩", "#8a4fb5"], rewind: ["↩", "#8a4fb5"],
  bell: ["♪", "#c98500"], rocket: ["↑", "#8a4fb5"], package: ["▣", "#b4532a"], lock: ["▪", "#616061"],
  large_green_circle: ["", "#2b8a5c"], large_yellow_circle: ["", "#e0b000"], large_orange_circle: ["", "#e07b00"],
  red_circle: ["", "#c9184a"], large_blue_circle: ["", "#1264a3"], white_circle: ["", "#c9c5cd"],
};

const GLYPHS = {
  "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", eyes: "👀", mag: "🔍", gear: "⚙️", memo: "📝", robot_face: "🤖", wave: "👋",
  point_right: "👉", zzz: "💤", wrench: "🔧", calendar: "📅", clipboard: "📋", link: "🔗", fire: "🔥", bulb: "💡", no_bell: "🔕",
};

export const EMOJI = { ...GLYPHS, ...BADGES };

export function emoji(name) {
  if (!(name in EMOJI)) return `:${name}:`;
  const node = document.createElement("span");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", name.replaceAll("_", " "));
  node.title = `:${name}:`;
  node.textContent = name in BADGES ? BADGES[name][0] : GLYPHS[name];
  if (name in BADGES) {
    node.className = name.endsWith("circle") ? "badge-emoji round" : "badge-emoji";
    node.style.background = BADGES[name][1];
  }
  return node;
}
