//! The important lines of the screens at the sizes that operators have.

mod places;
mod small;
mod trouble;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::view;
use crate::engine::sample::Container;
use crate::engine::state::State;
use crate::ui::effect::Act;
use crate::ui::message::Message;
use crate::ui::model::{Model, Tone, UndoStep, Way};
use crate::ui::theme::{ColourDepth, Theme};
use crate::ui::update::tests::{container, model, name, press, with_detail};
use crate::ui::update::{self, update};
use crate::widgets::look::Glyphs;

fn lines(model: &Model) -> Vec<String> {
    let look = Theme::Dark.look(ColourDepth::None, &Glyphs::UNICODE);
    let mut buf = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    view(model, None, &look, &mut buf);
    let row = |y| (0..model.size.0).map(move |x| (x, y));
    (0..model.size.1)
        .map(|y| row(y).map(|at| buf[at].symbol().to_owned()).collect::<String>())
        .collect()
}

fn all() -> Vec<Container> {
    vec![
        container("api", State::Frozen),
        container("db", State::Stopped),
        with_detail(container("web", State::Running)),
    ]
}

#[track_caller]
fn has(lines: &[String], words: &[&str]) {
    let hit = lines.iter().any(|line| words.iter().all(|it| line.contains(it)));
    assert!(hit, "no line with {words:?} in\n{}", lines.join("\n"));
}

#[test]
fn every_size_names_every_container_and_its_state() {
    for size in [(200, 50), (160, 48), (120, 36), (80, 24), (40, 10), (30, 6)] {
        let lines = lines(&model(size, all()));
        for (name, state) in [("api", "FROZEN"), ("db", "STOPPED"), ("web", "RUNNING")] {
            has(&lines, &[name, state]);
        }
    }
}

#[test]
fn nothing_is_too_small_to_be_drawn() {
    for width in 1..60 {
        for height in 1..14 {
            let mut model = model((width, height), all());
            _ = lines(&model);
            press(&mut model, "G Enter");
            _ = lines(&model);
            press(&mut model, "?");
            _ = lines(&model);
        }
    }
}

#[test]
fn the_list_shows_figures_graphs_and_the_forest() {
    let mut model = model((120, 36), all());
    press(&mut model, "G");
    let lines = lines(&model);
    has(&lines, &["wharf ▸ Containers", "vm hybrid │", "●1", "◆1", "○1", "cpu 1.42/2"]);
    has(&lines, &["▸● web", "RUNNING", "42.1", "488M/512M", "95!"]);
    has(&lines, &["web  processes", "web  last 2 min"]);
    has(&lines, &["4251", "│  └─ nginx: worker"]);
    has(&lines, &["↵ open", ": all", "? help"]);
}

#[test]
fn an_open_container_has_four_panes() {
    let mut model = model((120, 36), all());
    press(&mut model, "G Enter");
    let lines = lines(&model);
    has(&lines, &["Containers ▸ web"]);
    has(&lines, &["[1 Overview]", "9 Mounts"]);
    has(&lines, &["Processes", "Cgroup"]);
    has(&lines, &["Console", "Log"]);
    has(&lines, &["memory.max", "512M", "488M used", "95%!"]);
}

#[test]
fn the_first_run_says_what_to_do() {
    for size in [(120, 36), (80, 24), (40, 10)] {
        has(&lines(&model(size, Vec::new())), &["n then ↵"]);
    }
}

#[test]
fn what_is_left_to_lxc_is_named_at_every_size() {
    use std::sync::Arc;
    for (size, containers) in
        [(120, 36), (80, 24), (60, 12)].into_iter().flat_map(|it| [(it, all()), (it, Vec::new())])
    {
        let mut model = model(size, containers);
        let mut sample = model.sample.as_deref().unwrap().clone();
        sample.unmanaged = vec![crate::engine::sample::Unmanaged {
            name: "two words".to_owned(),
            state: State::Running,
            defined: true,
            why: "a blank".to_owned(),
        }];
        model.sample = Some(Arc::new(sample));
        has(&lines(&model), &["left to LXC"]);
        has(&lines(&model), &["\"two words\""]);
    }
}

