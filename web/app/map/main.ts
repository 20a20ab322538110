// The live map: the model's blocks across, the volunteers down.

import { byId, setText } from "../common/dom.ts";
import { SwarmMap } from "../common/map.ts";
import { watchStatus } from "../common/status.ts";

const map = new SwarmMap(byId("map", HTMLElement));

watchStatus((status) => {
  map.show(status);
  setText(byId("model", HTMLElement), status?.model ?? "");
});
