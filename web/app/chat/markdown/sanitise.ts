// The second lock: whatever HTML the Markdown gave, only these elements and attributes reach the
// page, and links go to the web or to a mail box.

import DOMPurify from "dompurify";

const tags =
  "p br hr h4 h5 h6 strong em del code pre blockquote ul ol li table thead tbody tr th td a span";

const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  if (!node.hasAttribute("href")) return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});
// Classes are the page's own words.
purify.addHook("uponSanitizeAttribute", (_node, data) => {
  if (data.attrName !== "class") return;
  data.keepAttr = /^(?:language-[\w+#.-]{1,32}|math(?: display)?|hljs-[\w -]{1,64})$/.test(
    data.attrValue,
  );
});

export function sanitise(html: string): DocumentFragment {
  return purify.sanitize(html, {
    ALLOWED_TAGS: tags.split(" "),
    ALLOWED_ATTR: ["href", "title", "class", "align", "start"],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}
