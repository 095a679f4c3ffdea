//! What the screens show when something is wrong, and which hints they then leave out.

use super::*;

#[test]
fn old_data_is_never_shown_as_live() {
    use std::time::Duration;
    let faded = |model: &Model, word: &str, mono: bool| {
        let depth = if mono { ColourDepth::None } else { ColourDepth::True };
        let look = Theme::Dark.look(depth, &Glyphs::UNICODE);
        let mut buf = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
        view(model, None, &look, &mut buf);
        let rows = buf.content.chunks(usize::from(model.size.0));
        let text = |row: &[ratatui::buffer::Cell]| {
            row.iter().map(|it| it.symbol().to_owned()).collect::<String>()
        };
        let row = rows.skip(1).find(|it| text(it).contains(word)).unwrap();
        let at = row.iter().position(|it| word.starts_with(it.symbol())).unwrap();
        let shown = (row[at].fg, row[at].modifier);
        shown == (look.dim.fg.unwrap_or_default(), look.dim.add_modifier)
    };
    for size in [(200, 50), (160, 48), (120, 36), (80, 24), (60, 20), (40, 10), (40, 6)] {
        let mut model = model(size, all());
        update::tests::pass(&mut model, Duration::from_secs(2));
        assert!(!faded(&model, "RUNNING", false) && !lines(&model)[0].contains("no new data"));
        has(&lines(&model), &["● web"]);
        update::tests::pass(&mut model, Duration::from_secs(12));
        assert!(lines(&model)[0].contains("no new data for 12 s"), "{size:?}");
        has(&lines(&model), &["? web", "RUNNING"]);
        assert!(faded(&model, "RUNNING", false) && faded(&model, "RUNNING", true), "{size:?}");
        press(&mut model, "G Enter");
        update::tests::pass(&mut model, Duration::from_secs(135));
        assert!(lines(&model)[0].contains("no new data for 2m15s"), "{size:?}");
        assert!(size.1 < 10 || faded(&model, "nginx", true), "{size:?}");
    }
}

/// The last output of the container.
fn said(model: &mut Model, of: &str, text: &str) {
    let text = Ok(text.to_owned());
    _ = update(model, Message::Log { name: name(of), text });
}

#[test]
fn a_death_of_memory_is_told_with_the_limit_the_last_words_and_the_keys() {
    use crate::engine::exit::Exit;
    let kill = update::tests::oom_kill("java");
    for size in [(200, 50), (120, 36), (80, 24), (60, 20), (40, 10)] {
        let web = Container {
            died_of_memory: true,
            oom_last: Some(kill.clone()),
            last_memory_max_bytes: Some(128 << 20),
            last_exit: Some(Exit::Signal(9)),
            ..container("web", State::Stopped)
        };
        let mut model = model(size, vec![container("api", State::Running), web]);
        press(&mut model, "G");
        said(&mut model, "web", "starting\nloading all of it\n");
        let lines = lines(&model);
        if size.0 < 80 {
            has(&lines, &["▲ web: out of memory"]);
            continue;
        }
        has(&lines, &["web  what happened"]);
        has(&lines, &["out of memory: killed java (pid 3911)"]);
        has(&lines, &["loading all of it"]);
        has(&lines, &["s start", "l log"]);
        has(&lines, &["web", "STOPPED", if size.0 < 100 { "oom/128M" } else { "·/128M" }]);
        if size.0 >= 100 {
            has(&lines, &["memory.max 128M"]);
            has(&lines, &["init ended: signal 9"]);
            has(&lines, &["web", "oom-killed"]);
        }
    }
}

#[test]
fn a_kill_that_init_survived_is_shown_in_its_row_for_a_minute() {
    use std::time::Duration;
    for size in [(120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, vec![with_detail(container("web", State::Running))]);
        update::tests::oom_happened(&mut model, "web", "java");
        has(&lines(&model), &["● web", "▲", "RUNNING"]);
        has(&lines(&model), &["out of memory: killed java"]);
        if size.0 >= 80 {
            has(&lines(&model), &["e raise memory.max", "l log"]);
        }
        let told =
            |model: &Model| lines(model).iter().any(|it| it.contains("● web") && it.contains('▲'));
        update::tests::pass(&mut model, Duration::from_secs(59));
        model.quiet = Duration::ZERO;
        assert!(told(&model), "{size:?}");
        update::tests::pass(&mut model, Duration::from_secs(61));
        model.quiet = Duration::ZERO;
        assert!(!told(&model), "{size:?}");
    }
}

