//! The page in a real browser: two windows meet, and what they show is true.

use std::net::SocketAddr;
use std::process::Command;

use crate::browser::{Browser, Page};
use crate::harness::{Program, peer, tracker};

/// Set to a folder, it gets pictures of the page.
const PICTURES: &str = "WINDOW_PICTURES";

fn take_pictures(browser: &mut Browser, pages: &[(&str, &Page)]) {
    let Some(folder) = std::env::var_os(PICTURES).map(std::path::PathBuf::from) else { return };
    for (name, page) in pages {
        for scheme in ["light", "dark"] {
            browser.set_scheme(page, scheme);
            std::fs::write(folder.join(format!("{name}-{scheme}.png")), browser.picture(page)).unwrap();
        }
    }
}

/// A window, and its address.
pub fn window(tracker: SocketAddr, name: &str, flags: &[&str]) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_window"));
    command.args(["--port", "0", "--tracker", &tracker.to_string(), "--bind", "127.0.0.1:0", "--name", name]);
    let program = Program::start(command.args(flags));
    let line = program.wait_for_output("Open ");
    (program, line.strip_prefix("Open ").unwrap().to_owned())
}

fn say(browser: &mut Browser, page: &Page, line: &str) {
    browser.wait_for(page, "!document.getElementById('line').disabled");
    let typed = line.replace('\'', "\\'");
    browser.read(page, &format!("document.getElementById('line').value = '{typed}'"));
    browser.read(page, "document.getElementById('say').click()");
}

/// Whether the chat has this, so often.
fn has(text: &str, count: usize) -> String {
    format!("document.getElementById('chat').innerText.split('{text}').length - 1 === {count}")
}

#[test]
fn two_windows_meet_and_show_all_that_passes_between_them() {
    let Some(mut browser) = Browser::open() else {
        return println!("skipped: the page is not looked at, for there is no Chromium");
    };
    let (_tracker, address) = tracker(&["--forever"]);
    let (_alice, to_alice) = window(address, "alice", &["--loss", "30"]);
    let (mut bob, to_bob) = window(address, "bob", &["--loss", "20", "--reorder", "50"]);
    let (alice, bobs) = (browser.visit(&to_alice, [1200, 800]), browser.visit(&to_bob, [400, 800]));

    for number in 1..=5 {
        say(&mut browser, &alice, &format!("from alice {number}"));
        say(&mut browser, &bobs, &format!("from bob {number}"));
    }
    for number in 1..=5 {
        browser.wait_for(&alice, &has(&format!("bob: from bob {number}"), 1));
        browser.wait_for(&bobs, &has(&format!("alice: from alice {number}"), 1));
    }
    browser.wait_for(&alice, &has("✓ bob", 5));
    browser.wait_for(&bobs, &has("✓ alice", 5));
    browser.wait_for(&alice, "document.querySelectorAll('#peers button').length === 1");
    assert_eq!(browser.read(&alice, "document.querySelector('#peers button').innerText"), "bob");

    // An arrow for each message of the trace, and a cross for each loss.
    browser.wait_for(&alice, "document.querySelectorAll('#rows .Talk .message').length >= 10");
    browser.wait_for(&alice, "document.querySelectorAll('#rows .Reach .message').length >= 2");
    browser.wait_for(&alice, "document.querySelectorAll('#rows .lost .cross').length >= 1");
    browser.wait_for(&alice, "document.querySelectorAll('#rows .again').length >= 1");
    browser.read(&alice, "document.querySelector('#rows .Talk .message').dispatchEvent(new Event('click'))");
    browser.wait_for(&alice, "/bytes with the line feed/.test(document.getElementById('bytes').innerText)");

    take_pictures(&mut browser, &[("wide", &alice), ("narrow", &bobs)]);

    // Text is text.
    say(&mut browser, &bobs, "<img src=x onerror=document.title=1><b>bold</b>");
    browser.wait_for(&alice, &has("<b>bold</b>", 1));
    assert_eq!(browser.read(&alice, "document.querySelectorAll('#chat img, #chat b').length"), "0");
    assert_eq!(browser.read(&alice, "document.title"), "alice - p2p-chat");

    // What was meant for one who is not here is said to nobody.
    say(&mut browser, &alice, "@carol psst");
    browser
        .wait_for(&alice, "/nobody here is called carol/.test(document.getElementById('status').innerText)");
    say(&mut browser, &alice, "//a word with a slash");
    browser.wait_for(&bobs, &has("alice: /a word with a slash", 1));
    browser.wait_for(&bobs, &has("psst", 0));

    // What is hidden is not shown, what is cleared is gone, and a reload brings the chat back.
    browser.read(&alice, "document.querySelector('input[value=Talk]').click()");
    browser.wait_for(&alice, "getComputedStyle(document.querySelector('#rows .Talk')).display === 'none'");
    browser.read(&alice, "document.getElementById('clear').click()");
    assert_eq!(browser.read(&alice, "document.querySelectorAll('#rows .Meet').length"), "0");
    browser.read(&alice, "document.querySelector('input[value=Talk]').click()");
    browser.wait_for(
        &alice,
        "getComputedStyle(document.querySelector('input[value=Talk]').parentElement).display !== 'none'",
    );
    browser.reload(&alice);
    browser.wait_for(&alice, &has("bob: from bob 5", 1));
    browser.wait_for(&alice, &has("✓ bob", 6));

    // The sliders act, on a peer that runs.
    let slide = "const one = document.getElementById('loss'); one.value = 100; one.dispatchEvent(new Event('change'))";
    browser.read(&alice, &format!("(() => {{ {slide} }})()"));
    browser.wait_for(&alice, &has("from now on 100 % are lost", 1));
    say(&mut browser, &alice, "lost for now");
    browser.wait_for(
        &alice,
        "[...document.querySelectorAll('#rows .lost')].some((row) => /lost for now/.test(row.ariaLabel))",
    );
    browser.wait_for(&alice, &has("not yet: bob", 1));
    browser.read(&alice, &format!("(() => {{ {} }})()", slide.replace("100", "0")));
    browser.wait_for(&bobs, &has("alice: lost for now", 1));
    browser.wait_for(&alice, &has("not yet: bob", 0));

    // One says goodbye: both are told, and its program ends.
    browser.read(&bobs, "document.getElementById('quit').click()");
    assert!(bob.wait().success());
    browser.wait_for(&alice, &has("bob has left", 1));
    browser.wait_for(&alice, "/the peer has ended/.test(document.getElementById('status').innerText)");
}

