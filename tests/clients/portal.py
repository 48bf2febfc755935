"""The portal in a real browser: somebody signs up, makes a key, tries a model and sees the usage of it, and sets up a second factor; an operator brings out a version and takes it back; and every page is looked at by axe-core,
in light and in dark, in every language.

Environment: PORTAL and GATEWAY (HOST:PORT), OUTBOX (the folder of the letters), CHAT, EMBED and ROLLED (models), BILLED (what the oldest invoice comes to), BROWSER (the folder of the unpacked browser), AXE (axe.min.js), SHOTS (a folder for
pictures).
"""

import base64
import glob
import hashlib
import hmac
import json
import os
import re
import struct
import time
import urllib.request

from playwright.sync_api import Browser, Page, sync_playwright

PORTAL, GATEWAY, SHOTS = f"http://{os.environ['PORTAL']}", f"http://{os.environ['GATEWAY']}", os.environ["SHOTS"]
EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
# How long usage may take to be shown, and how long a page or a model may.
SHOWN_WITHIN, PATIENCE_MS = 10.0, 60_000

PUBLIC = ["/", "/models", f"/models/{os.environ['CHAT']}", "/docs", "/docs/python", "/sign-in", "/sign-up", "/forgotten", "/letters/verify?token=x", "/letters/invite?token=x", "/nowhere"]
INSIDE = [
    "/console", "/console/keys", "/console/keys/new", "/console/usage", "/console/billing", "/console/budgets", "/console/budgets/monthly", "/console/budgets/monthly/remove",
    "/console/statements", "/console/members", "/console/listings", "/console/webhooks", "/console/webhooks/new", "/console/changes", "/console/privacy", "/console/security", "/playground",
    "/operator", "/operator/traffic", "/operator/routes", "/operator/rollouts", "/operator/tenants", "/operator/tenants/acme", "/operator/plans", "/operator/listings", f"/operator/listings/{os.environ['CHAT']}", "/operator/changes",
]
VIOLATIONS = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => [one.id, one.impact, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + " " + node.failureSummary.slice(0, 200))]);
}"""


def letter(purpose: str) -> str:
    """The path that the newest letter with this purpose leads to."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for file in sorted(glob.glob(os.path.join(os.environ["OUTBOX"], "*.eml")), reverse=True):
            with open(file, encoding="utf-8", newline="") as opened:
                found = re.search(rf"http://portal\.test(/letters/{purpose}\?token=\S+)", opened.read())
            if found:
                return found.group(1)
        time.sleep(0.05)
    raise AssertionError(f"no letter to {purpose}")