#[test]
fn a_crash_and_a_failed_start_are_told_with_the_keys_that_answer_them() {
    use crate::engine::exit::Exit;
    let db = Container { last_exit: Some(Exit::Code(3)), ..container("db", State::Stopped) };
    for size in [(200, 50), (120, 36), (80, 24)] {
        let mut model = model(size, vec![db.clone(), container("web", State::Stopped)]);
        said(&mut model, "db", "cannot open the data\n");
        has(&lines(&model), &["init ended by itself: exit 3"]);
        has(&lines(&model), &["cannot open the data"]);
        has(&lines(&model), &["s start", "l log"]);
        press(&mut model, "Enter");
        has(&lines(&model), &["init ended by itself: exit 3"]);
        press(&mut model, "Esc G");
        let reason = "execute /sbin/nothing in the container: No such file or directory";
        model.failures.insert(name("web"), reason.to_owned());
        has(&lines(&model), &["start failed: execute /sbin/nothing"]);
        has(&lines(&model), &["s start", "7 configuration", "l log"]);
    }
}

#[test]
fn impossible_actions_are_not_offered() {
    const PROMISES: [&str; 5] =
        ["s starts it", "opens the console", "K signal", "e edit", "↵ edit"];
    use crate::engine::sample::{Ability, Lack};
    use std::sync::Arc;
    let of_all = |read_only: bool, size, containers: Vec<Container>| {
        let mut model = model(size, containers);
        let mut sample = model.sample.as_deref().unwrap().clone();
        let lack = |of| Lack { of, why: "cannot do it: no capability".to_owned() };
        if !read_only {
            let lacks = [Ability::Enter, Ability::Others, Ability::Groups, Ability::Store];
            sample.host.lacks = lacks.map(lack).into();
        }
        model.sample = Some(Arc::new(sample));
        if read_only {
            model.rights = crate::ui::Rights::ReadOnly;
        }
        model
    };
    for (read_only, why) in [(true, "this screen is read-only"), (false, "no capability")] {
        for size in [(120, 36), (80, 24), (40, 10)] {
            let mut model = of_all(read_only, size, all());
            let said = |model: &Model| lines(model).join("\n");
            for keys in
                ["s", "S", "f", "c", "x", "e", "n", "r", "D", "G S", "K", "Enter c", "3 Enter"]
            {
                assert_eq!(press(&mut model, keys), [], "{keys}");
                assert!(model.jobs.is_empty() && model.pane.is_none() && !model.creating, "{keys}");
                assert!(model.overlay.is_none(), "{keys}");
                // In the footer it is grey.
                let above = lines(&model)[..usize::from(size.1) - 1].join("\n");
                let promised = PROMISES.iter().find(|it| above.contains(*it));
                assert_eq!(promised, None, "after {keys}");
            }
            press(&mut model, "Esc Esc Esc s");
            assert!(model.notice.as_ref().unwrap().text.contains(why));
            assert_eq!(lines(&model)[0].contains("read-only"), read_only, "{}", lines(&model)[0]);
            let empty = of_all(read_only, size, Vec::new());
            has(&lines(&empty), &["None can be created"]);
            assert!(!said(&empty).contains("n then"));
        }
    }
}

#[test]
fn a_refusal_is_on_the_screen_to_its_last_word() {
    let why = "mount /srv/shop on srv/shop: no such file or directory; make it, or take \
               lxc.mount.entry out of /var/lib/lxc/db/config";
    for size in [(200, 50), (120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, all());
        model.refuse(why);
        let plain: String =
            lines(&model).join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(why), "{size:?}\n{}", lines(&model).join("\n"));
        press(&mut model, "Up J");
        let plain = lines(&model).join("\n");
        assert!(plain.contains("mount /srv/shop on"), "{size:?}\n{plain}");
    }
}

