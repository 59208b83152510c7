"""The page in a real browser, as a reader meets it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from support.browser import Browser
from support.page import Service

from medsr.jobs.decisions import decisions
from medsr.jobs.listing import job, jobs
from medsr.jobs.results import result_files

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "vendor" / "axe" / "axe.min.js"


def study(service: Service, task: str) -> str:
    """Id of the held study of a task that the fixture made."""
    found = jobs(service.store, owner="maker", limit=200).items
    return next(item.id for item in found if item.request.parameters["task"] == task)


def opened(browser: Browser, service: Service, task: str) -> str:
    job_id = study(service, task)
    browser.go(f"/review/study/{job_id}?show=all")
    browser.settled()
    return job_id


def test_without_a_session_nothing_is_shown(browser, service):
    browser.driver.delete_all_cookies()
    browser.go(f"/review/study/{study(service, 'denoise')}")
    assert browser.driver.current_url.endswith("/review/login")
    browser.one("#key").send_keys("msr_00_nonsense")
    browser.one("#login button").click()
    browser.until(lambda: "not known" in browser.one("#login-fault").text)


def test_a_scan_is_dropped_watched_approved_and_downloaded(signed_in, service, upload_file):
    browser = signed_in
    before = {item.id for item in jobs(service.store).items}
    browser.drop("#drop", upload_file)
    browser.until(lambda: "scan.nii.gz" in browser.one("#chosen").text)
    browser.script(
        "document.getElementById('modality').value = 'mr'; window.stages = new Set();"
        "new MutationObserver(() => window.stages.add(document.getElementById('stage').textContent))"
        ".observe(document.getElementById('stage'), {childList: true, characterData: true, subtree: true})"
    )
    browser.one("#send").click()
    browser.until(lambda: browser.one("#open").is_displayed(), within_s=60)
    assert browser.one("#stage").text == "Held for review"
    assert {"Uploading", "Queued", "Judging"} <= set(browser.script("return [...window.stages]"))
    made = ({item.id for item in jobs(service.store).items} - before).pop()
    browser.one("#open").click()
    browser.settled()
    assert made in browser.driver.current_url
    approve(browser, "compared slice by slice")
    browser.until(lambda: job(service.store, made).state == "released")
    browser.until(lambda: browser.all(".files a"))
    [decided] = decisions(service.store, made)
    assert decided.reason == "compared slice by slice [original compared: yes]"
    name = next(link.text for link in browser.all(".files a") if link.text.endswith(".nii.gz"))
    browser.one(".files a[href$='.nii.gz']").click()
    target = browser.downloads / name
    browser.until(target.is_file)
    kept = {file.name: file.sha256 for file in result_files(service.store, made)}
    browser.until(lambda: hashlib.sha256(target.read_bytes()).hexdigest() == kept[name])
    assert browser.complaints() == []


def approve(browser: Browser, reason: str) -> None:
    browser.one("[data-decide='released']").click()
    browser.one("input[name='compared'][value='yes']").click()
    browser.one("#reason").send_keys(reason)
    browser.one("#decide-confirm").click()


def test_a_finding_moves_every_picture_to_its_voxel(signed_in, service):
    browser = signed_in
    opened(browser, service, "denoise")
    low, high = browser.script("return window.medsrViewer.scene.findings[0].box")
    browser.script("window.medsrViewer.moveTo([0, 0, 0])")
    browser.one("[data-finding='1']").click()
    browser.settled()
    point = browser.script("return window.medsrViewer.point")
    assert all(start <= at < stop for at, start, stop in zip(point, low, high, strict=True))
    for pane in ("input", "restored", "map", "first-input", "second-restored"):
        box = browser.one(f".pane[data-pane='{pane}'] .marks rect.chosen")
        assert box.is_displayed(), pane
    assert browser.one("[data-finding='1']").get_attribute("aria-current") == "true"
    assert "finding 1" in browser.one("#live").get_attribute("textContent")


def test_input_and_restored_share_window_and_point(signed_in, service):
    browser = signed_in
    opened(browser, service, "denoise")
    wide, high, first = browser.pixels("input")
    assert (wide, high) == tuple(browser.pixels("restored")[:2])
    browser.one("[data-window='3']").click()
    browser.settled()
    brighter = browser.pixels("input")[2]
    assert sum(brighter) > 1.2 * sum(first)
    assert sum(browser.pixels("restored")[2]) == pytest.approx(sum(brighter), rel=0.15)


def test_wheel_zoom_level_and_flicker(signed_in, service):
    browser = signed_in
    opened(browser, service, "denoise")
    pane = browser.one(".pane[data-pane='restored'] .window")
    before = browser.one("#slice").text
    wheel = (
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: arguments[1], ctrlKey: arguments[2], "
        "clientX: 700, clientY: 400, bubbles: true, cancelable: true}))"
    )
    browser.script(wheel, pane, -50 if not before.startswith("4") else 50, False)
    browser.until(lambda: browser.one("#slice").text != before)
    browser.script(wheel, pane, -50, True)
    assert browser.script("return Object.values(window.medsrViewer.views).every((view) => view.zoom > 1.1)")
    low, high = browser.script("return window.medsrViewer.window")
    drag(browser, pane)
    browser.until(lambda: browser.script("return window.medsrViewer.window") != [low, high])
    browser.one("[data-do='flicker']").click()
    browser.until(lambda: browser.one(".pane.restored .tag").text == "INPUT")
    browser.until(lambda: browser.one(".pane.restored .tag").text == "RESTORED · UNVERIFIED")
    browser.one("[data-do='flicker']").click()


def drag(browser: Browser, pane: object) -> None:
    """A drag with the right button."""
    browser.script(
        "const say = (kind, x, y) => arguments[0].dispatchEvent(new PointerEvent(kind, {button: 2, buttons: 2,"
        " clientX: x, clientY: y, pointerId: 1, pointerType: 'mouse', bubbles: true, cancelable: true}));"
        "arguments[0].setPointerCapture = () => {};"
        "say('pointerdown', 700, 400); say('pointermove', 740, 430); say('pointerup', 740, 430)",
        pane,
    )


def test_maps_say_what_is_missing_instead_of_showing_black(signed_in, service):
    browser = signed_in
    opened(browser, service, "denoise")
    browser.one("[data-map='supplied']").click()
    assert "Every voxel was measured" in browser.one(".pane[data-pane='map'] .absent").text
    opened(browser, service, "superres")
    browser.one("[data-map='supplied']").click()
    browser.settled()
    assert browser.one("#legend").is_displayed()
    assert max(browser.pixels("map")[2]) > 100
    browser.one("[data-map='spread']").click()
    assert "run once" in browser.one(".pane[data-pane='map'] .absent").text


def test_no_restored_picture_is_without_its_label(signed_in, service):
    browser = signed_in
    opened(browser, service, "denoise")
    for pane in browser.all(".pane"):
        tag = pane.find_element("css selector", ".tag").text
        assert ("INPUT" if pane.get_attribute("data-pane").endswith("input") else "UNVERIFIED") in tag
    assert "research only" in browser.one(".verdict").text.lower()
    assert "UNVERIFIED: no calibration record" in browser.one(".guarantee").text


def test_enter_alone_never_approves(signed_in, service):
    browser = signed_in
    job_id = opened(browser, service, "denoise")
    body = browser.one("body")
    body.send_keys("a")
    browser.until(lambda: browser.one("#decide").get_attribute("open") is not None)
    assert browser.script("return !document.querySelector('input[name=compared]:checked')")
    for _ in range(4):
        browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.one("#decide-confirm").click()
    assert "Say whether the original was compared" in browser.one("#decide-fault").text
    browser.one("input[value='yes']").click()
    browser.one("#reason").send_keys("compared")
    browser.one("#decide-confirm").send_keys(Keys.ENTER)
    assert job(service.store, job_id).state == "review"
    browser.one("input[value='no']").click()
    browser.one("#decide-confirm").click()
    assert "Compare the original" in browser.one("#decide-fault").text
    assert f"sha256:{job(service.store, job_id).output_sha256[:12]}" in browser.one("#decide").text
    browser.one("#decide-cancel").click()
    assert job(service.store, job_id).state == "review"


def test_two_linked_volumes_are_drawn(signed_in, service):
    browser = signed_in
    opened(browser, service, "superres")
    browser.one("#volumes-button").click()
    browser.until(lambda: browser.one("#volumes").get_attribute("data-ready") == "1", within_s=60)
    drawn = browser.script(
        "return ['volume-input', 'volume-restored'].map((id) => { const canvas = document.getElementById(id);"
        "const small = document.createElement('canvas'); small.width = small.height = 64;"
        "return [canvas.clientWidth <= canvas.parentElement.clientWidth, canvas.width > 100]; })"
    )
    assert drawn == [[True, True], [True, True]]
    assert browser.complaints() == []
    browser.one("#volumes-button").click()


def test_the_page_works_without_webgl2(signed_in, service):
    browser = signed_in
    opened(browser, service, "denoise")
    browser.script("HTMLCanvasElement.prototype.getContext = () => null")
    browser.one("#volumes-button").click()
    browser.until(lambda: "no WebGL2" in browser.one("#volumes-note").text)
    browser.one("#volumes-button").click()
    browser.one("[data-do='slice-on']").click()
    browser.settled()


@pytest.mark.parametrize("page", ["login", "worklist", "study", "decision", "help"])
def test_axe_finds_nothing_serious(signed_in, service, page):
    browser = signed_in
    if page == "login":
        browser.go("/review/login")
    elif page == "worklist":
        browser.go("/review?show=all")
    else:
        opened(browser, service, "denoise")
        if page == "decision":
            browser.one("[data-decide='released']").click()
        if page == "help":
            browser.one("[data-do='help']").click()
    browser.script(AXE.read_text(encoding="utf-8"))
    found = browser.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    serious = [
        f"{item['id']}: {[node['html'][:150] for node in item['nodes']]}"
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768)])
def test_the_study_fits_its_screen(signed_in, service, width, height):
    browser = signed_in
    browser.size(width, height)
    opened(browser, service, "denoise")
    assert browser.script("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
        width,
        height,
    ]
    for selector in (
        "[data-decide='released']",
        "[data-decide='rejected']",
        ".verdict h1",
        "#findings li",
        ".pane.map",
    ):
        place = browser.one(selector).rect
        assert place["x"] >= 0, selector
        assert place["x"] + place["width"] <= width, selector
        assert place["y"] + place["height"] <= height, selector


def test_one_run_by_keyboard_alone(browser, service):
    """Sign in, open, look, jump, decide: no pointer is used."""
    browser.size(1280, 800)
    browser.driver.delete_all_cookies()
    browser.go("/review")
    keys(browser, service.key, Keys.ENTER)
    browser.until(lambda: browser.all("#sign-out"))
    browser.go("/review?show=review")
    keys(browser, "j")
    browser.until(lambda: browser.script("return document.activeElement.matches('a.open')"))
    keys(browser, Keys.ENTER)
    browser.settled()
    first = browser.driver.current_url
    keys(browser, "j")
    browser.until(lambda: browser.driver.current_url != first)
    browser.settled()
    job_id = browser.one("#main").get_attribute("data-job")
    keys(browser, "n", "2", "u", "s", "d", "o", "f", "f", Keys.ARROW_DOWN, "+", "0")
    browser.settled()
    assert browser.script("return [window.medsrViewer.preset, window.medsrViewer.map, window.medsrViewer.opacity]") == [
        2, "difference", 1,
    ]  # fmt: skip
    keys(browser, "?")
    browser.until(lambda: browser.one("#help").get_attribute("open") is not None)
    keys(browser, Keys.ESCAPE)
    browser.until(lambda: browser.one("#help").get_attribute("open") is None)
    keys(browser, "r")
    browser.until(lambda: browser.one("#decide").get_attribute("open") is not None)
    keys(browser, Keys.SPACE, Keys.TAB, "painted in by the model", Keys.TAB, Keys.TAB)
    assert browser.script("return document.activeElement.id") == "decide-confirm"
    keys(browser, Keys.SPACE)
    browser.until(lambda: job(service.store, job_id).state == "rejected")


def keys(browser: Browser, *pressed: str) -> None:
    ActionChains(browser.driver).send_keys(*pressed).perform()