#[test]
fn an_end_by_stop_fits_into_its_row_and_is_told_whole_below() {
    use crate::engine::exit::Exit;
    let last_exit = Some(Exit::Unheard(libc::SIGPWR));
    let web = Container { last_exit, ..container("web", State::Stopped) };
    has(&lines(&model((80, 24), vec![web.clone()])), &["web", "STOPPED", "by stop"]);
    has(&lines(&model((120, 36), vec![web])), &["ended by stop, init has no handler"]);
}

#[test]
fn a_lost_limit_is_marked_at_every_size_with_the_key_that_sets_it_anew() {
    for size in [(200, 50), (120, 36), (80, 24), (60, 20), (40, 10)] {
        let trouble = Some("lost its limit: memory.max; `wharf cgroup --again web`".to_owned());
        let lost_limits = vec!["memory.max".to_owned()];
        let web = Container { trouble, lost_limits, ..container("web", State::Running) };
        let mut model = model(size, vec![container("api", State::Running), web]);
        has(&lines(&model), &["web", "▲", "RUNNING"]);
        assert!(!lines(&model).iter().any(|it| it.contains("A restore limits")), "{size:?}");
        press(&mut model, "G");
        has(&lines(&model), &["A restore limits"]);
        has(&lines(&model), &["lost its limit: memory.max"]);
        press(&mut model, "Enter");
        has(&lines(&model), &["lost its limit: memo"]);
        has(&lines(&model), &["A restore limits"]);
    }
}

#[test]
fn why_a_container_does_not_run_is_shown_in_full() {
    let trouble = "its configuration cannot be used: unknown key lxc.bogus (line 106 of \
                   /var/lib/lxc/web/config)";
    let trouble = Some(trouble.to_owned());
    let web = Container { faulty: true, trouble, ..container("web", State::Stopped) };
    for size in [(200, 50), (120, 36), (80, 24)] {
        has(&lines(&model(size, vec![web.clone()])), &["× web", "STOPPED", "bad config"]);
        let runs = Container { state: State::Running, ..web.clone() };
        has(&lines(&model(size, vec![runs])), &["web", "▲", "RUNNING"]);
    }
    let trouble = web.trouble.clone().unwrap();
    let mut model = model((80, 24), vec![web]);
    has(&lines(&model), &["its configuration cannot be used: unknown key lxc.bogus"]);
    press(&mut model, "Enter");
    let lines = lines(&model);
    let said = lines.iter().map(|it| it.trim_matches(['│', ' '])).collect::<Vec<_>>().join(" ");
    assert!(said.contains(&trouble), "{said}");
    has(&lines, &["STOPPED", "its configuration", "…"]);
}

#[test]
fn a_prefix_shows_what_may_follow() {
    let mut model = model((80, 24), all());
    press(&mut model, "o");
    has(&lines(&model), &["c", "sort by cpu"]);
}

#[test]
fn a_stop_under_way_counts_down() {
    let mut model = model((120, 36), all());
    press(&mut model, "G S");
    has(&lines(&model), &["web", "STOPPING", "kill in 10 s"]);
    for size in [(120, 36), (80, 24)] {
        model.size = size;
        has(&lines(&model), &["web was asked to halt", "10 s", "S kills now"]);
        has(&lines(&model), &["S kill (10 s)"]);
    }
    model.size = (40, 10);
    has(&lines(&model), &["web halts; kill in 10 s", "S kills now"]);
    // Notices about others do not hide it for long.
    model.say(Tone::Good, "db started");
    has(&lines(&model), &["db started"]);
    model.now += Duration::from_secs(5);
    has(&lines(&model), &["web halts; kill in 5 s", "S kills now"]);
    press(&mut model, "Enter");
    has(&lines(&model), &["web halts; kill in 5 s", "S kills now"]);
    press(&mut model, "c");
    has(&lines(&model), &["halts, 5 s left", "C-] c S kills"]);
    model.size = (80, 24);
    has(&lines(&model), &["killed in 5 s", "C-] c, then S kills now"]);
    escape(&mut model);
    press(&mut model, "z");
    has(&lines(&model), &["web halts; kill in 5 s", "C-] c S kills now"]);
}

fn escape(model: &mut Model) {
    let key = KeyEvent::new(KeyCode::Char(']'), KeyModifiers::CONTROL);
    _ = update(model, Message::Key(key));
}