#[test]
fn an_init_that_was_killed_is_told_at_every_size_with_room_for_it() {
    use crate::engine::exit::Exit;
    let web = Container { last_exit: Some(Exit::Signal(9)), ..container("web", State::Stopped) };
    for size in [(200, 50), (120, 36), (80, 24)] {
        let model = model(size, vec![web.clone()]);
        has(&lines(&model), &["web  what happened"]);
        has(&lines(&model), &["init was killed: signal 9"]);
        has(&lines(&model), &["s start", "l log"]);
    }
    has(&lines(&model((40, 10), vec![web])), &["web", "STOPPED", "signal 9"]);
}

#[test]
fn a_killed_supervisor_is_told_until_the_next_start() {
    use crate::engine::event::{Event, What};
    for size in [(200, 50), (120, 36), (80, 24), (40, 10)] {
        let mut model = model(size, vec![container("web", State::Stopped)]);
        let mut happens = |what| {
            let (at_ms, lxcpath) = (1000, "/var/lib/lxc".into());
            let event = Event { at_ms, lxcpath, name: name("web"), what };
            _ = update(&mut model, Message::Happened(event));
            lines(&model)
        };
        _ = happens(What::SupervisorKilled);
        let told = happens(What::State { from: State::Running, to: State::Stopped });
        has(&told, &["its supervisor was killed"]);
        _ = happens(What::State { from: State::Stopped, to: State::Starting });
        let told = happens(What::State { from: State::Running, to: State::Stopped });
        assert!(!told.iter().any(|it| it.contains("what happened")), "{told:?}");
    }
}

#[test]
fn the_limit_that_killed_names_its_group_unless_it_is_the_containers_own() {
    let told = |group: &str| {
        let group = Some(group.to_owned());
        let kill = crate::engine::oom::OomKill { group, ..update::tests::oom_kill("java") };
        crate::ui::texts::victim(&kill, &name("web"))
    };
    for own in ["/lxc.payload.web", "/machine.slice/lxc.payload.web-1"] {
        assert_eq!(told(own), "java (pid 3911) with 131M, at memory.max 128M");
    }
    for other in ["/lxc.payload.web/app", "/lxc.payload.web-2a", "/user.slice"] {
        assert!(told(other).ends_with(&format!("at memory.max 128M of {other}")), "{other}");
    }
}

#[test]
fn keys_are_offered_for_what_they_act_on() {
    for size in [(200, 50), (120, 36), (80, 24)] {
        let dead = Container {
            last_exit: Some(crate::engine::exit::Exit::Code(3)),
            ..container("db", State::Stopped)
        };
        let mut model = model(size, vec![container("api", State::Frozen), dead]);
        press(&mut model, "j");
        has(&lines(&model), &["s start", "l log"]);
        has(&lines(&model)[usize::from(size.1) - 1..], &["s start"]);
        // The mark is the cursor's container: the key still means it.
        press(&mut model, "Spc j");
        has(&lines(&model), &["s start", "l log"]);
        press(&mut model, "Home Spc j");
        let told = lines(&model);
        let (footer, above) = told.split_last().unwrap();
        assert!(!above.iter().any(|it| it.contains("s start")), "{}", told.join("\n"));
        has(above, &["l log"]);
        // Of the two that are marked, one can be started; the line above has the other keys.
        assert!(footer.contains("s start 1") && !footer.contains("thaw"), "{footer}");
        has(above, &["2 marked", "f thaw 1"]);
    }
}

#[test]
fn the_countdown_offers_the_key_only_if_it_kills_that_container_alone() {
    let mut model =
        model((120, 36), vec![container("api", State::Running), container("web", State::Running)]);
    press(&mut model, "S");
    has(&lines(&model), &["api was asked to halt", "S kills now"]);
    press(&mut model, "j Spc k");
    let told = lines(&model).join("\n");
    assert!(told.contains("api was asked to halt") && !told.contains("S kills now"), "{told}");
}

#[test]
fn a_container_that_does_not_run_says_so_once() {
    for size in [(200, 50), (160, 48), (120, 36)] {
        let mut model = model(size, all());
        press(&mut model, "j");
        let told = lines(&model).join("\n");
        assert_eq!(told.matches("db is STOPPED").count(), 1, "{told}");
        assert!(!told.contains("what happened"), "{told}");
    }
}
