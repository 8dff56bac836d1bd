  // Copying works without the clipboard interface too: the text is selected for the reader to copy.
  for (const button of all(".copy")) button.addEventListener("click", async () => {
    const from = button.closest("article, blockquote").querySelector("pre, #headline");
    const say = button.querySelector("span");
    try {
      await navigator.clipboard.writeText(from.textContent);
      say.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(from);
      say.textContent = "Selected";
    }
  });
