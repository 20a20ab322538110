// Colours of stages: neighbours are far apart on the colour wheel.
export function hueOf(index: number): number {
  return (188 + index * 47) % 360;
}