#[test]
fn the_pane_says_whose_the_next_key_is() {
    let mut model = model((80, 24), all());
    press(&mut model, "G c");
    has(&lines(&model), &["C-] c leave", "other keys go to the container"]);
    escape(&mut model);
    has(&lines(&model), &["C-] then c, z, q or C-]"]);
    has(&lines(&model), &["C-] then", "c leave", "z full screen", "q close", "C-] send C-]"]);
    press(&mut model, "z");
    escape(&mut model);
    has(&lines(&model), &["C-] then", "c leave", "z smaller", "q close"]);
    press(&mut model, "z");
    _ = update(&mut model, Message::PaneEnded { number: 1, how: "exit 1".to_owned() });
    has(&lines(&model), &["ended: exit 1"]);
    escape(&mut model);
    has(&lines(&model), &["C-] then", "c close"]);
}

#[test]
fn the_console_of_a_frozen_container_says_so_and_how_to_thaw_it() {
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, all());
        press(&mut model, "c");
        has(&lines(&model), &["console", "frozen"]);
        has(&lines(&model), &["C-] c, then f thaws it"]);
        has(&lines(&model), &["frozen, keys wait", "C-] c f thaw it"]);
        escape(&mut model);
        press(&mut model, "c");
        has(&lines(&model), &["f thaws it"]);
        press(&mut model, "c");
        escape(&mut model);
        press(&mut model, "z");
        has(&lines(&model), &["frozen, keys wait"]);
    }
}

#[test]
fn undo_is_offered_by_name_only_beside_what_it_undoes() {
    let mut model = model((80, 24), all());
    let step = |batch, act| UndoStep { batch, name: name("api"), act };
    model.undo.push(step(1, Act::Thaw));
    model.say(Tone::Good, "api  frozen");
    model.notice.as_mut().unwrap().offers = Some((Way::Back, 1));
    has(&lines(&model), &["api  frozen", "z thaw api"]);
    // What is typed into a form or a filter is not a key.
    for keys in ["n", "/"] {
        press(&mut model, keys);
        has(&lines(&model), &["api  frozen"]);
        assert!(!lines(&model).iter().any(|it| it.contains("z thaw")), "{:?}", lines(&model));
        press(&mut model, "Esc");
    }
    model.undo[0].act = Act::Set { file: "memory.limit_in_bytes".into(), value: "5".into() };
    model.say(Tone::Good, "api  memory.limit_in_bytes  320M → 256M");
    model.notice.as_mut().unwrap().offers = Some((Way::Back, 1));
    has(&lines(&model), &["api  memory.limit_in_bytes  320M → 256M", "z undo"]);
    press(&mut model, "G e 3");
    assert!(!lines(&model)[23].contains("undo"), "not in the footer");
    model.say(Tone::Good, "something else");
    assert!(!lines(&model).iter().any(|it| it.contains("thaw api")));
}

#[test]
fn a_question_counts_the_marked_that_it_leaves_out() {
    let mut model = model((80, 24), all());
    press(&mut model, "a D");
    for words in ["type \"db\":", "2 marked cannot be destroyed now"] {
        has(&lines(&model), &[words]);
    }
    press(&mut model, "Esc Esc g g j D");
    assert!(!lines(&model).iter().any(|it| it.contains("marked cannot")));
}

#[test]
fn a_key_that_waits_for_another_offers_nothing_but_the_way_back() {
    let mut model = model((80, 24), all());
    for key in ["o", "g"] {
        press(&mut model, key);
        let hints = crate::ui::footer::hints(&model, model.glyphs);
        assert_eq!(hints.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["Esc"], "{key}");
        press(&mut model, "Esc");
    }
}

#[test]
fn a_question_warns_at_every_size_that_the_filter_hides_what_it_is_about() {
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, all());
        press(&mut model, "a / w e b Enter D");
        let lines = lines(&model);
        for words in ["1 hidden by the filter!", "2 marked cannot be destroyed", "Esc keeps it"] {
            has(&lines, &[words]);
        }
        press(&mut model, "Esc S");
        has(&self::lines(&model), &["hidden by the filter!"]);
    }
}

#[test]
fn what_escape_does_on_the_list_is_told() {
    let mut model = model((80, 24), all());
    press(&mut model, "/ w e b Enter");
    has(&lines(&model), &["Esc clear filter"]);
    press(&mut model, "Esc g g Spc / w e b Enter");
    has(&lines(&model), &["1 marked, 1 hidden", "api", "Esc clear filter"]);
    press(&mut model, "Esc");
    has(&lines(&model), &["1 marked", "Esc unmark"]);
}

