// Draws terminal screens as an animated picture without a script: each command is typed, then its
// output stays for a while. Reads [{command, printed}] as JSON and writes SVG.

const { readFileSync } = require("node:fs");

const columns = 100, charWidth = 7.8, lineHeight = 18, margin = 16;
const colors = { 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 35: "#d2a8ff" };
const escaped = (text) => text.replace(/[&<>]/g, (found) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[found]);

/// The lines of a text as lists of {text, style}, wrapped as the terminal wraps them.
function lines(printed) {
  const all = [];
  for (const line of printed.replace(/\r/g, "").trimEnd().split("\n")) {
    let pieces = [], column = 0, style = "";
    const put = (text) => {
      while (column + text.length > columns) {
        pieces.push({ text: text.slice(0, columns - column), style });
        text = text.slice(columns - column);
        all.push(pieces);
        [pieces, column] = [[], 0];
      }
      if (text) pieces.push({ text, style });
      column += text.length;
    };
    for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
      const codes = part.match(/^\u001b\[([0-9;]*)m$/);
      if (!codes) { put(part); continue; }
      const set = codes[1].split(";").filter((code) => code && code !== "0");
      style = set.map((code) => (code === "1" ? "font-weight:bold" : code === "2" ? "opacity:.65" : `fill:${colors[code] ?? "inherit"}`)).join(";");
    }
    all.push(pieces);
  }
  return all;
}

/// A line of the picture.
function drawn(pieces, row) {
  const spans = pieces.map(({ text, style }) => `<tspan${style ? ` style="${style}"` : ""}>${escaped(text)}</tspan>`).join("");
  return `<text x="${margin}" y="${margin + (row + 1) * lineHeight - 5}" xml:space="preserve">${spans}</text>`;
}

const screens = JSON.parse(readFileSync(0, "utf8")).map(({ command, printed }) => {
  const typed = command.split("\n").map((line, index) => [{ text: `${index === 0 ? "$ " : ""}${line}`, style: "font-weight:bold;fill:#79c0ff" }]);
  const shown = lines(printed);
  // Time to read: a second for every three lines.
  return { typed, shown, seconds: 1 + Math.max(3, shown.length / 3) };
});
const rows = Math.max(...screens.map(({ typed, shown }) => typed.length + shown.length));
const [width, height] = [Math.ceil(columns * charWidth + 2 * margin), rows * lineHeight + 2 * margin];
const whole = screens.reduce((sum, { seconds }) => sum + seconds, 0);

const percent = (seconds) => `${Math.min(100, (100 * seconds) / whole).toFixed(2)}%`;
/// Visible between two times. The last screen is shown to readers who prefer no motion.
const between = (name, from, until) =>
  `@keyframes ${name}{0%,${percent(from)}{visibility:hidden}${percent(from + 0.01)},${percent(until)}{visibility:visible}` +
  `${until < whole ? `${percent(until + 0.01)},100%{visibility:hidden}` : ""}}\n.${name}{animation:${name} ${whole}s step-end infinite}\n`;
let at = 0, style = "", body = "";
screens.forEach(({ typed, shown, seconds }, index) => {
  style += between(`c${index}`, at, at + seconds) + between(`o${index}`, at + 1, at + seconds);
  body += `<g class="c${index}">${typed.map(drawn).join("")}</g>\n`;
  body += `<g class="o${index}">${shown.map((pieces, row) => drawn(pieces, typed.length + row)).join("")}</g>\n`;
  at += seconds;
});
const others = screens.slice(0, -1).map((_, index) => `.c${index},.o${index}`).join(",");
style += `@media (prefers-reduced-motion:reduce){g{animation:none!important}${others}{visibility:hidden}}`;
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">\n` +
  `<title>A terminal: a deployment is submitted, waits, is approved and runs</title>\n<style>\n` +
  `text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e6edf3;white-space:pre}\n${style}\n</style>\n` +
  `<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n${body}</svg>\n`,
);
