// Importing it defines
//   <shoal-chat coordinator="https://shoal.example" system="Be brief." max-tokens="500">.
export declare class ShoalChat extends HTMLElement {
  // As if it had been written and sent.
  ask(text: string): void;
}
