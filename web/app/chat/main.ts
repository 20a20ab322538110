// The chat page: wires the conversation on show, the list of conversations, the message box and the
// picture of the swarm.

import { ownStorage } from "../common/access.ts";
import { byId, el, setText } from "../common/dom.ts";
import { icon } from "../common/icons.ts";
import { SwarmPicture } from "../common/picture.ts";
import { watchStatus, type Status } from "../common/status.ts";
import { AnswerPicture } from "./answer_picture.ts";
import { ownKey } from "./api.ts";
import { Composer } from "./composer.ts";
import { download } from "./download.ts";
import { Library } from "./library.ts";
import { loadMarkdown } from "./message_view.ts";
import { noticeFor } from "./notice.ts";
import { SettingsDialog } from "./settings_dialog.ts";
import { lastSettings, rememberSettings } from "./settings.ts";
import { Sidebar } from "./sidebar.ts";
import { bindShortcuts, SidebarDrawer } from "./shell.ts";
import { openStore } from "./store.ts";
import { SwarmStrip } from "./strip.ts";
import { Thread } from "./thread.ts";
import { Toast } from "./toast.ts";
import { fileNameOf, fromJson, limits, toJson, toMarkdown } from "./transfer.ts";
import { newConversation, type Conversation } from "./tree.ts";

const suggestions = [
  "Tell me a story about a dragon.",
  "Tell me a story about a clever fox.",
  "Tell me a story about a girl and the sea.",
];

const storage = ownStorage();

// Before the address names a chat instead.
ownKey();

const toast = new Toast();
const strip = new SwarmStrip();
const picture = new AnswerPicture();
const emptyPicture = new SwarmPicture(byId("empty-picture", HTMLElement), {
  lanesMax: 5,
  heightMaxPx: 110,
});
const drawer = new SidebarDrawer();
const announcer = byId("announcer", HTMLElement);
let tabs = 0;

const library = new Library(openStore(), {
  onList: (heads) => showList(heads),
  onElsewhere: (id) => void onElsewhere(id),
  onProblem: (detail) => toast.show(detail),
});

const thread = new Thread(
  {
    log: byId("log", HTMLElement),
    origin: "",
    onChange: (conversation, isWhole) => library.save(conversation, isWhole),
    onShow,
    onProgress: (pieces) => (picture.progress = pieces),
    companion: picture.element,
    announce: (text) => setText(announcer, text),
    tabs: () => tabs,
  },
  fresh(),
);

const composer = new Composer({
  send: (text, attachments) => thread.ask(text, attachments),
  stop: () => thread.stop(),
  editLast: () => thread.editLast(),
});

const sidebar = new Sidebar({
  choose: (id) => void choose(id),
  rename: (id, title) => void rename(id, title),
  remove: (id) => void remove(id),
  exportOne: (id, format) => void exportOne(id, format),
});

const settings = new SettingsDialog((chosen) => {
  const { conversation } = thread;
  conversation.settings = chosen;
  rememberSettings(storage, chosen);
  if (conversation.turns.length > 0) library.save(conversation, true);
  onShow();
});

type Heads = Parameters<Sidebar["show"]>[0];
let heads: Heads = [];

function showList(list: Heads): void {
  heads = list;
  sidebar.show(heads, thread.conversation.id, (id) => thread.isAnswering(id));
}

function fresh(): Conversation {
  return newConversation(lastSettings(storage), Date.now());
}

function onShow(): void {
  const { conversation, isBusy } = thread;
  composer.busy = isBusy;
  byId("empty", HTMLElement).hidden = conversation.turns.length > 0 || isBusy;
  byId("log", HTMLElement).setAttribute("aria-busy", String(isBusy));
  document.title = conversation.title === "" ? "Shoal" : `${conversation.title} \u00b7 Shoal`;
  const hasSystem = conversation.settings.system.trim() !== "";
  byId("system-mark", HTMLElement).hidden = !hasSystem;
  // So that a page that is loaded again goes on where it was.
  const hash = conversation.turns.length > 0 ? `#${conversation.id}` : "";
  if (location.hash !== hash) history.replaceState(null, "", location.pathname + hash);
  showList(heads);
}

// --- Conversations -------------------------------------------------------------------------------

function startNew(): void {
  thread.show(fresh());
  drawer.close();
  composer.focus();
}