/// One who comes later has only what was said since, and one who stands still has not what was said since then.
#[test]
fn a_line_is_marked_with_those_who_have_it() {
    let Some(mut browser) = Browser::open() else {
        return println!("skipped: the page is not looked at, for there is no Chromium");
    };
    let (_tracker, address) = tracker(&["--forever", "--peers", "3"]);
    let (_alice, to_alice) = window(address, "alice", &[]);
    let page = browser.visit(&to_alice, [1200, 800]);
    let _bob = peer(address, &["--name", "bob"]);
    say(&mut browser, &page, "one");
    browser.wait_for(&page, &has("one✓ bob", 1));
    say(&mut browser, &page, "two");
    browser.wait_for(&page, &has("two✓ bob", 1));
    let carol = peer(address, &["--name", "carol"]);
    browser.wait_for(&page, "document.querySelectorAll('#peers li').length === 2 && !/being/.test(document.getElementById('peers').innerText)");
    say(&mut browser, &page, "two");
    browser.wait_for(&page, &has("two✓ bob, carol", 1));
    say(&mut browser, &page, "a/help is no command");
    browser.wait_for(&page, &has("a/help is no command✓ bob, carol", 1));
    Command::new("kill").args(["-STOP", &carol.process().to_string()]).status().unwrap();
    say(&mut browser, &page, "three");
    browser.wait_for(&page, &has("three✓ bob; not yet: carol", 1));
    assert_eq!(browser.read(&page, &has("one✓ bob", 1)), "true");
    browser.wait_for(&page, &has("three✓ bob; ✗ never: carol", 1));
    assert_eq!(browser.read(&page, &has("two✓ bob, carol", 1)), "true");
}

#[test]
#[ignore = "it measures: cargo test --release --test window -- --ignored --nocapture"]
fn how_long_messages_take_to_draw_and_how_much_memory_is_left_of_them() {
    let mut browser = Browser::open().expect("there is a Chromium");
    let (_tracker, address) = tracker(&["--forever"]);
    let (alice, to_alice) = window(address, "alice", &[]);
    let page = browser.visit(&to_alice, [1200, 800]);
    let mut bob = peer(address, &["--name", "bob"]);
    browser.wait_for(&page, "!document.getElementById('line').disabled");
    let line =
        "12:00:00.000 Talk   alice -> bob      SAY 7 hello    (probe: silent for 9 ms)\\tSAY 1 2 7 hello";
    let draw =
        format!("const t = performance.now(); for (let n = 0; n < 1000; n += 1) trace('{line}'); draw();");
    println!(
        "1,000 messages drawn in {} ms",
        browser.read(&page, &format!("(() => {{ {draw} return performance.now() - t }})()"))
    );
    (0..50_000).for_each(|number| bob.say(&number.to_string()));
    browser.wait_for(&page, &has("bob: 49999", 1));
    browser.read(&page, "draw()");
    let heap = browser.read(&page, "performance.memory.usedJSHeapSize / 1e6");
    let elements = browser.read(&page, "document.querySelectorAll('*').length");
    println!("after 50,000 lines and their answers: {heap} MB of JavaScript, {elements} elements");
    println!("the window's program: {} kB resident", alice.kilobytes("VmRSS"));
}
