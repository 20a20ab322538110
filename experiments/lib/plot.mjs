// Line charts as SVG text, for reports: no dependency, readable on light and dark pages.

const colours = ['#3366cc', '#dc6900', '#2e8b57', '#b03060', '#6a5acd', '#8b6914', '#008b8b'];
const width = 640;
const height = 380;
const margin = {left: 64, right: 168, top: 40, bottom: 52};

// Round numbers from 0 (or, on a logarithmic axis, powers) that cover the values.
function ticksOf(least, most, isLog) {
  if (isLog) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); ++power) {
      for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** power);
    }
    const low = Math.max(...ticks.filter((tick) => tick <= least));
    const high = Math.min(...ticks.filter((tick) => tick >= most));
    return ticks.filter((tick) => tick >= low && tick <= high);
  }
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
  return Array.from({length: Math.ceil(most / step - 1e-9) + 1}, (_, i) => i * step);
}

const text = (value) => String(value).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const number = (value) => Number(value.toPrecision(6)).toString();

// `series`: [{name, points: [[x, y], ...], dashed}]. Axes begin at 0 unless `logX` or `logY`.
export function lineChart({title, x: xLabel, y: yLabel, series, logX = false, logY = false}) {
  const all = series.flatMap(({points}) => points);
  const axis = (index, isLog, from, to) => {
    const values = all.map((point) => point[index]);
    const ticks = ticksOf(Math.min(...values), Math.max(...values), isLog);
    const place = isLog ? Math.log10 : (value) => value;
    const [low, high] = [place(ticks[0]), place(ticks.at(-1))];
    return {ticks, at: (value) => from + (place(value) - low) / (high - low || 1) * (to - from)};
  };
  const x = axis(0, logX, margin.left, width - margin.right);
  const y = axis(1, logY, height - margin.bottom, margin.top);
  const [left, right] = [margin.left, width - margin.right];
  const [top, bottom] = [margin.top, height - margin.bottom];
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" ` +
      `font-family="sans-serif" font-size="12" fill="#808080"><title>${text(title)}</title>`,
    `<text x="${left}" y="22" font-size="14">${text(title)}</text>`,
    `<text x="${(left + right) / 2}" y="${height - 12}" text-anchor="middle">` +
      `${text(xLabel)}</text>`,
    `<text transform="translate(16 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">` +
      `${text(yLabel)}</text>`,
  ];
  for (const tick of y.ticks) {
    const at = y.at(tick).toFixed(1);
    out.push(`<path d="M${left} ${at}H${right}" stroke="#80808055"/>`,
      `<text x="${left - 8}" y="${Number(at) + 4}" text-anchor="end">${number(tick)}</text>`);
  }
  for (const tick of x.ticks) {
    const at = x.at(tick).toFixed(1);
    out.push(`<path d="M${at} ${bottom}v5" stroke="#808080"/>`,
      `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${number(tick)}</text>`);
  }
  series.forEach(({name, points, dashed}, i) => {
    const colour = colours[i % colours.length];
    const path = points.map(([px, py], at) =>
        `${at === 0 ? 'M' : 'L'}${x.at(px).toFixed(1)} ${y.at(py).toFixed(1)}`).join('');
    out.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"` +
             `${dashed ? ' stroke-dasharray="5 4"' : ''}/>`);
    for (const [px, py] of points) {
      out.push(`<circle cx="${x.at(px).toFixed(1)}" cy="${y.at(py).toFixed(1)}" r="3" ` +
               `fill="${colour}"/>`);
    }
    const row = top + 8 + 18 * i;
    out.push(`<path d="M${right + 14} ${row}h20" stroke="${colour}" stroke-width="2"` +
             `${dashed ? ' stroke-dasharray="5 4"' : ''}/>`,
      `<text x="${right + 40}" y="${row + 4}">${text(name)}</text>`);
  });
  out.push('</svg>', '');
  return out.join('\n');
}