#[test]
fn an_error_in_a_value_is_reported_once() {
    let mut model = model((120, 36), all());
    for keys in ["G e 3 Enter x", "Enter"] {
        press(&mut model, keys);
        let told = lines(&model).iter().filter(|it| it.contains("expected a size")).count();
        assert_eq!(told, 1, "after {keys}");
    }
}

#[test]
fn names_that_begin_alike_are_told_apart_at_every_size() {
    let long = "very-long-name-of-a-container-in-the-production-cluster";
    let both = ["01", "02"].map(|it| container(&format!("{long}-{it}"), State::Running));
    for size in [(200, 50), (160, 48), (120, 36), (80, 24), (60, 20), (40, 10)] {
        let mut model = model(size, both.to_vec());
        has(&lines(&model), &["-01", "RUNNING"]);
        has(&lines(&model), &["-02", "RUNNING"]);
        press(&mut model, "/ 0 2 Enter");
        has(&lines(&model), &["-02", "RUNNING"]);
        let title = lines(&model).remove(1);
        assert!(!title.starts_with('╭') || title.ends_with('╮'), "{size:?}: {title}");
        press(&mut model, "Esc Enter");
        has(&lines(&model)[..1], &["-0"]);
    }
}

#[test]
fn the_header_keeps_load_and_pressure_at_80_columns() {
    let mut model = model((80, 24), all());
    has(&lines(&model)[..1], &["●1 ◆1 ○1", "cpu 1.42/2", "mem 3.0G/23G", "psi"]);
    press(&mut model, "G Enter");
    has(&lines(&model)[..1], &["wharf ▸ web", "cpu 1.42/2", "mem 3.0G/23G", "psi"]);
}

#[test]
fn a_short_footer_has_the_keys_that_do_something() {
    let mut model = model((80, 24), all());
    press(&mut model, "G");
    let footer = lines(&model).pop().unwrap();
    assert!(footer.contains("S stop") && footer.contains("? help"), "{footer}");
    assert!(!footer.contains("s start") && !footer.contains("D destroy"), "{footer}");
    model.size = (160, 36);
    has(&lines(&model), &["s start", "S stop", "? help"]);
}

#[test]
fn what_is_wrong_with_a_filter_is_told_at_every_size() {
    for size in [(200, 50), (120, 36), (80, 24), (60, 20), (40, 10)] {
        let mut model = model(size, all());
        press(&mut model, "/ m e m : > x");
        has(&lines(&model), &["needs a number"]);
    }
}

#[test]
fn a_filter_that_matches_nothing_leaves_no_hole() {
    for size in [(200, 50), (120, 36)] {
        let mut model = model(size, all());
        press(&mut model, "/ q q q");
        let lines = lines(&model);
        has(&lines, &["nothing matches"]);
        assert!(lines[1].ends_with('╮') && lines[1].starts_with('╭'), "{}", lines[1]);
        let empty = lines[2..lines.len() - 3].iter().filter(|it| it.trim().is_empty()).count();
        assert_eq!(empty, 0, "{}", lines.join("\n"));
    }
}

#[test]
fn the_row_under_the_cursor_is_one_colour_where_colours_are_few() {
    use ratatui::style::{Color, Modifier};
    for depth in [ColourDepth::Sixteen, ColourDepth::None] {
        for (size, keys) in
            [((120, 36), "G"), ((60, 20), "G"), ((120, 36), "G Enter"), ((80, 24), "?")]
        {
            let look = Theme::Dark.look(depth, &Glyphs::UNICODE);
            let mut model = model(size, all());
            press(&mut model, keys);
            let mut buf = Buffer::empty(Rect::new(0, 0, size.0, size.1));
            view(&model, None, &look, &mut buf);
            let reversed = buf.content.iter().filter(|it| it.modifier.contains(Modifier::REVERSED));
            assert!(reversed.clone().count() > 30, "no cursor: {depth:?} {keys}");
            for cell in reversed {
                assert!(!cell.modifier.contains(Modifier::DIM), "{depth:?} {keys}: {cell:?}");
                assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{depth:?} {keys}");
            }
        }
    }
}
