//! Small screens: nothing that matters is cut, and hints are whole or left out.

use super::*;
use crate::engine::exit::Exit;
use crate::engine::sample::Interface;
use crate::ui::footer::hints;
use crate::ui::hints::{GAP, INDENT};

const SMALL: (u16, u16) = (40, 10);

/// Returns whether all of `words` stand in the rows of the screen, blanks and frames aside.
#[track_caller]
fn reads(model: &Model, words: &str) {
    let plain = |it: &str| {
        let text = it.replace(|it| "│╭╮╰╯─".contains(it), " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let rows: Vec<String> = lines(model).iter().map(|it| plain(it)).collect();
    let text = rows.join(" ");
    assert!(text.contains(words), "no {words:?} in\n{}", lines(model).join("\n"));
}

#[test]
fn hints_are_shown_whole_or_not_at_all_and_the_way_back_always() {
    for keys in ["n", "/ w", "G Enter 3 Enter", "G Enter 6 /", "?", "J", "j D", "G x"] {
        for wide in 40..130 {
            let mut model = model((wide, 24), all());
            press(&mut model, keys);
            let hints = hints(&model, model.glyphs);
            let cells = hints.iter().map(|it| it.width() + GAP).sum::<usize>() + INDENT - GAP;
            assert!(cells <= usize::from(wide), "{keys} at {wide}: {hints:?}");
            assert!(hints.iter().any(|it| it.key == "Esc"), "{keys} at {wide}: {hints:?}");
        }
    }
}

#[test]
fn a_wrong_word_in_a_question_pushes_neither_the_answer_nor_the_footer_away() {
    let mut model = model(SMALL, all());
    press(&mut model, "j D x");
    reads(&model, "type \"db\": x");
    reads(&model, "that is not the name");
    reads(&model, "[ Esc keeps it ]");
    assert!(lines(&model)[9].contains("Esc keep"), "{:?}", lines(&model));
    press(&mut model, "Esc a D x");
    reads(&model, "marked cannot be destroyed now");
    reads(&model, "[ Esc keeps it ]");
}

#[test]
fn a_limit_under_edit_says_all_of_its_effect() {
    let mut model = model(SMALL, all());
    press(&mut model, "G Enter 3 Enter C-u 1 M");
    reads(&model, "512M → 1M");
    reads(&model, "below the 488M in use: reclaims, then kills");
    // Its keys are letters now.
    for size in [SMALL, (80, 24), (200, 50)] {
        _ = update(&mut model, Message::Resized(size.0, size.1));
        assert!(!lines(&model).iter().any(|it| it.contains("e edit")), "{size:?}");
    }
}

#[test]
fn the_command_of_a_limit_for_several_names_all_of_them() {
    let web = |name| with_detail(container(name, State::Running));
    let mut model = model((80, 24), vec![web("web-1"), web("web-2")]);
    press(&mut model, "Spc Spc e Enter C-u 1 M");
    let line = "$ for it in web-1 web-2; do wharf cgroup $it memory.max 1M; done";
    reads(&model, line);
}

#[test]
fn rows_of_what_does_not_run_say_how_it_ended() {
    let end = |exit| Some(exit);
    let bad = Container { last_exit: end(Exit::Code(3)), ..container("bad", State::Stopped) };
    let killed = Container {
        died_of_memory: true,
        last_exit: end(Exit::Signal(9)),
        ..container("oom", State::Stopped)
    };
    let model = model(SMALL, vec![bad, container("new", State::Stopped), killed]);
    let lines = lines(&model);
    has(&lines, &["bad", "STOPPED", "exit 3"]);
    has(&lines, &["oom", "STOPPED", "oom-killed"]);
    has(&lines, &["new", "STOPPED", "·"]);
}

#[test]
fn a_network_has_its_figures_at_every_width() {
    let mut web = with_detail(container("web", State::Running));
    let addresses = vec!["10.0.3.11/24".to_owned(), "fe80::216:3eff:fe5a:9d01/64".to_owned()];
    let eth0 = Interface {
        name: "eth0".to_owned(),
        addresses: addresses.clone(),
        rx_bytes: Some(5 << 30),
        tx_bytes: Some(7 << 20),
    };
    web.detail.as_mut().unwrap().network = vec![eth0; 4];
    for size in [SMALL, (80, 24), (120, 36), (200, 50)] {
        let mut model = model(size, vec![web.clone()]);
        press(&mut model, "Enter 8");
        has(&lines(&model), &["eth0", "5.0G", "7.0M"]);
        for it in &addresses {
            has(&lines(&model), &[it]);
        }
    }
    // They scroll.
    let mut model = model(SMALL, vec![web]);
    press(&mut model, "Enter 8 G");
    let lines = lines(&model);
    assert!(lines[6].contains("fe80::216:3eff:fe5a:9d01/64"), "{lines:?}");
    has(&lines, &["12/12"]);
}

#[test]
fn sentences_are_broken_where_they_do_not_fit() {
    let mut model = model(SMALL, all());
    press(&mut model, "G Enter 4");
    reads(&model, "opens the console here; C-] c comes back");
    reads(&model, "runs a command inside, such as /bin/sh");
    press(&mut model, "Esc Esc / q q q");
    reads(&model, "nothing matches the filter; Esc clears it");
}

#[test]
fn the_line_of_the_marks_names_only_those_out_of_sight() {
    let many = (10..60).map(|it| container(&format!("op-{it}"), State::Running));
    let mut model = model((80, 24), many.collect());
    press(&mut model, "Spc");
    let marks = |model: &Model| lines(model)[22].clone();
    assert!(marks(&model).starts_with(" 1 marked  f freeze"), "{}", marks(&model));
    model.size = SMALL;
    has(&lines(&model)[8..], &["1 marked", "f freeze all", "Esc unmark"]);
    model.size = (80, 24);
    press(&mut model, "G");
    assert!(marks(&model).contains("1 marked, out of sight: op-10"), "{}", marks(&model));
    press(&mut model, "Home / 5 9 Enter");
    assert!(marks(&model).contains("1 marked, 1 hidden, out of sight: op-10"), "{}", marks(&model));
}

#[test]
fn a_share_stands_below_its_heading() {
    for keys in ["G", "o u G"] {
        let mut model = model((80, 24), all());
        press(&mut model, keys);
        let lines = lines(&model);
        let place = |row: &str, sign: &str| {
            let row = lines.iter().find(|it| it.contains(row)).unwrap();
            let (before, _) = row.split_once(sign).unwrap();
            before.chars().count() + sign.chars().count()
        };
        // The sign of what is almost full is behind the figure.
        assert_eq!(place("MEM/MAX", " %"), place("RUNNING", "95!") - 1, "{keys}");
    }
}

#[test]
fn a_wide_screen_explains_limits_and_shows_what_is_configured() {
    let mut web = with_detail(container("web", State::Running));
    let detail = web.detail.as_mut().unwrap();
    detail.config =
        Some("lxc.net.0.type = veth\nlxc.mount.entry = /srv srv none bind 0 0\n".to_owned());
    detail.mounts = vec!["/srv ext4 /dev/vda1 rw".to_owned()];
    let mut model = model((200, 50), vec![web]);
    press(&mut model, "Enter 3");
    has(&lines(&model), &["memory.max", "512M", "most memory it may use: 512M, 1.5G"]);
    press(&mut model, "8");
    has(&lines(&model), &["In its configuration"]);
    has(&lines(&model), &["lxc.net.0.type = veth"]);
    press(&mut model, "9");
    has(&lines(&model), &["/dev/vda1", "lxc.mount.entry = /srv srv none bind 0 0"]);
    assert!(!lines(&model).iter().any(|it| it.contains("lxc.net.0.type")));
}

#[test]
fn a_limit_for_several_says_what_each_has_its_effect_and_its_command() {
    let web = |name| with_detail(container(name, State::Running));
    let mut model = model(SMALL, vec![web("web-1"), web("web-2")]);
    press(&mut model, "Spc Spc e Enter");
    let of = |it: &str| Ok(Some(it.to_owned()));
    let values = vec![(name("web-1"), of("512M")), (name("web-2"), of("1G"))];
    _ = update(&mut model, Message::Limits { file: "memory.max".to_owned(), values });
    reads(&model, "web-1 512M, web-2 1G now");
    press(&mut model, "C-u 1 M");
    reads(&model, "web-1 512M, web-2 1G → 1M");
    reads(&model, "web-1 and 1 more: below the 488M");
    reads(&model, "in use: reclaims, then kills");
    reads(&model, "$ for it in web-1 web-2");
    _ = update(&mut model, Message::Resized(160, 50));
    reads(&model, "web-1: below the 488M in use: reclaims, then kills; web-2: below");
}

#[test]
fn the_sentence_of_every_key_can_be_read_whole() {
    for keys in ["?", ":"] {
        let mut model = model(SMALL, all());
        press(&mut model, keys);
        for it in crate::command::action::SHORTCUTS {
            if model.refusal(it.action).is_none() && model.scopes().contains(&it.scope) {
                reads(&model, it.help);
            }
            press(&mut model, "Down");
        }
    }
}

#[test]
fn a_search_offers_the_direction_in_which_it_finds_something() {
    let mut model = model(SMALL, all());
    press(&mut model, "G l");
    let text = Ok("one error\nline\nanother error\nmore".to_owned());
    _ = update(&mut model, Message::Log { name: name("web"), text });
    press(&mut model, "/ e r r o r Enter");
    let footer = |model: &Model| lines(model)[9].clone();
    assert!(footer(&model).contains("N previous match"), "{}", footer(&model));
    assert!(!footer(&model).contains("n next"), "{}", footer(&model));
    press(&mut model, "N");
    assert!(footer(&model).contains("n next match"), "{}", footer(&model));
    press(&mut model, "Esc / q q q Enter");
    assert!(!footer(&model).contains("match"), "{}", footer(&model));
}