async function choose(id: string): Promise<void> {
  const conversation = await library.load(id);
  if (conversation === undefined) return toast.show("That chat is not here any more.");
  thread.show(conversation);
  drawer.close();
  composer.focus();
}

async function onElsewhere(id: string): Promise<void> {
  if (id !== thread.conversation.id || thread.isBusy) return;
  const conversation = await library.load(id);
  if (conversation !== undefined && !thread.isBusy && id === thread.conversation.id) {
    thread.show(conversation);
  }
}

async function rename(id: string, title: string): Promise<void> {
  const isShown = id === thread.conversation.id;
  const conversation = isShown ? thread.conversation : await library.load(id);
  if (conversation === undefined) return;
  conversation.title = title;
  library.save(conversation, true);
  if (isShown) onShow();
}

async function remove(id: string): Promise<void> {
  const conversation = await library.load(id);
  thread.drop(id);
  await library.remove(id);
  if (id === thread.conversation.id) startNew();
  if (conversation === undefined) return;
  toast.show("Chat deleted.", "Undo", () => {
    library.save(conversation, true);
    void choose(id);
  });
}

async function exportOne(id: string, format: "json" | "md"): Promise<void> {
  const conversation = await library.load(id);
  if (conversation === undefined) return;
  const name = fileNameOf(conversation.title, format);
  if (format === "md") download(name, toMarkdown(conversation), "text/markdown");
  else download(name, toJson([conversation]), "application/json");
}

async function exportAll(): Promise<void> {
  const conversations = await library.all();
  if (conversations.length === 0) return toast.show("There are no chats to export yet.");
  download("shoal-chats.json", toJson(conversations), "application/json");
}

async function importFile(file: File): Promise<void> {
  try {
    if (file.size > limits.fileBytes) throw new Error("The file is larger than 64 MB.");
    const conversations = fromJson(await file.text());
    for (const conversation of conversations) library.save(conversation, false);
    const first = conversations[0];
    if (first !== undefined) await choose(first.id);
    await library.refresh();
    const count = conversations.length;
    toast.show(count === 1 ? "One chat imported." : `${count} chats imported.`);
  } catch (thrown) {
    toast.show((thrown as Error).message);
  }
}

// --- Controls ------------------------------------------------------------------------------------

byId("new-chat", HTMLButtonElement).prepend(icon("plus"));
byId("new-chat", HTMLButtonElement).addEventListener("click", startNew);
byId("export-all", HTMLButtonElement).addEventListener("click", () => void exportAll());
const importInput = byId("import-input", HTMLInputElement);
byId("import", HTMLButtonElement).addEventListener("click", () => importInput.click());
importInput.addEventListener("change", () => {
  const file = importInput.files?.[0];
  importInput.value = "";
  if (file !== undefined) void importFile(file);
});
const settingsButton = byId("open-settings", HTMLButtonElement);
settingsButton.prepend(icon("gear"));
settingsButton.addEventListener("click", () => settings.open(thread.conversation.settings));
bindShortcuts({ startNew, stop: () => thread.stop(), focusPrompt: () => composer.focus() });

for (const text of suggestions) {
  const button = el("button", { type: "button", class: "suggestion" }, text);
  button.addEventListener("click", () => composer.submit(text));
  byId("suggestions", HTMLElement).append(button);
}

watchStatus((status: Status | undefined) => {
  strip.show(status);
  picture.show(status);
  emptyPicture.show(status);
  setText(byId("model", HTMLElement), status?.model ?? "");
  const holders = status?.volunteers.filter(({ blocks }) => blocks.length > 0);
  tabs = holders?.length ?? 0;
  const notice = byId("notice", HTMLElement);
  const content = noticeFor(status);
  notice.hidden = content === undefined;
  if (content !== undefined) notice.replaceChildren(...content);
  document.body.dataset["ready"] = String(status?.ready ?? false);
});

const wanted = location.hash.slice(1);
await library.refresh();
if (/^[\w-]{1,64}$/.test(wanted) && heads.some(({ id }) => id === wanted)) await choose(wanted);
else thread.show(thread.conversation);
if (!(await library.isKept())) {
  toast.show("This browser keeps nothing here: chats end with the tab.");
}
// Before it is needed, but after the page is there.
if ("requestIdleCallback" in window) requestIdleCallback(() => void loadMarkdown());
