// The script of the portal: copying code, pages that read themselves again, and the playground. Every page but the playground works without it.
"use strict";

for (const button of document.querySelectorAll("button.copy")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

const live = document.getElementById("live");
if (live) setInterval(() => again(live), Number(live.dataset.again) * 1000);

/** Reads the page again and takes over what has changed; what somebody has opened or is at stays so. */
async function again(live) {
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (!fresh) return;
    const opened = [...live.querySelectorAll("details")].map((details) => details.open);
    fresh.querySelectorAll("details").forEach((details, at) => { details.open = opened[at] ?? false; });
    live.replaceChildren(...fresh.childNodes);
  } catch {
    // Whoever is away is asked again.
  }
}

const desk = document.getElementById("playground");
if (desk) playground(desk);

function playground(desk) {
  const find = (id) => document.getElementById(id);
  const words = desk.dataset;
  const model = find("play-model");

  /** Shows what is for the model's task. */
  function choose() {
    const task = model.selectedOptions[0].dataset.task;
    for (const part of desk.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== task;
  }
  model.addEventListener("change", choose);
  choose();

  /** An element with a text, never with markup. */
  function make(name, className, text) {
    const element = document.createElement(name);
    element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  async function send(path, body, type, signal) {
    const answer = await fetch("/playground/send/" + path, {
      method: "POST", body, signal, headers: { "content-type": type, "x-csrf-token": words.csrf },
    });
    if (!answer.ok) throw new Error(await failure(answer));
    return answer;
  }

  /** What a refusal says, in whichever form it is said. */
  async function failure(answer) {
    try {
      const told = await answer.json();
      const error = told.error ?? told;
      return error.message ?? (typeof error === "string" ? error : words.failed);
    } catch {
      return words.failed;
    }
  }

  /** The events of a stream, as objects. */
  async function* events(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      waiting += value.replace(/\r\n/g, "\n");
      for (let end = waiting.indexOf("\n\n"); end >= 0; end = waiting.indexOf("\n\n")) {
        const data = waiting.slice(0, end).split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
        waiting = waiting.slice(end + 2);
        if (data && data !== "[DONE]") yield JSON.parse(data);
      }
    }
  }

  // Conversations

  const talk = find("play-talk"), message = find("play-message"), stop = find("play-stop"), figures = find("play-figures");
  let turns = [], running = null;

  function turn(role, text) {
    talk.querySelector(".begin")?.remove();
    const element = make("div", "turn " + role);
    const said = make("div", "said", text);
    element.append(make("div", "who", role === "user" ? words.you : words.model), said);
    talk.append(element);
    talk.scrollTop = talk.scrollHeight;
    return said;
  }

  async function answer(said) {
    const began = performance.now();
    const system = find("play-system").value.trim();
    const body = {
      model: model.value, stream: true, stream_options: { include_usage: true },
      temperature: Number(find("play-temperature").value), max_tokens: Number(find("play-tokens").value),
      messages: (system ? [{ role: "system", content: system }] : []).concat(turns),
    };
    let tokens = 0;
    for await (const event of events(await send("chat", JSON.stringify(body), "application/json", running.signal))) {
      if (event.error) throw new Error(event.error.message ?? words.failed);
      const piece = event.choices?.[0]?.delta?.content ?? "";
      said.textContent += piece;
      if (piece) tokens += 1;
      if (event.usage) tokens = event.usage.completion_tokens;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      figures.textContent = words.figures.replace("{tokens}", tokens).replace("{seconds}", seconds);
      talk.scrollTop = talk.scrollHeight;
    }
  }

  find("play-chat").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = message.value.trim();
    if (!text || running) return;
    // Clearing begins another conversation, which this answer is no part of.
    const mine = turns;
    let isGood = true;
    running = new AbortController();
    stop.hidden = false;
    message.value = "";
    mine.push({ role: "user", content: text });
    turn("user", text);
    const said = turn("assistant", "");
    said.classList.add("waiting-for");
    try {
      await answer(said);
    } catch (error) {
      if (error.name === "AbortError") {
        if (mine === turns) figures.textContent = words.left;
      } else {
        isGood = false;
        said.parentElement.classList.add("broken");
        said.textContent += error.message;
      }
    }
    said.classList.remove("waiting-for");
    // A question without an answer is not told again: a message of ours is no answer.
    if (isGood && said.textContent) mine.push({ role: "assistant", content: said.textContent });
    else mine.pop();
    running = null;
    stop.hidden = true;
    message.focus();
  });
  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      find("play-chat").requestSubmit();
    }
  });
  stop.addEventListener("click", () => running?.abort());
  find("play-clear").addEventListener("click", () => {
    running?.abort();
    turns = [];
    talk.replaceChildren();
    figures.textContent = "";
    message.focus();
  });

  // Everything that answers at once

  function once(form, result, ask) {
    find(form).addEventListener("submit", async (event) => {
      event.preventDefault();
      const place = find(result), button = event.submitter;
      if (button) button.disabled = true;
      place.classList.remove("broken");
      try {
        place.replaceChildren(...(await ask()));
      } catch (error) {
        place.classList.add("broken");
        place.replaceChildren(make("p", "", error.message));
      }
      if (button) button.disabled = false;
    });
  }

  function scores(told) {
    return told.outputs[0].labels.slice(0, 10).map(({ label, score }) => {
      const line = make("div", "score");
      const bar = make("progress", "");
      bar.max = 1;
      bar.value = score;
      bar.setAttribute("aria-label", label);
      line.append(make("span", "", label), bar, make("span", "number", (score * 100).toFixed(1) + "%"));
      return line;
    });
  }

  const task = () => "task/" + encodeURIComponent(model.value);
  once("play-embed", "play-embed-result", async () => {
    const body = JSON.stringify({ model: model.value, input: find("play-embed-text").value });
    const told = await (await send("embed", body, "application/json")).json();
    const vector = told.data[0].embedding;
    const shown = vector.slice(0, 24).map((number) => number.toFixed(4)).join("  ") + " …";
    return [make("p", "", words.vector.replace("{count}", vector.length)), make("pre", "", shown)];
  });
  once("play-classify", "play-classify-result", async () => {
    const body = JSON.stringify({ inputs: [find("play-classify-text").value] });
    return scores(await (await send(task(), body, "application/json")).json());
  });
  once("play-image", "play-image-result", async () => {
    const file = find("play-image-file").files[0];
    return scores(await (await send(task(), file, file.type)).json());
  });
}
