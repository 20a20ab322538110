// The chat page: one conversation, kept in memory, streamed from the coordinator.

import { byId, el } from "../common/dom.ts";
import { SwarmMap } from "../common/map.ts";
import { watchStatus, type Status } from "../common/status.ts";
import { noticeFor } from "./notice.ts";
import { Conversation } from "./conversation.ts";

const suggestions = [
  "Tell me a story about a dragon.",
  "Tell me a story about a clever fox.",
  "Tell me a story about a girl and the sea.",
];

const form = byId("composer", HTMLFormElement);
const prompt = byId("prompt", HTMLTextAreaElement);
const send = byId("send", HTMLButtonElement);
const stop = byId("stop", HTMLButtonElement);
const temperature = byId("temperature", HTMLInputElement);
const temperatureValue = byId("temperature-value", HTMLOutputElement);
const empty = byId("empty", HTMLElement);
const notice = byId("notice", HTMLElement);
const map = new SwarmMap(byId("map", HTMLElement));

const conversation = new Conversation(byId("log", HTMLElement), {
  options: () => ({ temperature: temperature.valueAsNumber, maxTokens: undefined }),
  onBusy: (busy) => {
    send.hidden = busy;
    stop.hidden = !busy;
    empty.hidden = !conversation.isEmpty;
  },
});

function submit(text: string): void {
  if (text.trim() === "" || conversation.isBusy) return;
  prompt.value = "";
  fitPrompt();
  void conversation.ask(text.trim());
}

// The box grows with its text, up to the height that the style sheet allows.
function fitPrompt(): void {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight + 2}px`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(prompt.value);
});
prompt.addEventListener("input", fitPrompt);
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit(prompt.value);
});
stop.addEventListener("click", () => {
  conversation.stop();
  prompt.focus();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") conversation.stop();
});
temperature.addEventListener("input", () => {
  temperatureValue.value = temperature.valueAsNumber.toFixed(1);
});
byId("clear", HTMLButtonElement).addEventListener("click", () => {
  conversation.clear();
  empty.hidden = false;
  prompt.focus();
});

for (const text of suggestions) {
  const button = el("button", { type: "button", class: "suggestion" }, text);
  button.addEventListener("click", () => submit(text));
  byId("suggestions", HTMLElement).append(button);
}

watchStatus((status: Status | undefined) => {
  map.show(status);
  byId("model", HTMLElement).textContent = status?.model ?? "";
  const holders = status?.volunteers.filter(({ blocks }) => blocks.length > 0);
  conversation.volunteers = holders?.length ?? 0;
  const content = noticeFor(status);
  notice.hidden = content === undefined;
  if (content !== undefined) notice.replaceChildren(...content);
  document.body.dataset["ready"] = String(status?.ready ?? false);
});
