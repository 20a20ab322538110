// The machine around the page: hidden or not, battery, network, time of day.

import type { Surroundings } from "../../volunteer/limits.ts";

interface Battery extends EventTarget {
  charging: boolean;
}

interface Connection extends EventTarget {
  saveData?: boolean;
  type?: string;
}

export class SurroundingsWatch {
  readonly #onChange: () => void;
  #battery: Battery | undefined;
  readonly #connection = (navigator as { connection?: Connection }).connection;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", onChange);
    for (const name of ["online", "offline"]) addEventListener(name, onChange);
    this.#connection?.addEventListener("change", onChange);
  }

  // Asks for what the browser tells only when asked. Whether there is a battery to look at.
  async findBattery(): Promise<boolean> {
    try {
      const { getBattery } = navigator as { getBattery?: () => Promise<Battery> };
      this.#battery = await getBattery?.call(navigator);
    } catch {
      this.#battery = undefined;
    }
    this.#battery?.addEventListener("chargingchange", this.#onChange);
    return this.#battery !== undefined;
  }

  get tellsNetwork(): boolean {
    return this.#connection?.saveData !== undefined || this.#connection?.type !== undefined;
  }

  now(dataBytesToday: number): Surroundings {
    const time = new Date();
    const battery = this.#battery;
    return {
      hidden: document.hidden,
      onBattery: battery === undefined ? undefined : !battery.charging,
      metered: this.#isMetered(),
      minute: time.getHours() * 60 + time.getMinutes(),
      dataBytesToday,
    };
  }

  // A mobile network, or one on which its owner has asked to save data.
  #isMetered(): boolean | undefined {
    if (!this.tellsNetwork) return undefined;
    return this.#connection?.saveData === true || this.#connection?.type === "cellular";
  }
}
