// Sizes in words: K, M and G are powers of 1024.

const units: Record<string, number> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

// "512M" -> 536870912. Undefined for anything that is not a positive number with at most one unit.
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)$/i.exec(text.trim());
  if (match === null) return undefined;
  const bytes = Math.round(Number(match[1]) * units[match[2]!.toUpperCase()]!);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

// "1.5 GB", "48 MB", "512 KB", "12 B"; in powers of 1024, as people read them.
export function formatSize(bytes: number): string {
  for (const unit of ["G", "M", "K"]) {
    const value = bytes / units[unit]!;
    if (value < 1) continue;
    return `${value < 10 ? trimZero(value.toFixed(1)) : Math.round(value)} ${unit}B`;
  }
  return `${bytes} B`;
}

function trimZero(text: string): string {
  return text.endsWith(".0") ? text.slice(0, -2) : text;
}

// "1,234,567"
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
