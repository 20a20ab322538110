// Formulas, set by KaTeX. It comes with its style sheet and fonts when a formula first needs it.

import katex from "katex";
import "katex/dist/katex.min.css";

// In a shadow tree, where the style sheet does not reach, the browser sets MathML itself.
//
// Replaces the TeX in `span` by the formula; what is no TeX stays, marked as such.
export function setFormula(span: Element, tex: string, displayMode: boolean): void {
  katex.render(tex, span as HTMLElement, {
    displayMode,
    output: span.getRootNode() instanceof ShadowRoot ? "mathml" : "htmlAndMathml",
    throwOnError: false,
    strict: "ignore",
    trust: false,
    maxExpand: 500,
    maxSize: 20,
  });
}
