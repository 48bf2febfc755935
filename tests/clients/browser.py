"""A browser whose page is of another origin than the gateway: what scripts may do there, and what they may not.

Environment: GATEWAY (localhost:PORT, by TLS), KEY (a key or a token), BROWSER (the folder of the unpacked browser), GRPC_WEB (the package's index.js).
"""

import json
import os

from playwright.sync_api import Page, sync_playwright

GATEWAY, KEY, BROWSER = f"https://{os.environ['GATEWAY']}", os.environ["KEY"], os.environ["BROWSER"]
# Of the settings, and not.
LISTED, STRANGER = "https://app.example.com", "https://evil.example.com"

FETCH = """async ({ url, headers, body }) => {
  const answer = await fetch(url, { method: body ? "POST" : "GET", headers, body });
  return { status: answer.status, id: answer.headers.get("x-request-id"), body: await answer.json() };
}"""

# Messages by hand: all that is needed of protobuf here is fields of text and nested ones.
MESSAGES = """
  const text = (number, value) => {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    return [(number << 3) | 2, bytes.length, ...bytes];
  };
  const { GrpcWebClientBase, MethodDescriptor, MethodType } = window.grpcWeb;
  const method = (path, type) => new MethodDescriptor(path, type, Object, Object, (message) => new Uint8Array(message), (bytes) => Array.from(bytes));
"""

UNARY = "async ({ gateway, key, model, format }) => {" + MESSAGES + """
  const path = "/inference.GRPCInferenceService/ModelMetadata";
  const client = new GrpcWebClientBase({ format });
  return await new Promise((done) => client.rpcCall(gateway + path, text(1, model), { authorization: "Bearer " + key }, method(path, MethodType.UNARY),
    (error, answer) => done(error ? { code: error.code, message: error.message } : { text: new TextDecoder().decode(new Uint8Array(answer)) })));
}"""

STREAM = "({ gateway, key }) => new Promise((done) => {" + MESSAGES + """
  const path = "/torchmesh.text.v1.GenerationService/Generate";
  const client = new GrpcWebClientBase({ format: "text" });
  // The model, the prompt, and of the settings: 12 tokens at most, at temperature 0.
  const request = [...text(1, "stories"), ...text(4, "Once upon a time"), ...text(6, [0x08, 12, 0x15, 0, 0, 0, 0])];
  let pieces = 0;
  const stream = client.serverStreaming(gateway + path, request, { authorization: "Bearer " + key }, method(path, MethodType.SERVER_STREAMING));
  stream.on("data", () => { pieces += 1; });
  stream.on("error", (error) => done({ code: error.code, message: error.message }));
  stream.on("end", () => done({ pieces }));
})"""


def page_of(browser, origin: str) -> Page:
    """An empty page of an origin."""
    page = browser.new_context(ignore_https_errors=True).new_page()
    page.route(f"{origin}/**", lambda route: route.fulfill(body="<!doctype html><title>app</title>", content_type="text/html"))
    page.goto(f"{origin}/")
    with open(os.environ["GRPC_WEB"]) as file:
        page.evaluate("(source) => { const exports = {}; new Function('exports', source)(exports); window.grpcWeb = exports; }", file.read())
    return page


def scripts_of_a_listed_origin_call_every_door(page: Page) -> None:
    body = json.dumps({"model": "minilm", "input": "A man is eating food."})
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    answer = page.evaluate(FETCH, {"url": f"{GATEWAY}/v1/embeddings", "headers": headers, "body": body})
    assert answer["status"] == 200 and answer["id"] and len(answer["body"]["data"][0]["embedding"]) == 384, answer
    refused = page.evaluate(FETCH, {"url": f"{GATEWAY}/v1/models", "headers": {"authorization": "Bearer wrong"}})
    assert refused["status"] == 401 and refused["body"]["error"]["message"], refused
    for form in ("binary", "text"):
        asked = {"gateway": GATEWAY, "key": KEY, "model": "minilm", "format": form}
        found = page.evaluate(UNARY, asked)
        assert "input_ids" in found.get("text", ""), (form, found)
        missing = page.evaluate(UNARY, {**asked, "model": "nope"})
        assert missing["code"] == 5 and "nope" in missing["message"], missing
        unknown = page.evaluate(UNARY, {**asked, "key": "wrong"})
        assert unknown["code"] == 16, unknown
    written = page.evaluate(STREAM, {"gateway": GATEWAY, "key": KEY})
    assert written.get("pieces", 0) >= 2, written


def scripts_of_others_learn_nothing(page: Page) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    tried = "async (asked) => { try { await (" + FETCH + ")(asked); return 'answered'; } catch (error) { return error.name; } }"
    for asked in ({"url": f"{GATEWAY}/v1/models", "headers": headers}, {"url": f"{GATEWAY}/v1/models", "headers": {}}):
        assert page.evaluate(tried, asked) == "TypeError", asked


def main() -> None:
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{BROWSER}/lib:{BROWSER}", "FONTCONFIG_FILE": f"{BROWSER}/fonts.conf"}
    # The pages are nowhere on the network, and the gateway is on this machine: what browsers ask people about that is not what is tried here.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-features=LocalNetworkAccessChecks"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=f"{BROWSER}/chromium", args=arguments, env=environment)
        scripts_of_a_listed_origin_call_every_door(page_of(browser, LISTED))
        scripts_of_others_learn_nothing(page_of(browser, STRANGER))
        browser.close()
    print("the browser is content")


if __name__ == "__main__":
    main()