def sign_up_and_in(page: Page) -> None:
    page.goto(f"{PORTAL}/")
    page.get_by_role("link", name="Get started").click()
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Tenant name").fill("acme")
    page.get_by_label("Name for people").fill("Acme Ltd")
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("heading", name="Look into your letter box").wait_for()
    page.goto(PORTAL + letter("verify"))
    page.get_by_role("button", name="Confirm address").click()
    page.get_by_text("Your address is confirmed").wait_for()
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def code(secret: str, steps: int) -> str:
    """What an authenticator shows, so many steps of thirty seconds from now (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    tag = hmac.new(base64.b32decode(secret.replace(" ", "")), counter, hashlib.sha1).digest()
    at = tag[-1] & 15
    return f"{(struct.unpack('>I', tag[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def set_up_a_second_factor(page: Page) -> None:
    page.goto(f"{PORTAL}/console/security")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Set up").click()
    page.get_by_role("img", name="QR code").wait_for()
    page.screenshot(path=f"{SHOTS}/second-factor.png", full_page=True)
    secret = page.locator(".code code").first.inner_text()
    page.get_by_label("Code", exact=True).fill(code(secret, 0))
    page.get_by_role("button", name="Confirm").click()
    page.get_by_text("Keep these recovery codes").wait_for()
    assert len(page.locator(".code code").first.inner_text().split()) == 10
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("banner").get_by_role("link", name="Sign in").click()
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    # A code is good once; the next one is good half a minute early.
    page.get_by_label("Code", exact=True).fill(code(secret, 1))
    page.evaluate(open(os.environ["AXE"], encoding="utf-8").read())
    violations = page.evaluate(VIOLATIONS)
    assert not violations, violations
    page.screenshot(path=f"{SHOTS}/code.png", full_page=True)
    page.locator("main").get_by_role("button", name="Sign in").first.click()
    page.get_by_role("heading", name="Overview").wait_for()


def make_a_key(page: Page) -> str:
    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name").fill("search")
    page.get_by_role("button", name="Create key").click()
    secret = page.locator(".code code").first.inner_text().strip()
    assert secret.startswith("tm_"), secret
    page.get_by_role("link", name="I have copied it").click()
    assert secret not in page.content(), "a secret is shown once"
    return secret


def talk(page: Page) -> None:
    page.goto(f"{PORTAL}/playground?model={os.environ['CHAT']}")
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Most tokens").fill("24")
    page.evaluate(
        """() => { window.seen = new Set(); new MutationObserver(() => {
          const said = document.querySelector(".turn.assistant .said"); if (said) window.seen.add(said.textContent);
        }).observe(document.getElementById("play-talk"), { childList: true, subtree: true, characterData: true }); }"""
    )
    page.get_by_label("Your message").fill("What is the capital of France?")
    page.get_by_role("button", name="Send").click()
    page.locator("#play-stop").wait_for(state="visible", timeout=PATIENCE_MS)
    page.locator("#play-stop").wait_for(state="hidden", timeout=PATIENCE_MS)
    said = page.locator(".turn.assistant .said").inner_text()
    assert "Paris" in said and not page.locator(".turn.broken").count(), said
    assert page.evaluate("window.seen.size") > 3, "the answer came in pieces"
    page.screenshot(path=f"{SHOTS}/playground-chat.png", full_page=True)
    page.get_by_label("Model").select_option(os.environ["EMBED"])
    page.get_by_role("button", name="Embed").click()
    page.get_by_text("384 numbers").wait_for(timeout=PATIENCE_MS)


def embed(secret: str) -> None:
    body = json.dumps({"model": os.environ["EMBED"], "input": "A man is eating food."}).encode()
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{GATEWAY}/v1/embeddings", body, headers), timeout=30) as answer:
        assert answer.status == 200


def usage_appears(page: Page, secret: str) -> None:
    embed(secret)
    called = time.monotonic()
    while True:
        page.goto(f"{PORTAL}/console/usage?days=7&by=key")
        if page.get_by_role("row", name="acme/search").count():
            break
        assert time.monotonic() - called < SHOWN_WITHIN, "the usage is not shown in time"
    print(f"usage was shown after {time.monotonic() - called:.1f} s")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    with open(download.value.path(), encoding="utf-8") as file:
        assert "acme/search" in file.read()


def is_billed(page: Page) -> None:
    """An invoice comes in its time, and is right to the cent in each of its forms."""
    until, invoices = time.monotonic() + PATIENCE_MS / 1000, page.get_by_role("link", name="INV-000001")
    page.goto(f"{PORTAL}/console/billing")
    while not invoices.count():
        assert time.monotonic() < until, "there is no invoice"
        page.reload()
    invoices.first.click()
    page.get_by_text(os.environ["BILLED"]).first.wait_for()
    page.screenshot(path=f"{SHOTS}/invoice.png", full_page=True)
    for form, begin in (("PDF", b"%PDF"), ("JSON", b"{")):
        with page.expect_download() as download:
            page.get_by_role("link", name=form).click()
        with open(download.value.path(), "rb") as file:
            content = file.read()
        assert content.startswith(begin), form
        assert form != "JSON" or f'"{os.environ["BILLED"]}' in content.decode(), content


def is_told(page: Page) -> list:
    """A budget and a webhook are set up; the pages of the webhook."""
    page.goto(f"{PORTAL}/console/budgets")
    page.get_by_label("Name").fill("monthly")
    page.get_by_label("Limit").fill("60.00")
    page.get_by_role("button", name="Save budget").click()
    page.get_by_text("The budget is saved").wait_for()
    page.get_by_role("progressbar").wait_for()
    page.goto(f"{PORTAL}/console/webhooks/new")
    page.get_by_label("Address").fill("http://127.0.0.1:9/hooks")
    page.get_by_label("What it is for").fill("the books")
    page.get_by_label("Every event").uncheck()
    page.get_by_label("invoice.issued").check()
    page.get_by_role("button", name="Create webhook").click()
    page.evaluate(open(os.environ["AXE"], encoding="utf-8").read())
    violations = page.evaluate(VIOLATIONS)
    assert not violations, violations
    page.screenshot(path=f"{SHOTS}/webhook-secret.png", full_page=True)
    secret = page.locator(".code code").first.inner_text().strip()
    assert secret.startswith("whsec_"), secret
    page.get_by_role("link", name="I have copied it").click()
    assert secret not in page.content(), "a secret is shown once"
    path = page.url.removeprefix(PORTAL)
    page.get_by_role("button", name="Send a test").click()
    page.get_by_text("A test is on its way").wait_for()
    return [path, f"{path}/rotate", f"{path}/remove"]


def bring_out_and_take_back(page: Page) -> None:
    model = os.environ["ROLLED"]
    page.goto(f"{PORTAL}/operator/routes")
    page.get_by_label("Routes (TOML)").fill(f'[[route]]\nmodel = "{model}"\nto = [{{ version = "1" }}]\ncolour = "red"\n')
    page.get_by_role("button", name="Only check").click()
    page.get_by_role("alert").wait_for()
    page.get_by_label("Routes (TOML)").fill(f'[[route]]\nmodel = "{model}"\nto = [{{ version = "1" }}]\n')
    page.get_by_role("button", name="Replace the routes").click()
    page.get_by_text("The routes are replaced").wait_for()
    page.goto(f"{PORTAL}/operator/rollouts")
    page.get_by_label("Model").fill(model)
    page.get_by_label("New version").fill("2")
    page.get_by_label("Steps").fill("10, 50, 100")
    page.get_by_label("Time of a step").fill("10m")
    page.get_by_role("button", name="Start rollout").click()
    page.get_by_text("The rollout has started").wait_for()
    page.get_by_role("button", name=f"Pause {model}").click()
    page.get_by_text("The rollout is paused").wait_for()
    page.screenshot(path=f"{SHOTS}/rollout.png", full_page=True)
    page.get_by_role("button", name=f"Resume {model}").click()
    page.get_by_role("button", name=f"Roll back {model}").click()
    page.get_by_text("The rollout is rolled back").wait_for()
    page.goto(f"{PORTAL}/operator/routes")
    assert 'version = "1", weight = 100' in page.get_by_label("Routes (TOML)").input_value(), page.get_by_label("Routes (TOML)").input_value()


def watch_traffic(page: Page, secret: str) -> None:
    """The page follows what goes on without being loaded again."""
    page.goto(f"{PORTAL}/operator/traffic")
    page.locator(".map .place", has_text=os.environ["EMBED"]).wait_for()
    calls, until = 0, time.monotonic() + 60
    while calls == 0 and time.monotonic() < until:
        embed(secret)
        calls = float(page.locator("#live .tile dd").first.text_content())
    assert calls > 0, "no calls were seen"
    page.locator("#live .charts figure").nth(2).wait_for(timeout=90_000)
    assert page.locator("#live .charts .drawn").count() >= 3
    page.screenshot(path=f"{SHOTS}/traffic.png", full_page=True)


def look_at(page: Page, paths: list, theme: str, language: str, who: str) -> int:
    for path in paths:
        page.goto(PORTAL + path)
        page.evaluate(open(os.environ["AXE"], encoding="utf-8").read())
        violations = page.evaluate(VIOLATIONS)
        assert not violations, f"{path} in {theme}, {language}: {json.dumps(violations, indent=1, ensure_ascii=False)}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} wider than its window"
        # An id is another one in each run.
        named = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4,12}){4}", "one", path.split("?")[0].strip("/"))
        name = re.sub(r"\W+", "-", named) or "home"
        page.screenshot(path=f"{SHOTS}/{who}-{name}-{theme}-{language}.png", full_page=True)
    return len(paths)


def everybody_can_use_it(browser: Browser, state: dict, more: list) -> None:
    looked, inside = 0, INSIDE + more
    for theme in ("light", "dark"):
        for language in ("en", "zh-CN"):
            for who, paths in (("public", PUBLIC), ("member", inside)):
                context = browser.new_context(
                    color_scheme=theme, locale=language, bypass_csp=False, storage_state=state if who == "member" else None, viewport={"width": 1280, "height": 800}
                )
                looked += look_at(context.new_page(), paths, theme, language, who)
                context.close()
    narrow = browser.new_context(viewport={"width": 390, "height": 844}, storage_state=state)
    looked += look_at(narrow.new_page(), PUBLIC[:5] + inside, "narrow", "en", "member")
    print(f"axe-core looked at {looked} pages")


def main() -> None:
    browser_folder = os.environ["BROWSER"]
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{browser_folder}/lib:{browser_folder}", "FONTCONFIG_FILE": f"{browser_folder}/fonts.conf"}
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=f"{browser_folder}/chromium", args=arguments, env=environment)
        context = browser.new_context(locale="en", viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(20_000)
        mistakes = []
        page.on("console", lambda said: mistakes.append(said.text) if said.type == "error" and "status of" not in said.text else None)
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.on("request", lambda asked: mistakes.append(asked.url) if not asked.url.startswith((PORTAL, "data:", "blob:")) else None)
        sign_up_and_in(page)
        secret = make_a_key(page)
        talk(page)
        usage_appears(page, secret)
        is_billed(page)
        watched = is_told(page)
        bring_out_and_take_back(page)
        watch_traffic(page, secret)
        set_up_a_second_factor(page)
        everybody_can_use_it(browser, context.storage_state(), watched)
        assert not mistakes, mistakes
        browser.close()
    print("the browser is content")


if __name__ == "__main__":
    main()
