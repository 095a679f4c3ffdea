//! What stands where: headings, cursors, and rows out of sight.

use super::*;
use crate::engine::event::{Event, What};
use crate::engine::sample::{CgroupFile, Detail};
use crate::ui::model::overlay::Overlay;

#[test]
fn pressure_has_a_heading_for_each_of_its_three_figures() {
    let model = model((120, 36), all());
    let lines = lines(&model);
    let cell = |line: &str, from: usize, to: usize| -> String {
        line.chars().skip(from).take(to - from).collect::<String>().trim().to_owned()
    };
    let head = lines.iter().find(|it| it.contains("PSIc")).unwrap();
    let web = lines.iter().find(|it| it.contains("web") && it.contains("RUNNING")).unwrap();
    let at = |word: &str| {
        let start = head.chars().collect::<Vec<_>>();
        let word: Vec<char> = word.chars().collect();
        start.windows(word.len()).position(|it| it == word).unwrap()
    };
    // The figures end where their headings do.
    let psi = at("PSIc");
    assert_eq!(cell(web, psi, psi + 4), "2");
    let memory = at(" mem ");
    assert_eq!(cell(web, memory, memory + 4), "31");
    let io = at("  io ");
    assert_eq!(cell(web, io, io + 4), "0");
    has(&lines, &["psi  cpu 2  mem 31  io 0", "% of 10 s in which some waited"]);
}

#[test]
fn an_event_of_an_open_container_is_opened_and_copied() {
    use crate::ui::effect::Effect;
    let mut model = model((80, 24), all());
    let why = format!("no such file: {}", "very/".repeat(40));
    for (at_ms, reason) in [(1000, why.as_str()), (2000, "too many of them")] {
        let event = Event {
            at_ms,
            lxcpath: "/var/lib/lxc".into(),
            name: name("web"),
            what: What::Failed { reason: reason.to_owned() },
        };
        _ = update(&mut model, Message::Happened(event));
    }
    press(&mut model, "G Enter 6");
    let cursor = |model: &Model| {
        lines(model).into_iter().find(|it| it.contains('▸') && !it.contains("wharf"))
    };
    assert!(cursor(&model).unwrap().contains("too many"), "it begins at the newest");
    press(&mut model, "Up");
    assert!(cursor(&model).unwrap().contains("no such file"));
    let copied = press(&mut model, "y");
    assert!(matches!(&copied[..], [Effect::Copy(text)] if text.contains(&why)), "{copied:?}");
    press(&mut model, "Enter");
    assert!(matches!(&model.overlay, Some(Overlay::Whole { text, .. }) if text.contains(&why)));
    press(&mut model, "Esc");
    assert!(model.overlay.is_none() && model.detail.is_some());
}

#[test]
fn the_processes_of_the_peek_scroll_and_begin_anew_with_another_container() {
    let mut web = with_detail(container("web", State::Running));
    let processes = &mut web.detail.as_mut().unwrap().processes;
    let one = processes[0].clone();
    processes.extend((0..40).map(|it| {
        let command = format!("worker-{it}");
        crate::engine::process::Process { pid: 7000 + it, command, ..one.clone() }
    }));
    let api = with_detail(container("api", State::Running));
    let mut model = model((120, 36), vec![api, web]);
    press(&mut model, "G");
    assert!(lines(&model).iter().any(|it| it.contains(" init")));
    press(&mut model, &vec!["}"; 60].join(" "));
    has(&lines(&model), &["worker-39"]);
    has(&lines(&model), &["44 of 44"]);
    press(&mut model, "{");
    assert!(!lines(&model).iter().any(|it| it.contains("worker-39")));
    press(&mut model, "k G");
    has(&lines(&model), &[" init"]);
}

#[test]
fn a_line_that_counts_on_other_hosts_alone_says_so() {
    let row = |version, file: &str, applies| CgroupFile {
        controller: "memory".to_owned(),
        version,
        file: file.to_owned(),
        value: Some("64M".to_owned()),
        writable: true,
        applies,
    };
    let files = vec![
        row(1, "lxc.cgroup.memory.limit_in_bytes", false),
        row(2, "lxc.cgroup2.memory.max", true),
    ];
    let mut db = container("db", State::Stopped);
    db.detail = Some(Detail { files, ..Detail::default() });
    for size in [(200, 50), (120, 36), (80, 24)] {
        let mut model = model(size, vec![db.clone()]);
        press(&mut model, "e");
        let lines = lines(&model);
        has(&lines, &["memory.limit_in_bytes", "64M", "not used on v2"]);
        // There are no more files to show, and the title ends with its words.
        has(&lines, &["↵ edit ─"]);
        assert!(!lines.iter().any(|it| it.contains("all files")), "{lines:#?}");
        assert!(!lines.iter().any(|it| it.contains("memory.max") && it.contains("unused")));
    }
}
